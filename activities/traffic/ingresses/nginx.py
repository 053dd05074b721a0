"""ingress-nginx: weights by its canary annotations, on an Ingress of our own beside the user's.

The user's Ingress is read and carries the fence; its rules and what it tells a controller stay untouched. All users are
back when the canary Ingress is gone, those with a session too. ingress-nginx answers nothing about what it follows.

The canary Ingress is made with weight 0, and only after the fence was looked at once more it gets its weight. So an
attempt that comes too late leaves at most an Ingress that takes nobody, and whoever comes next finds and takes it over.
What was written is noted on the canary's Service too, later than on the Ingress and no longer than it: without that,
an Ingress that somebody deletes would look like one that was never made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from activities.clusters.fence import FencedObject
from activities.clusters.kubernetes.annotations import noted
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.changes import Changes, Watched
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import INGRESS
from activities.clusters.kubernetes.labels import target_label
from activities.clusters.kubernetes.patch import Operation, entries
from activities.clusters.kubernetes.resources import ANNOTATIONS, MadeResource, Resource
from activities.traffic.affinity import of_ingress
from activities.traffic.following import nonzero, refuse_unbalanced, until_written, words
from activities.traffic.ingresses import copies
from activities.traffic.ingresses.annotations import canary_annotations, is_canary, told, weight
from activities.traffic.ingresses.places import Choice, Place
from activities.traffic.protocol import Verified
from activities.traffic.weighted.backends import POLL, Backends, rising
from activities.traffic.weighted.companions import Companion
from activities.traffic.weighted.edits import PREFIX
from activities.traffic.weighted.lists import dumped
from workflows.errors import ForeignChange, Rejected, Unsupported
from workflows.model.shapes import Message
from workflows.model.target import Backend, Claim, Slot, Target, TrafficState

LEAD = 2.0
"""Seconds by which ingress-nginx follows as a rule: it takes changes together, and its workers look once a second."""
_PROVIDER = "nginx"


class Record(Message):
    """What the annotations on the canary Ingress and on the canary's Service hold."""

    wish: TrafficState
    written: dict[str, str]
    """What ingress-nginx was told."""


class NginxRouter:
    """Makes canary Ingresses in the clusters of its settings."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    def objects(self, target: Target) -> Sequence[FencedObject]:
        place = self._place(target)
        return (place.ingress, place.canary, place.backends.resource("canary"))

    async def read(self, target: Target) -> TrafficState | None:
        place = self._place(target)
        place.mine(await place.ingress.get())
        found = await place.canary.find()
        return place.state(found) if found else _HOME

    def wanted(self, target: Target, weights: dict[Backend, float], preview_to: Slot | None) -> TrafficState:
        refuse_unbalanced(target, weights, provider=_PROVIDER)
        if weights.get("maintenance"):
            raise Unsupported(
                "a canary Ingress cannot lead users to the maintenance answer; use traffic of kind ingress for that",
                provider=_PROVIDER,
            )
        if preview_to == "stable":
            raise Unsupported("nginx previews the new version only, not the stable one", provider=_PROVIDER)
        match = [dict(item) for item in target.traffic.get("match") or ()] if preview_to else []
        return TrafficState(weights=weights, preview_to=preview_to, raw={"match": match} if match else {})

    async def affinity(self, target: Target) -> str:
        return of_ingress(await self._place(target).ingress.get())

    async def check(self, target: Target, claim: Claim) -> None:
        place = self._place(target)
        await place.ingress.held(target.key, claim)
        if claim.purpose == "release":
            await place.refuse_foreign(await place.canary.find(), "write")

    async def write(self, target: Target, claim: Claim, state: TrafficState) -> None:
        await self._write(self._place(target), claim, state, insist=claim.purpose != "release")

    async def look(self, target: Target) -> None:
        place = self._place(target)
        await place.refuse_foreign(await place.canary.find(), "look")

    def changes(self, target: Target) -> Changes:
        place = self._place(target)
        return Changes(place.canary.api, *map(Watched.one, (place.canary, *place.backends.shared)))

    async def put_back(self, target: Target, claim: Claim) -> None:
        place = self._place(target)
        if record := await place.written(await place.canary.find()):
            await self._write(place, claim, record.wish, insist=True)

    async def verify(self, target: Target, weights: dict[Backend, float], *, patience: float = 0) -> Verified:
        place = self._place(target)
        difference = partial(self._difference, place, weights)
        unheard = f"nothing says whether ingress-nginx follows {place.canary.label}"
        return await until_written(difference, patience=patience, pause=POLL, lead=LEAD, unheard=unheard)

    async def _write(self, place: _Place, claim: Claim, state: TrafficState, *, insist: bool) -> None:
        target = place.target
        ingress = await place.ingress.held(target.key, claim)
        found = await place.canary.find()
        if not insist:
            await place.refuse_foreign(found, "write")
        if _is_home(state):
            await place.note(claim, None)
            await place.companion(claim).remove()
            if found is None:  # Requests that are under way may finish; the Service goes with its Deployment then.
                await place.backends.remove(claim, "canary")
            return
        if found is None:
            await self._refuse_others(place, place.mine(ingress))
        await place.backends.ensure(claim, ["canary"])
        now = place.state(found) if found else _HOME
        await place.backends.wait(rising(state.weights, now.weights), provider=_PROVIDER)
        await place.companion(claim).ensure(await self._body(place, ingress))
        await place.ingress.held(target.key, claim)
        written = await place.canary.change(target.key, claim, partial(place.patch, ingress=ingress, state=state))
        await place.note(claim, place.record(written))

    async def _body(self, place: _Place, ingress: Object) -> Object:
        owners = await place.backends.owners()
        asleep = copies.class_annotation(ingress) | canary_annotations(ingress, _HOME)
        service = place.backends.names["canary"]
        return copies.beside(ingress, place.mine(ingress), service=service, metadata={"annotations": asleep, **owners})

    async def _refuse_others(self, place: _Place, mine: Sequence[Place]) -> None:
        """ingress-nginx takes one canary for each rule, and which one is nobody's choice. Errors: Rejected."""
        wanted = {(found.host, found.path) for found in mine}
        for other in await place.ingress.api.search(INGRESS, place.ingress.namespace):
            rules = {(rule.host, rule.path) for rule in Choice(None).of(other)}
            if is_canary(other) and wanted & rules:
                raise Rejected(
                    f"Ingress {place.ingress.namespace}/{other['metadata']['name']} is a canary of the same rules, and "
                    "ingress-nginx takes one; remove it before the release",
                    provider=_PROVIDER,
                )

    async def _difference(self, place: _Place, weights: dict[Backend, float]) -> str:
        """What still differs between the weights and the cluster, or nothing. Errors: ForeignChange."""
        found = await place.canary.find()
        await place.refuse_foreign(found, "verify")
        asked = (place.state(found) if found else _HOME).weights
        if nonzero(asked) != nonzero(weights):
            return f"{place.canary.label} asks for {words(nonzero(asked))}, not for {words(weights)}"
        return await place.backends.unready(weights)

    def _place(self, target: Target) -> _Place:
        backends = Backends(self._clusters.get(target.cluster), target)
        name = str(target.traffic.get("ingress", ""))
        return _Place(
            target=target,
            backends=backends,
            ingress=Resource(backends.api, INGRESS, target.namespace, name),
            canary=MadeResource(backends.api, INGRESS, target.namespace, backends.names["canary"]),
        )


@dataclass(frozen=True)
class _Place:
    """Everything that a router touches for one target."""

    target: Target
    backends: Backends
    ingress: Resource
    """The user's own."""
    canary: MadeResource
    """The one beside it."""

    def mine(self, ingress: Object) -> list[Place]:
        """The user's rules that lead to the component. Errors: Rejected when there are none, or it is no user's."""
        if is_canary(ingress):
            raise Rejected(f"{self.ingress.label} is a canary itself; name the Ingress beside it", provider=_PROVIDER)
        stable = self.backends.names["stable"]
        if not (found := Choice([stable]).of(ingress)):
            raise Rejected(f"{self.ingress.label} has no rule that leads to Service {stable}", provider=_PROVIDER)
        return found

    def state(self, canary: Object) -> TrafficState:
        """What the canary Ingress asks for; a weight that somebody else wrote is told as it is."""
        record = self.record(canary)
        if record and record.written == told(canary):
            return record.wish
        share = weight(canary)
        weights: Mapping[Backend, float] = {"stable": round(100 - share, 2), "canary": share}
        return (record.wish if record else _HOME).model_copy(update={"weights": dict(weights)})

    def record(self, found: Object) -> Record | None:
        """What our annotation says, where there is one."""
        return noted(found, self._annotation, Record)

    async def written(self, canary: Object | None) -> Record | None:
        """What was written last, by the canary Ingress or, where that is gone, by its Service."""
        found = canary or await self._service.find()
        return self.record(found) if found else None

    async def note(self, claim: Claim, record: Record | None) -> None:
        """Says on the canary's Service, where it is there, what the canary Ingress has."""
        await Companion(self._service, self.target.key, claim).note(self._annotation, dumped(record))

    async def refuse_foreign(self, canary: Object | None, operation: str) -> None:
        """Errors: ForeignChange where somebody else wrote over what is ours, or deleted the Ingress."""
        await self.backends.refuse_foreign(operation)
        record = await self.written(canary)
        if record is None:
            return
        field = self.canary.label
        before, after = words(nonzero(record.wish.weights)), "gone"
        if canary := canary or await self.canary.find():  # It may have been made between the two looks.
            now = told(canary)
            differing = [key for key in record.written | now if record.written.get(key) != now.get(key)]
            if not differing:
                return
            field = f"{field}: {differing[0]}"
            before, after = record.written.get(differing[0], "nothing"), now.get(differing[0], "gone")
        message = f"{field} was written as {before} and is {after}"
        raise ForeignChange(message, field=field, provider=_PROVIDER, operation=operation)

    def patch(self, canary: Object, ingress: Object, state: TrafficState) -> list[Operation]:
        """Makes the canary Ingress ask for a state."""
        wanted = canary_annotations(ingress, state)
        gone = dict.fromkeys(told(canary).keys() - wanted.keys())
        note = {self._annotation: dumped(Record(wish=state, written=wanted))}
        return entries(canary, ANNOTATIONS, {**gone, **wanted, **note})

    def companion(self, claim: Claim) -> Companion:
        return Companion(self.canary, self.target.key, claim)

    @property
    def _service(self) -> MadeResource:
        return self.backends.resource("canary")

    @property
    def _annotation(self) -> str:
        return f"{PREFIX}{target_label(self.target.key)}"


_HOME = TrafficState(weights={"stable": 100})
"""All users where they are without a canary Ingress."""


def _is_home(state: TrafficState) -> bool:
    return state.preview_to is None and nonzero(state.weights) == _HOME.weights
