"""One component's part of an Ingress that is switched: what it says, and the patch that makes it say something else.

While users are elsewhere or a preview leads to the new version, an annotation on the Ingress keeps the wish and what
was written for each of the component's backends. What was there before needs no note: it was the stable Service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activities.clusters.kubernetes.annotations import noted
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.labels import target_label
from activities.clusters.kubernetes.patch import Operation, Path, entries, put, test
from activities.clusters.kubernetes.resources import ANNOTATIONS
from activities.traffic.ingresses.places import Choice, Place, choice, leading
from activities.traffic.switching import only
from activities.traffic.weighted.edits import PREFIX
from activities.traffic.weighted.lists import dumped
from workflows.errors import ForeignChange, Rejected
from workflows.model.shapes import Message
from workflows.model.target import Backend, Target, TrafficState

PROVIDER = "ingress"
_FURTHEST: tuple[Backend, ...] = ("canary", "maintenance", "stable")
"""Where users are said to be when somebody else scattered them: as far from home as any of them."""


class Record(Message):
    """What the annotation holds."""

    wish: TrafficState
    written: dict[str, str]
    """The Service of each of the component's backends."""


@dataclass(frozen=True)
class Switch:
    """What belongs to one target in an Ingress."""

    target: Target
    services: Mapping[Backend, str]
    label: str
    """The object, for sentences."""

    def mine(self, ingress: Object) -> list[Place]:
        """The component's backends. Errors: Rejected when there are none."""
        if not (found := self._choice.of(ingress)):
            sentence = f"{self.label} has no rule that leads to Service {self.services['stable']}{self._choice}"
            raise Rejected(sentence, provider=PROVIDER)
        return found

    def read(self, ingress: Object) -> TrafficState:
        """What is asked for now; a backend that somebody else changed is told as it is. Errors: Rejected."""
        record, mine = self.record(ingress), self.mine(ingress)
        if record and record.written == leading(mine):
            return record.wish
        there = {place.service for place in mine}
        backend = next(backend for backend in _FURTHEST if self.services[backend] in there)
        weights: dict[Backend, float] = {backend: 100}
        return record.wish.model_copy(update={"weights": weights}) if record else TrafficState(weights=weights)

    def record(self, ingress: Object) -> Record | None:
        """What our annotation says, where there is one."""
        return noted(ingress, self._annotation, Record)

    def refuse_foreign(self, ingress: Object, operation: str) -> None:
        """Errors: ForeignChange where somebody else wrote over a backend of ours."""
        record, now = self.record(ingress), leading(self._choice.of(ingress))
        if record and (differing := [key for key in record.written | now if record.written.get(key) != now.get(key)]):
            field = f"{self.label}: {differing[0]}"
            before, after = record.written.get(differing[0], "nothing of ours"), now.get(differing[0], "not ours")
            message = f"{field} was written as {before} and is {after}"
            raise ForeignChange(message, field=field, provider=PROVIDER, operation=operation)

    def refers_to(self, ingress: Object, backend: Backend) -> bool:
        return any(place.service == self.services[backend] for place in self.mine(ingress))

    def patch(self, ingress: Object, state: TrafficState, *, insist: bool) -> list[Operation]:
        """Makes the Ingress ask for a state; `insist` also over somebody else's change.

        Errors: ForeignChange, Rejected.
        """
        if not insist:
            self.refuse_foreign(ingress, "write")
        mine = self.mine(ingress)
        service = self.services[only(state.weights, label=self.label, provider=PROVIDER)]
        moving = [place for place in mine if place.service != service]
        rules: dict[Path, Any] = {place.rule: _at(ingress, place.rule) for place in moving}
        is_home = service == self.services["stable"] and state.preview_to is None
        record = None if is_home else Record(wish=state, written=dict.fromkeys(leading(mine), service))
        return [
            *(test(path, rule) for path, rule in rules.items()),
            *(put((*place.backend, "name"), service) for place in moving),
            *entries(ingress, ANNOTATIONS, {self._annotation: dumped(record)}),
        ]

    @property
    def _choice(self) -> Choice:
        return choice(self.target, self.services.values())

    @property
    def _annotation(self) -> str:
        return f"{PREFIX}{target_label(self.target.key)}"


def _at(ingress: Object, path: Path) -> Any:
    found: Any = ingress
    for part in path:
        found = found[part]
    return found
