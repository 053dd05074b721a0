"""The few calls that the test bed itself makes to an API server: apply files, read an object, wait for a condition."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes.client import ApiException, Configuration
from kubernetes.config import new_client_from_config

from infra.testbed.errors import BedError
from infra.testbed.processes import polling

Manifest = dict[str, Any]


class _Loader(yaml.CSafeLoader):
    """Takes a bare `=`, which CRDs have as a value, for a string; PyYAML knows no such type."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


class Api:
    """An API server, spoken to with the credentials of a kubeconfig."""

    def __init__(self, kubeconfig: Path, *, context: str | None = None) -> None:
        settings = Configuration()
        settings.retries = False
        self._client: Any = new_client_from_config(  # type: ignore[no-untyped-call]
            str(kubeconfig), context=context, client_configuration=settings
        )
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    @property
    def server(self) -> str:
        return str(self._client.configuration.host)

    @property
    def is_ready(self) -> bool:
        try:
            return bool(self.request("GET", "/readyz", limit=2) == "ok")
        except (ApiException, urllib3.exceptions.HTTPError):
            return False

    def get(self, path: str) -> Any:
        """Read an API path; None when nothing is there."""
        try:
            return self.request("GET", path)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def request(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json", limit: float = 30
    ) -> Any:
        """Send one request and decode the answer; raises ApiException for an answer that is an error."""
        headers = {"Content-Type": kind, "Accept": "application/json"}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        answer = self._client.call_api(method, self.server + path, headers, body, _request_timeout=limit)
        text = answer.read().decode()
        if not 200 <= answer.status < 300:
            raise ApiException(status=answer.status, reason=text)
        return json.loads(text) if text.startswith("{") else text

    def apply(self, *files: Path) -> None:
        """Apply every object in the files, or in the YAML files of a folder, on the server's side; safe to repeat."""
        for manifest in read_manifests(*files):
            self.apply_object(manifest)

    def apply_object(self, manifest: Manifest) -> None:
        """Apply one object; where no namespace is given it is `default`."""
        name, kind = manifest["metadata"]["name"], manifest["kind"]
        prefix = f"/{'apis' if '/' in manifest['apiVersion'] else 'api'}/{manifest['apiVersion']}"
        plural, is_namespaced = self._resource(prefix, kind)
        where = f"/namespaces/{manifest['metadata'].get('namespace', 'default')}" if is_namespaced else ""
        path = f"{prefix}{where}/{plural}/{name}?fieldManager=testbed&force=true"
        try:
            self.request("PATCH", path, manifest, kind="application/apply-patch+yaml")
        except ApiException as error:
            raise BedError(
                f"The API server refused {kind} {name}: {error.reason[:500]}\nCorrect the manifest."
            ) from error

    def token(self, namespace: str, account: str) -> str:
        """Ask for a token of a service account, good for a day."""
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
        answer = self.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", asked)
        return str(answer["status"]["token"])

    def wait_for(self, condition: str, path: str, *, limit: float = 60) -> None:
        """Wait until the object exists and the condition is true."""
        for _ in polling(f"{condition} of {path}", limit=limit):
            conditions = (self.get(path) or {}).get("status", {}).get("conditions") or []
            if any(c["type"] == condition and c["status"] == "True" for c in conditions):
                return

    def _resource(self, prefix: str, kind: str) -> tuple[str, bool]:
        """The plural of a kind and whether it has a namespace; waits, for a new CRD is served a moment later."""
        for _ in polling(f"the API server to serve {kind} in {prefix}", limit=30):
            if found := self._kinds.get((prefix, kind)):
                return found
            for resource in (self.get(prefix) or {}).get("resources", []):
                if "/" not in resource["name"]:
                    self._kinds[prefix, resource["kind"]] = (resource["name"], resource["namespaced"])
        raise AssertionError  # polling ends by raising


def read_manifests(*places: Path) -> Iterator[Manifest]:
    """Read the objects of YAML files, and of the YAML files in folders."""
    for place in places:
        for file in sorted(place.glob("*.yaml")) if place.is_dir() else [place]:
            yield from filter(None, yaml.load_all(file.read_text(), _Loader))
