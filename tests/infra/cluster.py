"""The chart on a real API server: its objects put there, and its service account used as a worker uses it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import ApiException

from infra.testbed.api import Api
from tests.infra.chart import Helm, Manifest
from tests.temporal import unique

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
"""Nothing of the chart needs more than Pod Security's strictest level."""


@dataclass(frozen=True)
class Server:
    """An API server in the hands of an administrator."""

    kubeconfig: Path

    @property
    def api(self) -> Api:
        return Api(self.kubeconfig)

    def namespace(self, **labels: str) -> str:
        """A new one."""
        name = unique("test")
        self.api.apply_object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        return name

    def try_out(self, manifest: Manifest) -> Any:
        """What the server would store, unknown fields refused; nothing is stored. Errors: ApiException."""
        api, metadata = self.api, manifest["metadata"]
        prefix = f"/{'apis' if '/' in manifest['apiVersion'] else 'api'}/{manifest['apiVersion']}"
        plural, _ = api._resource(prefix, manifest["kind"])
        place = f"{prefix}/namespaces/{metadata['namespace']}/{plural}"
        return api.request("POST", f"{place}?dryRun=All&fieldValidation=Strict", manifest)

    def join(self, helm: Helm, place: Path, home: str = "", /, **own: Any) -> Account:
        """Put the chart's service account and its rights there, in a namespace of its own or a given one, and sign in
        as it."""
        home = home or self.namespace()
        for manifest in helm.render(home, inCluster=own):
            if manifest["kind"] in ("ServiceAccount", "Role", "RoleBinding"):
                self.api.apply_object(manifest)
        return Account(self._sign_in(home, place), home)

    def _sign_in(self, home: str, place: Path) -> Path:
        found = yaml.safe_load(self.kubeconfig.read_text())
        [cluster] = found["clusters"]
        user = {"name": "headgate", "user": {"token": self.api.token(home, "headgate")}}
        context = {"name": "headgate", "context": {"cluster": cluster["name"], "user": "headgate"}}
        written = {**found, "users": [user], "contexts": [context], "current-context": "headgate"}
        file = place / f"{home}.json"
        file.write_text(json.dumps(written))
        return file


@dataclass(frozen=True)
class Account:
    """The chart's service account."""

    kubeconfig: Path
    home: str

    @property
    def api(self) -> Api:
        return Api(self.kubeconfig)

    def may(self, verb: str, resource: str, namespace: str = "", *, group: str = "", name: str = "") -> bool:
        """What the API server says about a right of ours."""
        resource, _, sub = resource.partition("/")
        asked = {
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": sub,
            "namespace": namespace,
            "name": name,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
        }
        answer = self.api.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    def rights(self, namespace: str) -> set[tuple[str, str, str]]:
        """All that the account may do in a namespace beyond what everybody may."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        answer = self.api.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)
        return {
            (group, resource, verb)
            for rule in answer["status"]["resourceRules"]
            for group in rule.get("apiGroups", [])
            for resource in rule.get("resources", [])
            for verb in rule["verbs"]
            if not resource.startswith("selfsubject")
        }

    def status(self, method: str, path: str, body: Any = None) -> int:
        """The HTTP status of one request."""
        try:
            self.api.request(method, path, body)
        except ApiException as error:
            return int(error.status)
        return 200
