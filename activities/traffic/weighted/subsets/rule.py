"""The two subsets of a component in a DestinationRule: written for a release, and as they were after it; pure.

An annotation keeps the entries that were there before, so that whoever finds the object can restore it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from activities.clusters.kubernetes.annotations import noted
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.labels import target_label
from activities.clusters.kubernetes.patch import Operation, drop, entries, replace, test
from activities.clusters.kubernetes.resources import ANNOTATIONS
from activities.traffic.weighted.lists import dumped
from activities.traffic.weighted.subsets.part import PREFIX
from workflows.errors import ForeignChange
from workflows.model.shapes import Message

Labels = dict[str, str]
_LIST = ("spec", "subsets")


class Written(Message):
    """What the annotation holds while subsets are ours."""

    before: dict[str, dict[str, Any] | None]
    """The whole entries by name; None for one that was not there."""
    labels: dict[str, Labels]
    """What we wrote."""


def written(rule: Object, key: str) -> Written | None:
    """What our annotation says, where there is one."""
    return noted(rule, f"{PREFIX}{target_label(key)}", Written)


def refuse_foreign(rule: Object, key: str, operation: str) -> None:
    """Errors: ForeignChange where somebody else changed what a subset of ours selects."""
    ours = written(rule, key)
    found = {entry["name"]: entry.get("labels") for entry in rule["spec"].get("subsets") or ()}
    for name, labels in (ours.labels if ours else {}).items():
        if found.get(name) != labels:
            metadata = rule["metadata"]
            field = f"DestinationRule {metadata.get('namespace')}/{metadata['name']}: subset {name}"
            message = f"{field} was written as {labels} and is {found.get(name)}"
            raise ForeignChange(message, field=field, provider="istio", operation=operation)


def pointed(rule: Object, key: str, labels: Mapping[str, Labels], *, insist: bool) -> list[Operation]:
    """Subsets of these names select these labels; what else an entry of the user's says stays.

    Errors: ForeignChange when somebody else changed one of ours, unless `insist`.
    """
    if not insist:
        refuse_foreign(rule, key, "write")
    there = {entry["name"]: entry for entry in rule["spec"].get("subsets") or ()}
    known = written(rule, key)
    before = known.before if known else {name: there.get(name) for name in labels}
    wanted = [
        {**entry, "labels": labels[entry["name"]]} if entry["name"] in labels else entry for entry in there.values()
    ]
    wanted += [{"name": name, "labels": chosen} for name, chosen in labels.items() if name not in there]
    note = Written(before=before, labels={name: dict(chosen) for name, chosen in labels.items()})
    return [*replace(rule, _LIST, wanted), *_noted(rule, key, note)]


def restored(rule: Object, key: str) -> list[Operation]:
    """Our subsets as they were before us; those of others stay as they are."""
    if (known := written(rule, key)) is None:
        return []
    there = rule["spec"].get("subsets") or []
    wanted = [known.before.get(entry["name"], entry) for entry in there]
    left = [entry for entry in wanted if entry is not None]
    names = {entry["name"] for entry in there}
    left += [entry for name, entry in known.before.items() if entry is not None and name not in names]
    lists = replace(rule, _LIST, left) if left else [test(_LIST, there), drop(_LIST)] if there else []
    return [*lists, *_noted(rule, key, None)]


def _noted(rule: Object, key: str, note: Written | None) -> list[Operation]:
    return entries(rule, ANNOTATIONS, {f"{PREFIX}{target_label(key)}": dumped(note)})
