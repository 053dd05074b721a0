"""Ask image registries whether an image can be pulled (OCI distribution, `HEAD /v2/<name>/manifests/<reference>`).

Asked from here, not from the nodes: so silence proves nothing, and neither does a refusal without a pull secret,
because nodes of a cloud sign in by themselves.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal, NamedTuple

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from activities.references.images import Credential, Image, matching
from activities.references.settings import RegistrySettings

_ACCEPTED = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_HOSTS = {"docker.io": "registry-1.docker.io"}
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
Headers = CIMultiDictProxy[str]

_NOBODY: list[Credential | None] = [None]
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Answer(NamedTuple):
    """What a registry said of an image."""

    state: Literal["there", "missing", "denied", "silent"]
    digest: str = ""
    """Where it is there and the registry said so."""
    message: str = ""
    is_signed_in: bool = False
    """Whether a credential was tried."""


class Registries:
    """Asks registries within the time of its settings."""

    def __init__(self, settings: RegistrySettings) -> None:
        self.settings = settings

    async def ask(self, image: Image, held: Sequence[Credential]) -> Answer:
        """With each credential that is for the image in turn, as a node does; without one, as anybody."""
        seconds = self.settings.timeout.total_seconds()
        answer = Answer("silent", message=f"gave no answer in {seconds:g} s")
        try:
            async with (
                asyncio.timeout(seconds),
                aiohttp.ClientSession(trust_env=True, headers={"Accept": ", ".join(_ACCEPTED)}) as session,
            ):
                for credential in matching(held, image) or _NOBODY:
                    answer = await _Question(session, image, credential, self._root(image.registry)).answer()
                    if answer.state != "denied":
                        break
        except TimeoutError:
            return answer
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer("silent", message=f"could not be asked: {type(error).__name__}")
        return answer

    def _root(self, registry: str) -> URL:
        is_plain = registry in self.settings.plain_http or _is_here(registry)
        return URL(f"{'http' if is_plain else 'https'}://{_HOSTS.get(registry, registry)}")


class _Question(NamedTuple):
    """One image, asked for with one credential."""

    session: aiohttp.ClientSession
    image: Image
    credential: Credential | None
    root: URL

    async def answer(self) -> Answer:
        status, headers = await self._head({})
        if status == HTTPStatus.UNAUTHORIZED and (authorization := await self._authorization(headers)):
            status, headers = await self._head({"Authorization": authorization})
        return self._understood(status, headers)

    async def _head(self, headers: dict[str, str]) -> tuple[int, Headers]:
        url = self.root / f"v2/{self.image.repository}/manifests/{self.image.reference}"
        async with self.session.head(url, headers=headers, allow_redirects=True, max_redirects=3) as response:
            return response.status, response.headers

    def _understood(self, status: int, headers: Headers) -> Answer:
        is_signed_in = self.credential is not None
        if status == HTTPStatus.OK:
            digest = headers.get("Docker-Content-Digest", "")
            return Answer("there", digest if _DIGEST.match(digest) else "")
        if status == HTTPStatus.NOT_FOUND:
            return Answer("missing", is_signed_in=is_signed_in)
        if status in _DENIED:
            return Answer("denied", message=f"answered {status}", is_signed_in=is_signed_in)
        return Answer("silent", message=f"answered {status}")

    async def _authorization(self, headers: Headers) -> str:
        """What the registry's challenge asks for; nothing where there is nothing to give."""
        scheme, _, rest = headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "basic" and self.credential:
            return _basic(self.credential)
        parameters = dict(_PARAMETER.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in parameters:
            return ""
        token = await self._token(URL(parameters["realm"]), parameters)
        return f"Bearer {token}" if token else ""

    async def _token(self, realm: URL, parameters: dict[str, str]) -> str:
        """A password goes to no other place than one with TLS, or where the registry itself has none."""
        if realm.scheme != "https" and self.root.scheme == "https":
            return ""
        asked = {"scope": parameters.get("scope") or f"repository:{self.image.repository}:pull"}
        if service := parameters.get("service"):
            asked["service"] = service
        async with self._sign_in(realm, asked) as response:
            if response.status != HTTPStatus.OK:
                return ""
            found = await response.json(content_type=None)
            return str(found.get("token") or found.get("access_token") or "")

    def _sign_in(self, realm: URL, asked: dict[str, str]) -> aiohttp.client._RequestContextManager:
        if self.credential and self.credential.identity:
            more = {"grant_type": "refresh_token", "refresh_token": self.credential.identity, "client_id": "headgate"}
            return self.session.post(realm, data=asked | more)
        headers = {"Authorization": _basic(self.credential)} if self.credential else {}
        return self.session.get(realm, params=asked, headers=headers)


def _basic(credential: Credential) -> str:
    return aiohttp.encode_basic_auth(credential.user, credential.password)


def _is_here(registry: str) -> bool:
    host = registry.rpartition(":")[0] or registry
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
