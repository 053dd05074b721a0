"""The names and labels that are ours, and what label selectors match; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from workflows.errors import Unsupported

Labels = Mapping[str, str]

SLOT = "headgate.dev/slot"
TARGET = "headgate.dev/target"
MANAGED = {"app.kubernetes.io/managed-by": "headgate"}
"""On every object that Headgate makes."""

_FIRST = ("app", "app.kubernetes.io/name", "k8s-app", "app.kubernetes.io/instance")
"""Labels that selectors usually mean, changed rather than others."""


def is_ours(found: Mapping[str, Any]) -> bool:
    """Whether we made an object."""
    return MANAGED.items() <= (found["metadata"].get("labels") or {}).items()


def target_label(key: str) -> str:
    """A target's key as a label value."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def canary_name(name: str) -> str:
    """What Headgate makes beside an object of the user's is called so."""
    return f"{name}-canary"


def canary_labels(key: str) -> dict[str, str]:
    """The labels by which a target's canary pods are found, all of them and nothing else, whatever runs in them."""
    return {SLOT: "canary", TARGET: target_label(key)}


def matches(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector (`matchLabels`, `matchExpressions`) selects an object with these labels."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions") or []
    )


def selector_text(selector: Mapping[str, Any]) -> str:
    """A label selector as a query has it."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], ",".join(expression.get("values") or [])
        match expression["operator"]:
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
            case operator:
                parts.append(f"{key} {operator.lower()} ({values})")
    return ",".join(parts)


def apart(name: str, labels: Labels, selectors: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The fewest labels whose change keeps pods with these labels out of every selector: one, as a rule.

    Errors: Unsupported when no change does.
    """
    for changed in _changes(name, labels):
        if not any(matches(selector, {**labels, **changed}) for selector in selectors):
            return changed
    raise Unsupported(
        f"no label of the pods of {name} can be changed so that its selector and its Services miss them; "
        "select them by a label with a value of their own",
        provider="kubernetes",
    )


def beside(
    name: str, labels: Labels, shared: Mapping[str, Any], selectors: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """The fewest labels whose change leaves pods in the shared selector and keeps them out of most of the others.

    None is changed where the shared selector means the same labels as all others: controllers tell their pods by
    owner, and only who counts by labels, such as an autoscaler, takes both for one.
    """
    found = [changed for changed in ({}, *_changes(name, labels)) if matches(shared, {**labels, **changed})]
    return min(found, key=lambda changed: sum(matches(selector, {**labels, **changed}) for selector in selectors))


def _changes(name: str, labels: Labels) -> Iterator[dict[str, str]]:
    """Labels that could be changed together, the fewest and the usual ones first."""
    value = _label_value(name)
    keys = sorted(labels, key=lambda key: (_FIRST.index(key) if key in _FIRST else len(_FIRST), key))
    for size in range(1, len(keys) + 1):
        for chosen in combinations(keys, size):
            yield dict.fromkeys(chosen, value)


def _label_value(name: str) -> str:
    value = canary_name(name)
    return value if len(value) <= 63 else f"{name[:39]}-{target_label(name)}-canary"


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
