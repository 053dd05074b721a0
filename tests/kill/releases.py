"""Which releases the kill proof plays, and how each must end: every strategy with every way a release can go."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

FREE, GATED = "free", "gated"
"""Environments: without people, and with two who must agree."""
GATE = "agreed"
APPROVERS = ("ann@example.com", "bob@example.com")
NAMESPACE = "shop"
FIRST = "v1"
REPLICAS = 2
FOR_GOOD = "10m"
"""A watch that nobody waits for: what must go back has time enough to."""

STRATEGIES: dict[str, dict[str, Any]] = {
    "canary": {"kind": "canary", "stages": [{"weight": 20, "observe": "1s"}, {"weight": 60, "observe": "1500ms"}]},
    "gradual": {"kind": "blueGreen", "stages": [{"weight": 40, "observe": "1s"}, {"weight": 100, "observe": "1s"}]},
    "switch": {"kind": "blueGreen"},
    "rolling": {"kind": "rolling"},
    "recreate": {"kind": "recreate"},
}

OUTCOMES = {
    "good": "Succeeded",
    "bad": "RolledBack",
    "aborted": "Aborted",
    "approved": "Succeeded",
    "rejected": "Rejected",
}
"""How a release goes, and how it must end."""

POLICY: dict[str, Any] = {
    "apiVersion": "headgate.dev/v1",
    "kind": "Policy",
    "spec": {
        "groups": {"owners": list(APPROVERS)},
        "environments": {
            FREE: {"targets": [{"cluster": "local", "namespaces": [NAMESPACE]}]},
            GATED: {
                "targets": [{"cluster": "local", "namespaces": [NAMESPACE]}],
                "approvals": [{"name": GATE, "count": len(APPROVERS), "from": ["owners"]}],
            },
        },
    },
}


@dataclass(frozen=True)
class Wish:
    """One release that is to be played."""

    service: str
    strategy: str
    goes: str
    version: str

    @property
    def ends(self) -> str:
        """The outcome; a `no` to a stage's gate comes when users are there already."""
        is_staged = "stages" in STRATEGIES[self.strategy]
        return "RolledBack" if self.goes == "rejected" and is_staged else OUTCOMES[self.goes]

    @property
    def is_gated(self) -> bool:
        return self.goes in ("approved", "rejected")

    @property
    def environment(self) -> str:
        return GATED if self.is_gated else FREE

    @property
    def id(self) -> str:
        return f"release/{self.environment}/{self.service}"

    @property
    def program(self) -> dict[str, str]:
        """What makes the version bad."""
        return {"ERROR_RATE": "60%"} if self.goes == "bad" else {}

    def document(self) -> dict[str, Any]:
        """The Release document."""
        component: dict[str, Any] = {
            "name": self.service,
            "artifact": {"program": "demo", "env": self.program},
            "workload": {"kind": "process", "service": self.service, "replicas": REPLICAS},
            "traffic": {"kind": "envoy", "route": self.service},
            "strategy": self._strategy(),
            "drain": "1s",
            "checks": [{"kind": "http", "path": "/health", "every": "1s"}],
        }
        if self.version != FIRST:
            # Users come once there is something to come to.
            component["analysis"] = {"tick": "500ms", "minRequests": 5, "metrics": [_ERRORS]}
        return {
            "apiVersion": "headgate.dev/v1",
            "kind": "Release",
            "metadata": {"name": self.service},
            "spec": {"environment": self.environment, "version": self.version, "components": [component]},
        }

    def _strategy(self) -> dict[str, Any]:
        watch = FOR_GOOD if self.goes in ("bad", "aborted") else "1s"
        strategy = {**STRATEGIES[self.strategy], "watch": watch}
        if self.is_gated and "stages" in strategy:
            *stages, last = strategy["stages"]
            strategy["stages"] = [*stages, {**last, "approval": GATE}]
        return strategy


_ERRORS = {"name": "errors", "kind": "ratio", "source": "envoy", "rule": {"rollback": "20%", "interval": "1s"}}


def programme(dice: random.Random) -> dict[str, list[Wish]]:
    """The releases of each service, one after the other; each strategy goes each way twice."""
    services: dict[str, list[Wish]] = {}
    for strategy in STRATEGIES:
        chances = list(zip(_shuffled(dice), _shuffled(dice), strict=True))
        for number, ways in enumerate(chances, 1):
            service = f"{strategy}-{number}"
            services[service] = [
                Wish(service, strategy, way, version) for way, version in zip(ways, ("v2", "v3"), strict=True)
            ]
    return services


def first(service: str) -> Wish:
    """What every service begins with."""
    return Wish(service, "rolling", "good", FIRST)


def encore(wish: Wish, number: int) -> Wish:
    """One more release of the same service, which has to go back."""
    return replace(wish, goes="bad", version=f"v{number}")


def _shuffled(dice: random.Random) -> list[str]:
    ways = list(OUTCOMES)
    dice.shuffle(ways)
    return ways
