"""The fence: who may write to an object, decided on the object itself.

Each object of a target's write set holds, per target key, the claim that may write. A claim is raised over all objects
by compare-and-swap, and every write tests under the object's own lock that exactly its claim is still there. So a run
that was superseded, terminated or reset fails at its next write, wherever that is, and one object may serve several
components.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from activities.clusters.caller import Caller
from activities.clusters.files import Edit, StateFile
from workflows.errors import Conflict, Fenced
from workflows.model.target import PURPOSES, Claim

ATTEMPTS = 5

Fences = Mapping[str, Claim]
"""Claims by target key."""


class FencedState(BaseModel):
    """The state of an object that carries its fences with it."""

    fences: dict[str, Claim] = {}


S = TypeVar("S", bound=FencedState)


class FencedObject(Protocol):
    """Something that releases write to and that remembers who may."""

    @property
    def label(self) -> str:
        """How people know the object, such as `route trip`."""
        ...

    @property
    def is_advisory(self) -> bool:
        """Whether the object has no preconditions, so that a late write can slip through."""
        ...

    async def claim(self, key: str) -> Claim | None:
        """The claim that may write for a target."""
        ...

    async def replace_claim(self, key: str, *, expected: Claim | None, claim: Claim) -> bool:
        """Puts a claim in place of the expected one; False when another was there."""
        ...


@runtime_checkable
class Made(Protocol):
    """A fenced object that releases make and delete themselves; somebody else's in its place is never claimed."""

    async def refuse_occupied(self) -> None:
        """Errors: Rejected where somebody else's object is in its place."""
        ...


class FencedFile(Generic[S]):
    """A state file as an object of a write set; `after` derives what follows from the state, under its lock."""

    is_advisory = False

    def __init__(self, label: str, file: StateFile[S], after: Callable[[Edit[S]], None] = lambda _: None) -> None:
        self.label = label
        self._file = file
        self._after = after

    async def claim(self, key: str) -> Claim | None:
        return (await asyncio.to_thread(self._file.read)).fences.get(key)

    async def replace_claim(self, key: str, *, expected: Claim | None, claim: Claim) -> bool:
        return await asyncio.to_thread(self._replace, key, expected, claim)

    def _replace(self, key: str, expected: Claim | None, claim: Claim) -> bool:
        with self._file.edit() as edit:
            if edit.state.fences.get(key) != expected:
                return False
            edit.state.fences[key] = claim
            edit.save()
            self._after(edit)
        return True


def check(fences: Fences, key: str, *, claim: Claim, caller: Caller, label: str) -> None:
    """Passes only for the exact claim, made by the run that holds it. Errors: Fenced, naming the owner."""
    holder = fences.get(key)
    if Caller(claim.workflow_id, claim.run_id) != caller:
        raise Fenced(
            f"{label}: the claim {_words(claim)} was made by another run than {caller.workflow_id} run {caller.run_id};"
            f" the fence holds {_words(holder)}",
            operation="write",
        )
    if holder != claim:
        raise Fenced(f"{label} now belongs to {_words(holder)}; {_words(claim)} may no longer write", operation="write")


async def raise_fence(
    objects: Sequence[FencedObject], key: str, *, caller: Caller, purpose: str, is_open: Callable[[], Awaitable[bool]]
) -> Claim:
    """One new claim on every object, above all that were there; the same one again for the same owner and purpose.

    A run never goes back to an earlier purpose: a late attempt of an earlier step must not fence its own undo. Nor does
    one that is not open any more take a claim from another run, however late its attempt reads what is there: it asks
    after each look, and what changes after that look fails the swap. Errors: Fenced, Conflict.
    """
    for attempt in range(ATTEMPTS):
        found = [await item.claim(key) for item in objects]
        if any(claim and Caller(claim.workflow_id, claim.run_id) != caller for claim in found) and not await is_open():
            raise Fenced(f"{key}: {caller.workflow_id} run {caller.run_id} has ended and may claim nothing")
        claim = _next(found, key, caller=caller, purpose=purpose)
        if await _replace_all(objects, key, found=found, claim=claim):
            return claim
        await asyncio.sleep(0.01 * 2**attempt)
    raise Conflict(f"{key}: others kept claiming the target at the same time", operation="acquire", retry_after=1)


def _next(found: Sequence[Claim | None], key: str, *, caller: Caller, purpose: str) -> Claim:
    held = [claim for claim in found if claim]
    top = max((claim.epoch for claim in held), default=0)
    highest = {claim for claim in held if claim.epoch == top}
    mine = Claim(epoch=top, workflow_id=caller.workflow_id, run_id=caller.run_id, purpose=purpose)
    if highest == {mine}:
        return mine
    if any(highest == {mine.model_copy(update={"purpose": later})} for later in _later(purpose)):
        doing = "undoing" if any(claim.purpose == "undo" for claim in highest) else "releasing"
        raise Fenced(f"{key}: {caller.workflow_id} run {caller.run_id} is {doing} already", operation="acquire")
    return mine.model_copy(update={"epoch": top + 1})


def _later(purpose: str) -> tuple[str, ...]:
    return PURPOSES[PURPOSES.index(purpose) + 1 :] if purpose in PURPOSES else ()


async def _replace_all(
    objects: Sequence[FencedObject], key: str, *, found: Sequence[Claim | None], claim: Claim
) -> bool:
    for item, expected in zip(objects, found, strict=True):
        if expected != claim and not await item.replace_claim(key, expected=expected, claim=claim):
            return False
    return True


def _words(claim: Claim | None) -> str:
    if claim is None:
        return "nobody"
    return f"{claim.workflow_id} run {claim.run_id} ({claim.purpose}, epoch {claim.epoch})"
