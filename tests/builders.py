"""Builders of documents, plans and baselines, so that a test shows only what it is about.

`a_release().canary(5, 25)` is a document that is right in every other respect; `a_policy()` allows it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Self

from workflows.model.documents import parse_policy, parse_release
from workflows.model.plan import ComponentPlan, ReleasePlan
from workflows.model.policy import Policy
from workflows.model.release import Release
from workflows.model.target import SlotState, TargetState, Template, TrafficState
from workflows.planning.releases import release_plan

ERRORS = {"name": "errors", "kind": "ratio", "source": "envoy", "rule": {"rollback": "1%", "interval": "10s"}}
"""A metric that can decide in every step."""


def _component(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "workload": {"kind": "process", "service": name},
        "traffic": {"kind": "envoy", "route": name},
        "strategy": {"kind": "canary", "stages": [{"weight": 10, "observe": "15m"}]},
        "analysis": {"metrics": [deepcopy(ERRORS)]},
    }


@dataclass(frozen=True)
class ReleaseBuilder:
    """A Release document in the making; every method returns a new one and works on the last component."""

    components: tuple[dict[str, Any], ...]
    metadata: dict[str, Any]
    fields: dict[str, Any] = field(default_factory=lambda: {"environment": "production", "version": "v2"})

    def canary(self, *weights: float, observe: str = "10m", **more: Any) -> Self:
        return self._staged("canary", weights, observe, more)

    def blue_green(self, *weights: float, observe: str = "1m", **more: Any) -> Self:
        return self._staged("blueGreen", weights or (100,), observe, more)

    def rolling(self, *, surge: int = 1, unavailable: int = 0, **more: Any) -> Self:
        return self.with_(strategy={"kind": "rolling", "maxSurge": surge, "maxUnavailable": unavailable, **more})

    def recreate(self, **more: Any) -> Self:
        return self.with_(strategy={"kind": "recreate", **more})

    def asking(self, approval: str, *, before: int = 0) -> Self:
        """The stage with this index waits for a gate."""
        strategy = deepcopy(self.components[-1]["strategy"])
        strategy["stages"][before]["approval"] = approval
        return self.with_(strategy=strategy)

    def unrouted(self) -> Self:
        """Without a router: exposure follows the replicas."""
        metric = {"name": "queue", "kind": "gauge", "series": "queue_length", "rule": {"rollback": 1000}}
        return self.with_(traffic={"kind": "none"}, analysis={"metrics": [metric]})

    def switched(self) -> Self:
        """A Deployment behind a Service that leads to one version or the other."""
        return self.behind("service")

    def behind(self, router: str, **traffic: Any) -> Self:
        """A Deployment behind a router of Kubernetes."""
        name, metric = self.components[-1]["name"], {"name": "queue", "kind": "gauge", "series": "queue_length"}
        return self.with_(
            workload={"kind": "kubernetes", "deployment": name},
            artifact={"image": f"registry.example/{name}"},
            traffic={"kind": router, "service": name, **traffic},
            analysis={"metrics": [metric | {"rule": {"rollback": 1000}}]},
        )

    def counted(self, *, tolerance: str = "0%") -> Self:
        """A Deployment behind a Service that leads to the pods of both versions."""
        name = self.components[-1]["name"]
        return self.switched().with_(traffic={"kind": "replicas", "service": name, "tolerance": tolerance})

    def of(self, sort: str, **workload: Any) -> Self:
        """A consumer that a StatefulSet (`statefulSet`) or another kind of workload runs in a cluster."""
        name = self.components[-1]["name"]
        workload = {"kind": "kubernetes", sort: name, **workload}
        return self.with_(workload=workload, artifact={"image": f"registry.example/{name}"}).unrouted()

    def previewed(self, host: str = "preview.example.com") -> Self:
        return self._traffic(preview={"host": host})

    def matched(self, header: str = "canary") -> Self:
        return self._traffic(match=[{"header": header, "exact": "true"}])

    def checked(self) -> Self:
        return self.with_(checks=[{"kind": "http", "path": "/health"}])

    def unanalysed(self) -> Self:
        return self.without("analysis")

    def and_(self, name: str, *depends_on: str) -> Self:
        """One more component."""
        more = _component(name) | ({"dependsOn": list(depends_on)} if depends_on else {})
        return replace(self, components=(*self.components, more))

    def with_(self, **fields: Any) -> Self:
        """Sets fields of the component as they are written."""
        return replace(self, components=(*self.components[:-1], self.components[-1] | fields))

    def without(self, *names: str) -> Self:
        left = {name: value for name, value in self.components[-1].items() if name not in names}
        return replace(self, components=(*self.components[:-1], left))

    def spec(self, **fields: Any) -> Self:
        """Sets fields of the spec as they are written."""
        return replace(self, fields=self.fields | fields)

    def version(self, version: str) -> Self:
        return self.spec(version=version)

    def document(self) -> dict[str, Any]:
        spec = {"components": list(self.components), **self.fields}
        return deepcopy({"apiVersion": "headgate.dev/v1", "kind": "Release", "metadata": self.metadata, "spec": spec})

    def parsed(self) -> Release:
        return parse_release(self.document())

    def planned(self, policy: PolicyBuilder | None = None) -> ReleasePlan:
        return release_plan(self.parsed(), (policy or a_policy()).parsed())

    def component(self, policy: PolicyBuilder | None = None) -> ComponentPlan:
        """The plan of the first component."""
        return self.planned(policy).components[0]

    def _staged(self, kind: str, weights: tuple[float, ...], observe: str, more: dict[str, Any]) -> Self:
        stages = [{"weight": weight, "observe": observe} for weight in weights]
        return self.with_(strategy={"kind": kind, "stages": stages, **more})

    def _traffic(self, **fields: Any) -> Self:
        return self.with_(traffic={**self.components[-1]["traffic"], **fields})


@dataclass(frozen=True)
class PolicyBuilder:
    """A Policy document in the making: one environment, `production`, unless told otherwise."""

    environment: dict[str, Any] = field(
        default_factory=lambda: {"targets": [{"cluster": "local", "namespaces": ["default"]}]}
    )
    groups: dict[str, list[str]] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)

    def approval(self, name: str, *people: str, count: int = 1, **more: Any) -> Self:
        """A gate that these people open; each approval has a group of its own."""
        group = f"{name}-people"
        gate = {"name": name, "count": count, "from": [group], **more}
        approvals = [*self.environment.get("approvals", []), gate]
        groups = {**self.groups, group: list(people)}
        return replace(self, environment={**self.environment, "approvals": approvals}, groups=groups)

    def floor(self, kind: str, **demands: Any) -> Self:
        """Allows a strategy with its floors; those not named are not allowed any more."""
        strategies = {**self.environment.get("strategies", {}), kind: demands}
        return replace(self, environment={**self.environment, "strategies": strategies})

    def places(self, **namespaces: list[str]) -> Self:
        """The only clusters and namespaces."""
        targets = [{"cluster": cluster, "namespaces": names} for cluster, names in namespaces.items()]
        return replace(self, environment={**self.environment, "targets": targets})

    def with_(self, **fields: Any) -> Self:
        """Sets fields of the environment as they are written."""
        return replace(self, environment={**self.environment, **fields})

    def and_environment(self, name: str, **fields: Any) -> Self:
        return replace(self, others={**self.others, name: {**self.environment, **fields}})

    def document(self) -> dict[str, Any]:
        spec = {"groups": self.groups, "environments": {"production": self.environment, **self.others}}
        return deepcopy({"apiVersion": "headgate.dev/v1", "kind": "Policy", "spec": spec})

    def parsed(self) -> Policy:
        return parse_policy(self.document())


def a_release(name: str = "trip") -> ReleaseBuilder:
    """A release of one component with the release's name: 10 % for 15 minutes, then everybody."""
    return ReleaseBuilder((_component(name),), {"name": name})


def a_policy() -> PolicyBuilder:
    """A policy that allows everything in one place."""
    return PolicyBuilder()


def a_template(version: str = "v1") -> Template:
    return Template(version=version, digest=f"digest-{version}", body={"program": "trip", "args": [], "env": {}})


def a_baseline(
    version: str | None = "v1", *, replicas: int = 4, ready: int | None = None, routed: bool = True
) -> TargetState:
    """A target before a release: `version` with its replicas, or nothing at all where it is None."""
    traffic = TrafficState(weights={"stable": 100} if version else {}) if routed else None
    if version is None:
        return TargetState(traffic=traffic)
    old = a_template(version)
    count = replicas if ready is None else ready
    return TargetState(
        slots={"stable": SlotState(template=old, replicas=replicas, ready={old.digest: count} if count else {})},
        traffic=traffic,
    )
