"""The lists of backends in a route object, before and after: what is noted of them, and how they are put in place."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import NamedTuple

from activities.clusters.kubernetes.patch import Operation, Path, pointer, put, test
from activities.traffic.weighted.shapes import Rule
from activities.traffic.weighted.shares import Ref
from workflows.model.shapes import Message
from workflows.model.target import TrafficState

Lists = tuple[tuple[Ref, ...], ...]
Goal = dict[tuple[str, str], int | None]
"""Weights by entry; None stands for one that is not written."""


class Record(Message):
    """What the annotation holds."""

    wish: TrafficState
    before: Lists
    written: Lists


class Mine(NamedTuple):
    """A rule that leads to the stable Service."""

    path: Path
    field: str
    rule: Rule
    refs: tuple[Ref, ...]


class Change(NamedTuple):
    """What somebody else did to a list of ours."""

    field: str
    sentence: str


def changes(record: Record, mine: Sequence[Mine]) -> Change | None:
    """What of our weights somebody else changed first, or None."""
    if len(record.written) != len(mine):
        field = "the rules that lead to this component"
        return Change(field, f"were {len(record.written)} and are {len(mine)}")
    for rule, written in zip(mine, record.written, strict=True):
        if shares(written) != shares(rule.refs):
            words = f"was written as {_words(written)} and is {_words(rule.refs)}"
            return Change(pointer((*rule.path, rule.field)), words)
    return None


def shares(refs: Sequence[Ref]) -> Goal:
    """The weights as they are written, without entries that take no share."""
    return {ref.key: ref.weight for ref in refs if not ref.is_apart}


def _words(refs: Sequence[Ref]) -> str:
    return ", ".join(f"{ref.service or ref.rest} {'-' if ref.weight is None else ref.weight}" for ref in refs)


def replaced(mine: Sequence[Mine], bodies: Sequence[list[Rule]]) -> list[Operation]:
    """Puts lists in their places; the whole rule is tested, because its place in the list may have moved."""
    changed = [(rule, body) for rule, body in zip(mine, bodies, strict=True) if rule.rule[rule.field] != body]
    return [
        operation
        for rule, body in changed
        for operation in (test(rule.path, rule.rule), put((*rule.path, rule.field), body))
    ]


def weighed(body: Rule, weight: int | None) -> Rule:
    """The entry with another weight, or with none when none was written."""
    kept = {key: copy.deepcopy(value) for key, value in body.items() if key != "weight"}
    if weight is None:
        return kept
    # In its place, so that an unchanged entry stays as it is to the letter.
    return {key: weight if key == "weight" else kept[key] for key in body} | {"weight": weight}


def dumped(record: Message | None) -> str | None:
    """The annotation; None where there is none."""
    return json.dumps(record.model_dump(mode="json", by_alias=True), sort_keys=True) if record else None
