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
    identities: tuple[str, ...] = ()
    """Which rule each of the lists is of; empty where an older version wrote this."""
    fronts: tuple[str, ...] | None = None
    """The rules that we put in front of others; None where an older version wrote this, to which all were ours."""


class Mine(NamedTuple):
    """A rule that leads to the stable Service."""

    path: Path
    field: str
    rule: Rule
    refs: tuple[Ref, ...]
    identity: str


class Change(NamedTuple):
    """What somebody else did to a list of ours."""

    field: str
    sentence: str


def changes(record: Record, mine: Sequence[Mine]) -> Change | None:
    """What of our weights somebody else changed first, or None."""
    found = [None if place is None else record.written[place] for place in places(record, mine)]
    if len(record.written) != len(mine) or None in found:
        new = f", {found.count(None)} of them new" if None in found else ""
        return Change("the rules that lead to this component", f"were {len(record.written)} and are {len(mine)}{new}")
    for rule, written in zip(mine, found, strict=True):
        if written is not None and shares(written) != shares(rule.refs):
            words = f"was written as {_words(written)} and is {_words(rule.refs)}"
            return Change(pointer((*rule.path, rule.field)), words)
    return None


def places(record: Record, mine: Sequence[Mine]) -> list[int | None]:
    """Which lists of a record are each rule's; None for a rule that is not known to be one of those noted.

    A rule that asks for other requests now is known by its place, while it says what was written there.
    """
    if len(record.before) != len(record.written):  # An older version took a rule over that had not been there.
        return [None] * len(mine)
    found = identified(record.identities, mine, among=len(record.before))
    if len(mine) != len(record.before):
        return found
    return [
        i if place is None and i not in found and shares(record.written[i]) == shares(rule.refs) else place
        for i, (rule, place) in enumerate(zip(mine, found, strict=True))
    ]


def identified(identities: Sequence[str], mine: Sequence[Mine], *, among: int) -> list[int | None]:
    """Which of so many noted lists is each rule's; None where none is for sure.

    Rules that ask for the same are told apart by their order, and so are all where nothing was noted of them, but only
    while there are as many as there were.
    """
    if not identities:
        return [*range(among)] if among == len(mine) else [None] * len(mine)
    now = [rule.identity for rule in mine]
    left = {
        name: [i for i, noted in enumerate(identities) if noted == name]
        for name in now
        if now.count(name) == identities.count(name)
    }
    return [left[name].pop(0) if name in left else None for name in now]


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
