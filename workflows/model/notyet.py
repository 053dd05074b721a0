"""What `headgate.dev/v1` can say and this version cannot do: one table, a sentence each. Nothing is ever ignored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from workflows.errors import Problem
from workflows.model.complaints import shown

_AWS = "arrives with AWS support"
_LATER = "is not supported yet"
_WORKLOADS = "this version runs workloads of kind process and kubernetes"
_ROUTERS = (
    "this version has traffic of kind envoy, gatewayApi, contour, istio, traefik, nginx, ingress, service, replicas "
    "and none"
)


@dataclass(frozen=True)
class NotYet:
    """Something that is refused for now."""

    path: str
    """Where; `*` stands for any name or index."""
    sentence: str
    """Says when it comes or what to do instead; `{}` is the value."""
    when: Callable[[Any], bool] = lambda value: value not in (None, [], {}, "")
    hides: int = 0
    """How many levels up other complaints would only confuse: 1 for a `kind` hides those of its whole object."""


def _is(*values: str) -> Callable[[Any], bool]:
    return lambda value: value in values


_COPYING = ("gatewayApi", "contour", "istio")


RELEASE = (
    NotYet(
        "spec.components.*.artifact.template",
        f"template {_LATER}; image and images are; change the rest in the workload itself, before the release",
    ),
    NotYet("spec.components.*.workload.kind", f"{{}} {_AWS}; {_WORKLOADS}", _is("aws", "asg", "ec2"), 1),
    NotYet("spec.components.*.workload.targets", f"targets {_LATER}; write one component per target"),
    NotYet("spec.components.*.traffic.kind", f"{{}} {_AWS}; {_ROUTERS}", _is("alb"), 1),
    NotYet(
        "spec.components.*.traffic",
        "mirror needs a router that copies requests, which are gatewayApi, contour and istio; leave mirror out",
        lambda traffic: isinstance(traffic, dict) and "mirror" in traffic and traffic.get("kind") not in _COPYING,
    ),
    NotYet(
        "spec.components.*.strategy.retire",
        f"{{}} is about a second workload of your own, which {_LATER}; name the one that serves users in workload and "
        "leave retire out: green stands beside it as a copy, and in the end it has the new version",
        _is("keep", "scaleDown", "delete"),
    ),
    NotYet("spec.migrations", f"migrations are a later part and {_LATER}; run them before the release"),
    NotYet("spec.components.*.migrations", f"migrations are a later part and {_LATER}; run them before the release"),
    NotYet("spec.flags", "feature flags are a later part and are not supported yet; leave flags out"),
)

POLICY = (
    NotYet(
        "spec.environments.*.windows",
        "release windows are not supported yet, and a window that nobody keeps is worse than none; leave windows out",
    ),
    NotYet("spec.environments.*.gates", "gates on test results are not supported yet; leave gates out"),
    NotYet("spec.environments.*.hotfix", "rules for hotfixes are not supported yet; leave hotfix out"),
    NotYet(
        "spec.environments.*.rollback.approvals",
        "approvals of a manual rollback are not supported yet; leave them out, a rollback then needs nobody",
    ),
    NotYet(
        "spec.environments.*.approvals.*.override",
        "emergency overrides are not supported yet, because they need verified identities; leave override out",
    ),
    NotYet("spec.environments.*.approvals.*.remindEvery", f"reminding {_LATER}; leave remindEvery out"),
    NotYet("spec.environments.*.approvals.*.escalateAfter", f"escalation {_LATER}; leave escalateAfter out"),
)


def refusals(data: Any, table: tuple[NotYet, ...]) -> tuple[list[Problem], set[str]]:
    """Everything in a raw document that the table refuses, and the paths below which other complaints are moot."""
    problems, hidden = [], set()
    for entry in table:
        for path, value in _found(data, entry.path.split("."), ""):
            try:
                refused = entry.when(value)
            except TypeError:  # An unhashable value where a word is wanted; the shape check says so.
                refused = False
            if refused:
                problems.append(Problem(path, entry.sentence.format(shown(value).strip('"'))))
                hidden.add(_above(path, entry.hides))
    return problems, hidden


def is_hidden(path: str, hidden: set[str]) -> bool:
    """Whether a complaint at this path would only repeat a refusal."""
    return any(path == above or path.startswith((f"{above}.", f"{above}[")) for above in hidden)


def _found(data: Any, parts: list[str], path: str) -> Iterator[tuple[str, Any]]:
    if not parts:
        yield path.lstrip("."), data
        return
    head, *rest = parts
    if head == "*" and isinstance(data, list):
        for i, item in enumerate(data):
            yield from _found(item, rest, f"{path}[{i}]")
    elif isinstance(data, dict):
        for name in data if head == "*" else [head] if head in data else []:
            yield from _found(data[name], rest, f"{path}.{name}")


def _above(path: str, levels: int) -> str:
    for _ in range(levels):
        path = re.sub(r"(\.[^.\[\]]+|\[\d+\])$", "", path)
    return path
