"""Benchmarks on the test bed: where it was not built or cannot run, all the others are still measured."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from infra.testbed.errors import BedError
from tests.bench.rows import Measured, Say
from tests.cluster import UNBUILT, is_built

Part = Callable[[Say], Awaitable[Measured]]


def on_a_bed(*programs: str) -> Callable[[Part], Part]:
    """A part that takes these programs, or else a sentence that says why there are no numbers."""

    def decorate(part: Part) -> Part:
        async def measure(say: Say) -> Measured:
            if not is_built(*programs):
                return _unmeasured(say, UNBUILT)
            try:
                return await part(say)
            except BedError as error:
                return _unmeasured(say, str(error))

        return measure

    return decorate


def _unmeasured(say: Say, reason: str) -> Measured:
    say(f"not measured: {reason}")
    return Measured(notes=(f"Not measured: {reason}",))
