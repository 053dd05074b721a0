"""One component's part of a route object: what it says, and the patch that makes it say something else.

While weights of ours are written, an annotation on the object keeps the wish, the weights that were there before us and
those that we wrote, each with the rule that it is of, and which rules are ours. So the object itself can be restored by
anybody, and a weight that is neither the one nor the other was written by somebody else. The annotation goes away with
our last weight.

Only weights are ever restored, never whole entries: a port or a filter that its owner changes meanwhile stays changed.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activities.clusters.kubernetes.annotations import noted
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.labels import target_label
from activities.clusters.kubernetes.patch import Operation, at, drop, entries, pointer, put, test
from activities.clusters.kubernetes.resources import ANNOTATIONS
from activities.traffic.weighted.fronts import Front, moved
from activities.traffic.weighted.hosts import service_in
from activities.traffic.weighted.lists import (
    Change,
    Goal,
    Lists,
    Mine,
    Record,
    changes,
    dumped,
    identified,
    places,
    replaced,
    shares,
    weighed,
)
from activities.traffic.weighted.shapes import Rule, Shape
from activities.traffic.weighted.shares import BACKENDS, Ref, Services, divided, percents
from workflows.errors import ForeignChange, Rejected
from workflows.model.complaints import did_you_mean, listed
from workflows.model.target import Backend, Slot, TrafficState

PREFIX = "traffic.headgate.dev/"
_ALONE = 100
"""The weight of an entry without others."""
_RULES = "rules"
"""The key in a recorded state under which the weights stand that were there before us."""
_IDENTITIES = "identities"
"""The key under which it stands which rules they are of."""


@dataclass(frozen=True)
class Part:
    """What belongs to one component in the route objects of one shape."""

    shape: Shape
    namespace: str
    services: Services
    key: str
    """The target's key."""
    label: str
    """The object, for sentences."""
    routes: tuple[str, ...] = ()
    """The names of the only rules that may be touched; all of them when empty."""

    def read(self, route: Object) -> TrafficState:
        """What is asked for now; weights that somebody else changed are told as they are. Errors: Rejected."""
        record, mine = self.record(route), self._mine(route)
        if record and not changes(record, mine):
            return record.wish
        self._refuse_unknown(route)
        if not mine:
            raise Rejected(
                f"{self.label} has no rule that leads to Service {self.services['stable']}{self._among}",
                provider=self.shape.provider,
            )
        weights = self._percents([rule.refs for rule in mine])
        if record:
            return record.wish.model_copy(update={"weights": weights})
        lists = [[list(ref) for ref in rule.refs] for rule in mine]
        return TrafficState(weights=weights, raw={_RULES: lists, _IDENTITIES: [rule.identity for rule in mine]})

    def record(self, route: Object) -> Record | None:
        """What our annotation says, where there is one."""
        return noted(route, self.annotation, Record)

    def wish(self, route: Object) -> TrafficState | None:
        """What was written last, whatever became of it; None where nothing of ours is there."""
        record = self.record(route)
        return record.wish if record else None

    def refuse_foreign(self, route: Object, operation: str) -> None:
        """Errors: ForeignChange where somebody else wrote over our weights or copies, or a rule for a header."""
        record, mine = self.record(route), self._mine(route)
        if record and (found := changes(record, mine) or self._changed(route, record, mine)):
            field = f"{self.label}: {found.field}"
            message = f"{field} {found.sentence}"
            raise ForeignChange(message, field=field, provider=self.shape.provider, operation=operation)

    def rules(self, route: Object) -> list[tuple[str, Rule]]:
        """The rules that lead to the component, each with the field that is its list."""
        return [(rule.field, rule.rule) for rule in self._mine(route)]

    def refers_to(self, route: Object, backend: Backend) -> bool:
        """Whether any list names the backend, whatever its weight, or copies are sent to it."""
        lists = (rule[field] for _, field, rule in self.shape.rules(route))
        named = any(ref.service == self.services[backend] for bodies in lists for ref in self._refs(bodies))
        return named or (backend == "canary" and self.is_copied(route))

    def patch(
        self, route: Object, state: TrafficState, *, insist: bool = False, linger: bool = False
    ) -> list[Operation]:
        """Makes the object ask for a state; `insist` also where somebody else changed our weights.

        With `linger`, entries that would go stay with weight 0: a data plane may forget a backend before it forgets the
        weights that led there, and what is left can be taken away by the same patch without it. Errors: ForeignChange,
        Rejected.
        """
        if not insist:
            self.refuse_foreign(route, "write")
        record, mine = self.record(route), self._mine(route)
        before = self._before(record, mine)
        goals = self._goals(before, state, mine)
        lingering = [self._lingering(rule, goal) if linger else {} for rule, goal in zip(mine, goals, strict=True)]
        there, taken = self._fronts_there(route, record)
        is_aside = linger and (there or self.is_copied(route))
        if is_aside and not any(self._has_canary(goal) for goal in goals + lingering):
            lingering = [self._canaries(rule) for rule in mine]  # Only headers led there.
        bodies = self._bodies(mine, [self._beside(goal, more) for goal, more in zip(goals, lingering, strict=True)])
        if not state.weights and self._percents(self._divisions(bodies)):
            raise Rejected(f"{self.label} must send its requests to somebody", provider=self.shape.provider)
        fronts = [front for front in self._fronts(mine, state) if self.shape.identity(*front) not in taken]
        marks = tuple(self.shape.identity(*front) for front in fronts)
        note = self._record(mine, wish=state, before=before, bodies=bodies, fronts=marks)
        is_clean = self._is_back(before, state) and not any(lingering)
        return [
            *replaced(mine, bodies),
            *moved(there, fronts),
            *entries(route, ANNOTATIONS, {self.annotation: None if is_clean else dumped(note)}),
        ]

    def introduce(self, route: Object, state: TrafficState) -> list[Operation]:
        """Adds the entries that a state needs, with weight 0: the data plane learns of them before requests do.

        Nothing when all of them are there, or when somebody else changed our weights.
        """
        record, mine = self.record(route), self._mine(route)
        if record and changes(record, mine):
            return []
        before = self._before(record, mine)
        goals = []
        for rule, goal in zip(mine, self._goals(before, state, mine), strict=True):
            now = shares(rule.refs)
            goals.append(self._beside(now, {key: 0 for key, weight in goal.items() if weight and key not in now}))
        bodies = self._bodies(mine, goals)
        if not (operations := replaced(mine, bodies)):
            return []
        fronts = record.fronts if record else ()
        note = self._record(mine, wish=self.read(route), before=before, bodies=bodies, fronts=fronts)
        return [*operations, *entries(route, ANNOTATIONS, {self.annotation: dumped(note)})]

    def companion(self, route: Object, state: TrafficState) -> Object | None:
        """The object for the preview host, when the state has one."""
        host, slot = state.raw.get("preview"), state.preview_to
        if not (host and slot and self.shape.companion):
            return None
        mine = [rule for rule in self._mine(route) if self._has_headers(rule)]
        rules = [copy.deepcopy(self._uncopied(rule.rule)) | {rule.field: [self._alone(rule, slot)]} for rule in mine]
        return self.shape.companion(route, str(host), rules)

    def leads(self, route: Object) -> tuple[object, list[list[tuple[str, str]]]]:
        """Which hosts an object serves, and where each of its rules leads."""
        lists = [[ref.key for ref in self._refs(rule[field])] for _, field, rule in self.shape.rules(route)]
        return at(route, self.shape.host), lists

    def copied(self, route: Object, state: TrafficState) -> list[Operation]:
        """Has copies of requests sent to the canary while a state says so. Errors: Rejected where a rule cannot."""
        percent = state.raw.get("mirror")
        if self.shape.mirror is None or not (percent or self.is_copied(route)):
            return []
        pairs = [(rule, self._copying(rule, percent)) for rule in self._mine(route) if self._has_headers(rule)]
        changed = [(rule.path, rule.rule, wanted) for rule, wanted in pairs if rule.rule != wanted]
        operations = [op for path, old, new in changed for op in (test(path, old), drop(path), put(path, new))]
        return [*operations, *entries(route, ANNOTATIONS, {self.copies: f"{percent:g}%" if percent else None})]

    def refuse_pruned(self, stored: Object, state: TrafficState) -> list[Operation]:
        """Nothing where the API server stores copies as they are asked for. Errors: Rejected."""
        if self.copied(stored, state):
            raise Rejected(
                f"{self.label}: its kind is too old here to copy a share of the requests; set mirror.percent to 100",
                provider=self.shape.provider,
            )
        return []

    def is_copied(self, route: Object) -> bool:
        """Whether copies are sent to the canary for us."""
        return self.copies in (route["metadata"].get("annotations") or {})

    @property
    def copies(self) -> str:
        """Where it is noted that copies are ours."""
        return f"mirror.headgate.dev/{target_label(self.key)}"

    @property
    def annotation(self) -> str:
        """Where the record is."""
        return f"{PREFIX}{target_label(self.key)}"

    @property
    def _among(self) -> str:
        return f" among its routes {listed(self.routes)}" if self.routes else ""

    def _refuse_unknown(self, route: Object) -> None:
        known = [rule["name"] for _, _, rule in self.shape.rules(route) if rule.get("name")]
        for name in self.routes:
            if name not in known:
                raise Rejected(
                    f"{self.label} has no route named {name}{did_you_mean(name, known)} (it has {listed(known)})",
                    provider=self.shape.provider,
                )

    def _refs(self, bodies: Sequence[Rule]) -> tuple[Ref, ...]:
        """The entries of a list; one that is there twice is numbered."""
        seen: Counter[tuple[str, str]] = Counter()
        refs = []
        for body in bodies:
            ref = self.shape.ref(body, self.namespace)
            seen[ref.key] += 1
            number = seen[ref.key]
            refs.append(ref if number == 1 else ref._replace(rest=f"{ref.rest}#{number}"))
        return tuple(refs)

    def _divisions(self, lists: Sequence[Sequence[Rule]]) -> Lists:
        """How lists divide requests, copies of them apart."""
        return tuple(tuple(ref for ref in self._refs(bodies) if not ref.is_apart) for bodies in lists)

    def _mine(self, route: Object) -> list[Mine]:
        """The rules that lead to the stable Service; those that we put in front lead to the canary alone."""
        found = [
            Mine(path, field, rule, self._refs(rule[field]), self.shape.identity(path, rule))
            for path, field, rule in self.shape.rules(route)
        ]
        named = [rule for rule in found if not self.routes or rule.rule.get("name") in self.routes]
        return [rule for rule in named if any(ref.service == self.services["stable"] for ref in rule.refs)]

    def _before(self, record: Record | None, mine: Sequence[Mine]) -> Lists:
        """What each rule had before us."""
        if record is None:
            return tuple(rule.refs for rule in mine)
        found = zip(mine, places(record, mine), strict=True)
        return tuple(self._collapsed(rule.refs) if place is None else record.before[place] for rule, place in found)

    def _percents(self, lists: Sequence[Sequence[Ref]]) -> dict[Backend, float]:
        """Of the rule that is furthest from home, when they differ."""
        found = [percents(refs, self.services, self.shape.effective) for refs in lists]
        return min(filter(None, found), key=lambda shares: shares.get("stable", 0.0), default={})

    def _is_back(self, before: Lists, state: TrafficState) -> bool:
        """Whether a state asks for nothing but what was there before us."""
        return _RULES in state.raw or (state.preview_to is None and self._is_home(before, state))

    def _is_home(self, before: Lists, state: TrafficState) -> bool:
        """Whether all users are to be where they all were before us."""
        wanted = {backend: weight for backend, weight in state.weights.items() if weight}
        return wanted == {"stable": 100} == self._percents(before)

    def _record(self, mine: Sequence[Mine], *, bodies: Sequence[Sequence[Rule]], **noted: Any) -> Record:
        identities = tuple(rule.identity for rule in mine)
        return Record(written=self._divisions(bodies), identities=identities, **noted)

    def _goals(self, before: Lists, state: TrafficState, mine: Sequence[Mine]) -> list[Goal]:
        """The weight of every entry that each rule shall have, but for entries that are new and not ours."""
        found = before
        if recorded := state.raw.get(_RULES):
            lists = [tuple(Ref(*ref) for ref in refs) for refs in recorded]
            known = identified(state.raw.get(_IDENTITIES, ()), mine, among=len(lists))
            found = tuple(
                self._collapsed(refs) if place is None else lists[place]
                for refs, place in zip(before, known, strict=True)
            )
        if _RULES in state.raw or self._is_home(before, state):
            return [shares(refs) for refs in found]
        return [self._divided(refs, state, is_idle=not self._percents(before)) for refs in found]

    def _divided(self, refs: Sequence[Ref], state: TrafficState, *, is_idle: bool) -> Goal:
        before = shares(refs)
        if is_idle:  # Nothing came to the component anywhere, so there are no proportions to keep.
            refs = [ref._replace(weight=1) if ref.service == self.services["stable"] else ref for ref in refs]
        elif not percents(refs, self.services, self.shape.effective):
            return before
        goal = divided(refs, self.services, state.weights, effective=self.shape.effective, limit=self.shape.limit)
        stable = self.services["stable"]
        return {key: weight for key, weight in goal.items() if weight or key in before or key[0] == stable}

    def _beside(self, goal: Goal, unused: Goal) -> Goal:
        """Weights with more entries that get nothing; written out, as what is not written means something else then."""
        if not unused:
            return goal
        return dict(zip(goal, self.shape.effective(list(goal.values())), strict=True)) | unused

    def _lingering(self, rule: Mine, goal: Goal) -> Goal:
        return {ref.key: 0 for ref in rule.refs if self._is_extra(ref) and ref.key not in goal}

    def _canaries(self, rule: Mine) -> Goal:
        return {(self.services["canary"], ref.rest): 0 for ref in rule.refs if ref.service == self.services["stable"]}

    def _has_canary(self, goal: Goal) -> bool:
        return any(service == self.services["canary"] for service, _ in goal)

    def _collapsed(self, refs: Sequence[Ref]) -> tuple[Ref, ...]:
        """A rule that appeared meanwhile, as it would be without us: what our backends get is the stable one's."""
        if not any(self._is_extra(ref) for ref in refs):
            return tuple(refs)
        goal = divided(refs, self.services, {"stable": 100}, effective=self.shape.effective, limit=self.shape.limit)
        return tuple(ref._replace(weight=goal[ref.key]) for ref in refs if ref.key in goal and not self._is_extra(ref))

    def _is_extra(self, ref: Ref) -> bool:
        return ref.service in (self.services["canary"], self.services["maintenance"])

    def _bodies(self, mine: Sequence[Mine], goals: Sequence[Goal]) -> list[list[Rule]]:
        return [self._body(rule, goal) for rule, goal in zip(mine, goals, strict=True)]

    def _body(self, rule: Mine, goal: Goal) -> list[Rule]:
        """The list of a rule with these weights: entries keep their places, new ones follow the stable one's."""
        bodies: list[Rule] = []
        there = {ref.key for ref in rule.refs}
        for ref, body in zip(rule.refs, rule.rule[rule.field], strict=True):
            if ref.key in goal:
                bodies.append(weighed(body, goal[ref.key]))
            elif not self._is_extra(ref):
                bodies.append(body)
            if ref.service != self.services["stable"]:
                continue
            twins = [(self.services[backend], ref.rest) for backend in BACKENDS if backend != "stable"]
            new = [twin for twin in twins if twin in goal and twin not in there]
            bodies += [weighed(self.shape.renamed(body, twin[0]), goal[twin]) for twin in new]
        return bodies

    def _alone(self, mine: Mine, slot: Slot) -> Rule:
        """The only entry of a rule that leads to one slot, made from the first that leads to the stable Service."""
        bodies = zip(mine.refs, mine.rule[mine.field], strict=True)
        body = next(body for ref, body in bodies if ref.service == self.services["stable"])
        return weighed(self.shape.renamed(body, self.services[slot]), _ALONE)

    def _fronts(self, mine: Sequence[Mine], state: TrafficState) -> list[Front]:
        """The rules that lead requests with one of the headers to the new version, with the rules they come before."""
        headers, slot = state.raw.get("match"), state.preview_to
        if not (headers and slot and self.shape.fronts):
            return []
        return [
            (rule.path, front | {rule.field: [self._alone(rule, slot)]})
            for rule in mine
            if self._has_headers(rule)
            for front in self.shape.fronts(self._uncopied(rule.rule), headers)
        ]

    def _copying(self, mine: Mine, percent: float | None) -> Rule:
        mirror, rule = self.shape.mirror, self._uncopied(mine.rule)
        if mirror is None or not percent:
            return rule
        if obstacle := mirror.obstacle(rule):
            raise Rejected(
                f"{self.label}: {pointer(mine.path)} has {obstacle}, and {self.shape.provider} allows no other "
                "beside it; leave traffic.mirror out",
                provider=self.shape.provider,
            )
        return mirror.beside(rule, self._alone(mine, "canary"), percent)

    def _uncopied(self, rule: Rule) -> Rule:
        return self.shape.mirror.without(rule, self._is_canary) if self.shape.mirror else rule

    def _is_canary(self, name: str) -> bool:
        return service_in(name, self.namespace) == self.services["canary"]

    def _has_headers(self, rule: Mine) -> bool:
        """Whether the rule is for HTTP requests and not for connections."""
        return rule.path[:-1] == self.shape.lists[0][0]

    def _changed(self, route: Object, record: Record, mine: Sequence[Mine]) -> Change | None:
        """What of the rest that is ours somebody else changed first, or None."""
        there, _ = self._fronts_there(route, record)
        if record.fronts is not None and len(there) != len(record.fronts):
            return Change("the rules for its headers", f"were {len(record.fronts)} and are {len(there)}")
        found = (rule for rule in mine if self.is_copied(route) and self._is_recopied(rule, record.wish))
        return next((Change(f"{pointer(rule.path)}: copies of requests", "are not as written") for rule in found), None)

    def _is_recopied(self, mine: Mine, wish: TrafficState) -> bool:
        """Whether copies go to the canary in another way than the wish says."""
        mirror, percent = self.shape.mirror, wish.raw.get("mirror")
        if mirror is None or not percent or not self._has_headers(mine):
            return False
        return mirror.ours(mine.rule, self._is_canary) != [mirror.copying(self._alone(mine, "canary"), percent)]

    def _fronts_there(self, route: Object, record: Record | None) -> tuple[list[Front], set[str]]:
        """The rules that we put in front of others; and the identities of others that lead to the canary alone."""
        ours: list[Front] = []
        others: set[str] = set()
        for path, field, rule in self.shape.rules(route):
            if any(ref.service != self.services["canary"] for ref in self._refs(rule[field])):
                continue
            identity = self.shape.identity(path, rule)
            if record and (record.fronts is None or identity in record.fronts):
                ours.append((path, rule))
            else:
                others.add(identity)
        return ours, others
