"""What a worker and its server use while 10, 50 and 100 releases observe."""

from __future__ import annotations

from tests.bench.consumption import Use, over
from tests.bench.crowd import gather
from tests.bench.ground import Ground, Layout, pid_of
from tests.bench.rows import Measured, Row, Say, Sheet

SIZES = (10, 50, 100)
SPAN = 15.0
"""Seconds over which the processor is watched: three ticks of each observation."""


async def measure(say: Say) -> Measured:
    """A table by size; nothing was promised of it."""
    uses: dict[int, dict[str, Use]] = {}
    async with Ground(Layout(), say) as ground:
        pids = {"worker": pid_of(ground.workers[0]), "temporal": pid_of(ground.server)}
        say("an idle worker")
        uses[0] = await over(SPAN, pids)
        for before, size in zip((0, *SIZES), SIZES, strict=False):
            await gather(ground, (f"c{number}" for number in range(before, size)))
            uses[size] = await over(SPAN, pids)
    most, least = uses[SIZES[-1]], uses[SIZES[0]]
    return Measured(
        [
            Row(f"{SIZES[-1]} observing: processor of {name}", "–", [use.cores * 100], unit="% of a core")
            for name, use in most.items()
        ],
        [Sheet("One worker and its server while releases observe", _COLUMNS, [*_lines(uses), _growth(least, most)])],
        notes=(
            f"Processor time over {SPAN:g} s, without users; memory is what is resident.",
            "Each release reads two metrics every 5 s, from the service itself.",
            "In the worker's share is the upkeep of the instances: each is asked every 2 s whether it is ready.",
        ),
    )


_COLUMNS = ("observing", "worker, cores", "worker, MB", "temporal, cores", "temporal, MB")


def _lines(uses: dict[int, dict[str, Use]]) -> list[list[str]]:
    return [
        [str(size), *(text for name in ("worker", "temporal") for text in _texts(use[name]))]
        for size, use in uses.items()
    ]


def _texts(use: Use) -> tuple[str, str]:
    return f"{use.cores:.3f}", f"{use.megabytes:.0f}"


def _growth(least: dict[str, Use], most: dict[str, Use]) -> list[str]:
    """Per release, between the smallest and the largest crowd."""
    count = SIZES[-1] - SIZES[0]
    found = []
    for name in ("worker", "temporal"):
        found.append(f"{(most[name].cores - least[name].cores) / count:.4f}")
        found.append(f"{(most[name].megabytes - least[name].megabytes) / count:.2f}")
    return ["each more", *found]
