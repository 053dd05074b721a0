"""One component's part of a VirtualService whose destinations are subsets of one host; pure.

While pods of both versions are behind the Service, every stable destination names the subset of the stable pods: it is
pinned. An annotation keeps whether its owner had written that subset.
"""

from __future__ import annotations

from dataclasses import dataclass

from activities.clusters.kubernetes.annotations import noted
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.labels import target_label
from activities.clusters.kubernetes.patch import Operation, drop, entries, patched, put, replace, test
from activities.clusters.kubernetes.resources import ANNOTATIONS
from activities.traffic.weighted.edits import Part
from activities.traffic.weighted.lists import dumped
from activities.traffic.weighted.shapes import Rule
from activities.traffic.weighted.shares import Services
from activities.traffic.weighted.subsets.view import SECTIONS, View
from workflows.errors import ForeignChange, Rejected
from workflows.model.shapes import Message
from workflows.model.target import Backend, TrafficState

PREFIX = "subsets.headgate.dev/"


class Pinned(Message):
    """What the annotation holds while the stable destinations name their subset for us."""

    was_named: bool
    """Whether their owner names it anyway."""


@dataclass(frozen=True)
class SubsetPart:
    """As `Part`, with subsets in the place of Services."""

    part: Part
    view: View

    def read(self, route: Object) -> TrafficState:
        """Errors: Rejected."""
        return self.part.read(self.view.plain(route))

    def wish(self, route: Object) -> TrafficState | None:
        """What was written last, whatever became of it; None where nothing of ours is there."""
        divided = TrafficState(weights={"stable": 100, "canary": 0}) if self.is_pinned(route) else None
        return self.part.wish(route) or divided

    def refuse_foreign(self, route: Object, operation: str) -> None:
        """Errors: ForeignChange where somebody else wrote over our weights or subsets."""
        if self.is_pinned(route) and not all(self.view.stables(route)):
            field = f"{self.part.label}: the subset of the stable destinations"
            message = f"{field} was written as {self.view.stable}, and one has none"
            raise ForeignChange(message, field=field, provider=self.part.shape.provider, operation=operation)
        self.part.refuse_foreign(self.view.plain(route), operation)

    @property
    def services(self) -> Services:
        """The Service of each backend, as the plain form has them."""
        return self.part.services

    def rules(self, route: Object) -> list[tuple[str, Rule]]:
        """The rules that lead to the component, each with the field that is its list."""
        return self.part.rules(self.view.plain(route))

    def refers_to(self, route: Object, backend: Backend) -> bool:
        """Whether any list names the backend, whatever its weight."""
        return self.part.refers_to(self.view.plain(route), backend)

    def is_pinned(self, route: Object) -> bool:
        """Whether the stable destinations name their subset for us."""
        return noted(route, self._annotation, Pinned) is not None

    def patch(
        self, route: Object, state: TrafficState, *, insist: bool = False, linger: bool = False
    ) -> list[Operation]:
        """Makes the object ask for a state. Errors: ForeignChange, Rejected."""
        if not insist:
            self.refuse_foreign(route, "write")
        plain = self.view.plain(route)
        wanted = patched(plain, self.part.patch(plain, state, insist=insist, linger=linger))
        return self._written(route, wanted, is_pinned=needs_subsets(state))

    def copied(self, route: Object, state: TrafficState) -> list[Operation]:
        """Has copies of requests sent to the canary while a state says so. Errors: Rejected where a rule cannot."""
        plain = self.view.plain(route)
        wanted = patched(plain, self.part.copied(plain, state))
        return self._written(route, wanted, is_pinned=self.is_pinned(route))

    def refuse_pruned(self, stored: Object, state: TrafficState) -> list[Operation]:
        """As of `Part`."""
        return self.part.refuse_pruned(self.view.plain(stored), state)

    def introduce(self, route: Object, state: TrafficState) -> list[Operation]:
        """Adds the entries that a state needs, with weight 0."""
        plain = self.view.plain(route)
        wanted = patched(plain, self.part.introduce(plain, state))
        return self._written(route, wanted, is_pinned=self.is_pinned(route) or needs_subsets(state))

    def companion(self, route: Object, state: TrafficState) -> Object | None:
        """The object for the preview host, when the state has one."""
        made = self.part.companion(self.view.plain(route), state)
        return made and self.view.raw(made, is_pinned=False)

    def leads(self, route: Object) -> tuple[object, list[list[tuple[str, str]]]]:
        """As of `Part`."""
        return self.part.leads(self.view.plain(route))

    @property
    def _annotation(self) -> str:
        return f"{PREFIX}{target_label(self.part.key)}"

    def _written(self, route: Object, plain: Object, *, is_pinned: bool) -> list[Operation]:
        pinned = noted(route, self._annotation, Pinned) or Pinned(was_named=self._was_named(route))
        wanted = self.view.raw(plain, is_pinned=is_pinned or pinned.was_named)
        noted_there = plain["metadata"].get("annotations") or {}
        annotations = {name: noted_there.get(name) for name in (self.part.annotation, self.part.copies)}
        annotations[self._annotation] = dumped(pinned) if is_pinned else None
        rules = [operation for section in SECTIONS for operation in _replaced(route, wanted, section)]
        return [*rules, *entries(route, ANNOTATIONS, annotations)]

    def _was_named(self, route: Object) -> bool:
        """Errors: Rejected when some name the subset and some do not, because nobody could restore that."""
        named = self.view.stables(route)
        if any(named) and not all(named):
            raise Rejected(
                f"{self.part.label}: some destinations of Service {self.view.service} name the subset "
                f"{self.view.stable} and some none; name it in all of them or in none",
                provider=self.part.shape.provider,
            )
        return any(named)


def needs_subsets(state: TrafficState) -> bool:
    """Whether pods of the canary are there or about to come: a weight of it is written, be it 0."""
    return "canary" in state.weights or state.preview_to == "canary"


def _replaced(route: Object, wanted: Object, section: str) -> list[Operation]:
    """Rule by rule where that is possible: other components write to the same list."""
    before, after = route["spec"].get(section) or [], wanted["spec"].get(section) or []
    if len(before) != len(after):
        return replace(route, ("spec", section), after)
    changed = [(("spec", section, i), *pair) for i, pair in enumerate(zip(before, after, strict=True))]
    return [op for path, old, new in changed if old != new for op in (test(path, old), drop(path), put(path, new))]
