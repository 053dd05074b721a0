"""One object of a cluster that releases write to, with its fence in an annotation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from activities.clusters import fence
from activities.clusters.caller import caller
from activities.clusters.kubernetes.annotations import noted
from activities.clusters.kubernetes.api import AlreadyThere, Api, Object, PatchRefused
from activities.clusters.kubernetes.kinds import Kind
from activities.clusters.kubernetes.labels import is_ours
from activities.clusters.kubernetes.patch import Operation, entries, put, test
from workflows.errors import Conflict, NotFound, Rejected
from workflows.model.target import Claim

ANNOTATIONS = ("metadata", "annotations")
PREFIX = "fence.headgate.dev/"
_TRIES = 5

Change = Callable[[Object], list[Operation]]
"""From the object as it is, the patch that makes it as it should be; empty when it is so already."""

Seal = Callable[[Object], list[Operation]]
"""From the object as the API server would store it, its defaults filled in, more operations of the same patch."""


@dataclass(frozen=True)
class Resource:
    """An object by its place; it need not be there yet."""

    is_advisory = False

    api: Api
    kind: Kind
    namespace: str
    name: str

    @property
    def label(self) -> str:
        return f"{self.kind.name} {self.namespace}/{self.name}"

    async def find(self) -> Object | None:
        """The object, or None."""
        return await self.api.find(self.kind, self.namespace, self.name)

    async def get(self) -> Object:
        """Errors: NotFound, naming it as people do."""
        found = await self.find()
        if found is None:
            raise NotFound(f"{self.label} does not exist in cluster {self.api.alias}", provider="kubernetes")
        return found

    async def claim(self, key: str) -> Claim | None:
        found = await self.find()
        return _read(found, key) if found else None

    async def replace_claim(self, key: str, *, expected: Claim | None, claim: Claim) -> bool:
        """As of every fenced object; one that is not there yet has nothing to fence."""
        found = await self.find()
        if found is None:
            return True
        if _read(found, key) != expected:
            return False
        try:
            await self.api.patch(self.kind, self.namespace, self.name, _claim(found, key, claim))
        except PatchRefused:
            return False
        return True

    async def held(self, key: str, claim: Claim) -> Object:
        """The object, while exactly this claim is on it. Errors: Fenced, NotFound."""
        found = await self.get()
        self._check(found, key, claim)
        return found

    async def change(self, key: str, claim: Claim, change: Change, *, seal: Seal | None = None) -> Object:
        """Patches what `change` and `seal` ask for, while exactly this claim is on the object.

        A field that moved between our read and our write is read again. Errors: Fenced, Conflict, NotFound.
        """
        guard = test((*ANNOTATIONS, annotation(key)), _write(claim))
        for _ in range(_TRIES):
            found = await self.held(key, claim)
            operations = change(found)
            try:
                if seal:
                    operations += seal(await self._preview([guard, *operations]) if operations else found)
                if not operations:
                    return found
                return await self.api.patch(self.kind, self.namespace, self.name, [guard, *operations])
            except PatchRefused:
                continue
        raise Conflict(f"{self.label}: somebody else keeps writing it", provider="kubernetes", retry_after=1)

    async def create(self, key: str, claim: Claim, body: Object, *, dry: bool = False) -> Object:
        """Creates the object with our fence on it; one of that name that is there already is left as it is."""
        metadata = {**body.get("metadata", {}), "name": self.name, "namespace": self.namespace}
        metadata["annotations"] = {**metadata.get("annotations", {}), annotation(key): _write(claim)}
        try:
            return await self.api.create(self.kind, self.namespace, {**body, "metadata": metadata}, dry=dry)
        except AlreadyThere:
            found = await self.get()
            self._check(found, key, claim)
            return found

    async def delete(self, key: str, claim: Claim) -> None:
        """Deletes the object that carries exactly this claim; when it is gone already, that is fine. Errors: Fenced."""
        found = await self.find()
        if found is None:
            return
        self._check(found, key, claim)
        await self.api.delete(self.kind, self.namespace, self.name, uid=found["metadata"]["uid"])

    async def _preview(self, operations: list[Operation]) -> Object:
        return await self.api.patch(self.kind, self.namespace, self.name, operations, dry=True)

    def _check(self, found: Object, key: str, claim: Claim) -> None:
        held = _read(found, key)
        fence.check({key: held} if held else {}, key, claim=claim, caller=caller(), label=self.label)


class MadeResource(Resource):
    """An object that is ours to make and to delete: what somebody else has in its place counts as not there."""

    async def find(self) -> Object | None:
        found = await super().find()
        return found if found and is_ours(found) else None

    async def refuse_occupied(self) -> None:
        """As of what releases make."""
        found = await super().find()
        if found and not is_ours(found):
            raise Rejected(
                f"{self.label} is there already and is not Headgate's, which needs its name; give yours another one",
                provider="kubernetes",
            )

    async def create(self, key: str, claim: Claim, body: Object, *, dry: bool = False) -> Object:
        """As of every object, for a body with our label. Errors: Rejected where somebody else's is there."""
        try:
            return await super().create(key, claim, body, dry=dry)
        except NotFound:
            await self.refuse_occupied()
            raise


def annotation(key: str) -> str:
    """The annotation that holds the claim of a target; short, because the names of annotations are limited."""
    return PREFIX + hashlib.sha256(key.encode()).hexdigest()[:16]


def _read(found: Object, key: str) -> Claim | None:
    return noted(found, annotation(key), Claim)


def _write(claim: Claim) -> str:
    return claim.model_dump_json(by_alias=True)


def _claim(found: Object, key: str, claim: Claim) -> list[Operation]:
    name = annotation(key)
    held = found["metadata"].get("annotations")
    if held is None:
        return entries(found, ANNOTATIONS, {name: _write(claim)})
    return [test((*ANNOTATIONS, name), held.get(name)), put((*ANNOTATIONS, name), _write(claim))]
