"""One cluster's API server: JSON in and out, our errors, a limited rate, every call counted.

Objects stay dictionaries: a patch of a model would lose the fields that this version of the client does not know.
`kubernetes.aio` and not `kubernetes`: a hundred releases wait for watches at a time, and each would hold a thread.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from activities import beats
from activities.clusters.kubernetes.kinds import POD, Kind
from activities.clusters.kubernetes.pace import Lane, Pace
from activities.clusters.kubernetes.patch import Operation
from activities.clusters.kubernetes.settings import KubernetesCluster
from workflows.errors import (
    Conflict,
    Denied,
    NotFound,
    PermanentError,
    ProviderError,
    RateLimited,
    Rejected,
    TemporaryError,
    Unavailable,
)

Object = dict[str, Any]

_GROUP = Kind("APIGroup", "v1", "apigroups")
"""Everybody who has signed in may ask which there are."""
_PATCH = "application/json-patch+json"
_PROVIDER = "kubernetes"
_LOG_LIMIT = 1 << 20
"""Bytes of a log that are read at most."""
_TRIES = 4
"""Of a call that the server was too busy for, and that therefore did nothing."""
_REST = 1.0
"""Seconds, where the server does not say for how long it is too busy."""


_TEMPORARY: dict[int, type[TemporaryError]] = {408: Unavailable, 409: Conflict, 429: RateLimited}
_PERMANENT: dict[int, type[PermanentError]] = {401: Denied, 403: Denied, 404: NotFound, 410: NotFound}


class PatchRefused(Conflict):
    """A `test` of the patch failed: the object is not what was read."""


class AlreadyThere(Conflict):
    """An object of that name exists; other conflicts of a creation, such as of a quota, pass when it is tried again."""


class Call(NamedTuple):
    """One request, as RBAC names it."""

    verb: str
    kind: Kind
    path: str
    body: Any = None
    seconds: float = 15.0

    @property
    def method(self) -> str:
        """The verb of HTTP."""
        return "GET" if self.verb in ("LIST", "WATCH") else self.verb


class Api:
    """Connects at the first call; a connection is for one event loop."""

    def __init__(self, alias: str, settings: KubernetesCluster) -> None:
        self.alias = alias
        self.calls: Counter[str] = Counter()
        """Calls so far, by verb and plural."""
        self.namespaces = settings.namespaces
        """Those that may be searched; all of them when empty."""
        self.unread: set[str] = set()
        """Those of `places` whose records could not be read when they were looked for last."""
        self.argo_cd = settings.argo_cd
        self._settings = settings
        self._client: ApiClient | None = None
        self._connecting = asyncio.Lock()
        self._pace = Pace(settings.calls_per_second, settings.burst)

    @property
    def places(self) -> tuple[str, ...]:
        """What a search goes through: the namespaces, or the empty name that stands for all of them."""
        return self.namespaces or ("",)

    @property
    def waited(self) -> Mapping[Lane, float]:
        """Seconds that calls waited for their turn so far."""
        return self._pace.waited

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Errors: NotFound, Denied, Unavailable, as of every call."""
        return await self._json(Call("GET", kind, kind.path(namespace, name)))

    async def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        try:
            return await self.get(kind, namespace, name)
        except NotFound:
            return None

    async def search(
        self, kind: Kind, namespace: str = "", *, labels: Mapping[str, str] | str = "", fields: str = ""
    ) -> list[Object]:
        """The objects that match the selectors, in one namespace or in all."""
        path = kind.path(namespace) + _query(labelSelector=selector(labels), fieldSelector=fields)
        items: list[Object] = (await self._json(Call("LIST", kind, path)))["items"]
        return items

    async def served(self) -> set[str]:
        """The versions of API groups that the cluster has; those of a project once it is installed."""
        groups = (await self._json(Call("GET", _GROUP, "/apis")))["groups"]
        return {version["groupVersion"] for group in groups for version in group["versions"]}

    async def create(self, kind: Kind, namespace: str, body: Object, *, dry: bool = False) -> Object:
        """The object as it is stored; `dry` stores nothing. Errors: AlreadyThere."""
        body = {"apiVersion": kind.api_version, "kind": kind.name, **body}
        path = kind.path(namespace) + _query(dryRun="All" if dry else "")
        return await self._json(Call("POST", kind, path, body))

    async def patch(
        self, kind: Kind, namespace: str, name: str, operations: list[Operation], *, dry: bool = False
    ) -> Object:
        """The object after a JSON Patch; `dry` changes nothing. Errors: PatchRefused when a test failed."""
        path = kind.path(namespace, name) + _query(dryRun="All" if dry else "")
        return await self._json(Call("PATCH", kind, path, operations))

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """Deletes the object with this uid and what it owns; when it is gone already, that is fine."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._json(Call("DELETE", kind, kind.path(namespace, name), body))
        except NotFound:
            return

    async def log(self, namespace: str, pod: str, container: str, *, previous: bool = False, lines: int = 5) -> str:
        """The last lines that a container wrote, or that the one before it in the same pod did."""
        limits = {"tailLines": str(lines), "limitBytes": str(_LOG_LIMIT)}
        asked = _query(container=container, **limits, previous="true" if previous else "")
        response = await self._send(Call("GET", POD, POD.path(namespace, pod, "log") + asked))
        return (await response.read()).decode(errors="replace")

    async def watch(
        self, kind: Kind, namespace: str, *, labels: Mapping[str, str] | str = "", fields: str = "", seconds: int
    ) -> AsyncIterator[None]:
        """Yields at once and then whenever a matching object changed, for at most so many seconds.

        What changed is not told: whoever watches looks again, and so can miss nothing.
        """
        path = kind.path(namespace) + _query(
            labelSelector=selector(labels), fieldSelector=fields, watch="true", timeoutSeconds=str(seconds)
        )
        response = await self._send(Call("WATCH", kind, path, seconds=seconds + 5.0))
        try:
            yield
            # By chunks, because an object in one line is often longer than a line may be.
            async for _ in response.content.iter_any():
                yield
        except (aiohttp.ClientError, TimeoutError):
            return
        finally:
            # A goodbye would wait for the answer of a server that has more to say.
            if (connection := response.connection) and connection.transport:
                connection.transport.abort()
            response.close()

    async def close(self) -> None:
        """Gives the connections back; idempotent."""
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]
            self._client = None

    async def _json(self, call: Call) -> Object:
        found: Object = json.loads(await (await self._send(call)).read())
        return found

    async def _send(self, call: Call) -> aiohttp.ClientResponse:
        response = await self._try(call)
        for _ in range(_TRIES - 1):
            if response.status != HTTPStatus.TOO_MANY_REQUESTS:
                break
            response.release()
            self._pace.rest(_seconds(response) or _REST)
            response = await self._try(call)
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise _error(self.alias, call, response, await response.text())
        return response

    async def _try(self, call: Call) -> aiohttp.ClientResponse:
        client = await self._connected()
        await self._pace.turn()
        self.calls[f"{call.verb} {call.kind.plural}"] += 1
        headers = {"Accept": "application/json", "Content-Type": _PATCH if call.verb == "PATCH" else "application/json"}
        try:
            sent = await client.param_serialize(
                call.method, call.path, header_params=headers, body=call.body, auth_settings=["BearerToken"]
            )
            asking = client.call_api(*sent, _request_timeout=call.seconds, _preload_content=False)
            answer = await beats.during(asking)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(
                f"the API server of cluster {self.alias} cannot be reached: {type(error).__name__}",
                provider=_PROVIDER,
                operation=call.verb,
            ) from error
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _connected(self) -> ApiClient:
        async with self._connecting:
            if self._client is None:
                configuration = Configuration()
                try:
                    if self._settings.in_cluster:
                        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
                    else:
                        file = str(self._settings.kubeconfig) if self._settings.kubeconfig else None
                        await config.load_kube_config(  # type: ignore[no-untyped-call]
                            file, self._settings.context, client_configuration=configuration, persist_config=False
                        )
                except (config.ConfigException, OSError) as error:
                    raise Denied(
                        f"cluster {self.alias}: its credentials cannot be read ({error}); check kubernetes.clusters in "
                        "the worker's settings",
                        provider=_PROVIDER,
                    ) from error
                # Temporal retries. Anything but None makes the library do so too, False even without an end.
                configuration.retries = None
                # Each wait holds two connections, so its default of 100 would let fifty releases stop all others.
                configuration.connection_pool_maxsize = 0
                self._client = ApiClient(configuration)
            return self._client


def selector(labels: Mapping[str, str] | str) -> str:
    """A label selector as the API server takes it."""
    return labels if isinstance(labels, str) else ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _query(**parameters: str) -> str:
    given = {key: value for key, value in parameters.items() if value}
    return f"?{urlencode(given)}" if given else ""


def _seconds(response: aiohttp.ClientResponse) -> float | None:
    """How long the server wants to be left alone, where it says so."""
    wait = response.headers.get("Retry-After", "")
    return float(wait) if wait.isdecimal() else None


def _error(alias: str, call: Call, response: aiohttp.ClientResponse, text: str) -> ProviderError:
    what, status = f"cluster {alias}, {call.verb} {call.path.partition('?')[0]}", response.status
    reason = details = None
    try:
        answer = json.loads(text)
        message, reason, details = f"{what}: {answer['message']}", answer.get("reason"), answer.get("details")
    except (ValueError, KeyError, TypeError):
        message = f"{what}: {status} {text[:300]}"
    # A patch that cannot be applied is told from an object that is not valid by having no details (seen in 1.34).
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and call.verb == "PATCH" and not details:
        return PatchRefused(message, provider=_PROVIDER, operation=call.verb)
    if reason == "AlreadyExists":
        return AlreadyThere(message, provider=_PROVIDER, operation=call.verb)
    if status in _PERMANENT:
        return _PERMANENT[status](message, provider=_PROVIDER, operation=call.verb)
    if status in _TEMPORARY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = _TEMPORARY.get(status, Unavailable)
        return kind(message, provider=_PROVIDER, operation=call.verb, retry_after=_seconds(response))
    return Rejected(message, provider=_PROVIDER, operation=call.verb)
