"""A worker dies in the middle of any activity: another one does it again, and the release ends as it should.

To the server an attempt that nobody completes is a worker that is gone: no beat and no answer comes any more.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from tests.workflows.lab import BAD, STRATEGIES, Lab, Trial, a_lab
from tests.workflows.test_interruptions import is_promoted, same, settled

When = Literal["before", "after"]
"""Whether the worker dies before its activity has had an effect, or after it and before the answer."""
WHENS: tuple[When, When] = ("before", "after")
Who = Literal["release", "rollout"]
"""Whose activity it is."""


class Place(NamedTuple):
    """Where a worker dies."""

    who: Who
    nth: int
    when: When
    is_good: bool
    """Whether the version passes."""


@dataclass
class Deaths(Interceptor):
    """Lets the worker of a release's nth activity die, once."""

    planned: dict[str, tuple[int, When]] = field(default_factory=dict)
    """By workflow id; activities count from 0."""
    seen: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Activity ids by workflow id."""
    died: dict[str, str] = field(default_factory=dict)
    """The type of the activity in which a release's worker died."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Mortal(next, self)

    def due(self, info: activity.Info) -> When | None:
        """When a worker dies in the activity that begins now, if it does."""
        of = str(info.workflow_id)
        nth = len(self.seen[of])
        self.seen[of].add(info.activity_id)
        wanted, when = self.planned.get(of, (-1, "before"))
        if of in self.died or nth != wanted:
            return None
        self.died[of] = info.activity_type
        return when


class _Mortal(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, deaths: Deaths) -> None:  # noqa: A002
        super().__init__(next)
        self._deaths = deaths

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        when = self._deaths.due(activity.info())
        if when == "before":
            activity.raise_complete_async()
        result = await super().execute_activity(input)
        if when == "after":
            activity.raise_complete_async()
        return result


async def dies(lab: Lab, deaths: Deaths, strategy: str, at: Place) -> None:
    """A good release, or a bad one, whose worker dies there."""
    trial = a_release(lab, strategy, at.is_good)
    before, of = trial.place.state(), id_of(trial, at.who)
    deaths.planned[of] = (at.nth, at.when)
    await trial.start()
    outcome, _ = await trial.end()
    await settled(trial)
    where = f"{strategy}: {at}, {deaths.died.get(of)}"
    assert outcome == ("Succeeded" if at.is_good else "RolledBack"), where
    after = trial.place.state()
    assert is_promoted(after) if at.is_good else same(after, before), where


def a_release(lab: Lab, strategy: str, is_good: bool) -> Trial:
    trial = lab.release(strategy)
    if not is_good:
        lab.world.verdicts[trial.components[0].target.key] = lambda _: BAD
    return trial


def id_of(trial: Trial, who: Who) -> str:
    return trial.release.id if who == "release" else trial.rollout.id


async def places(lab: Lab, deaths: Deaths, strategy: str, who: Who) -> list[Place]:
    """Each activity of a release that nothing happens to: before its effect going one way, after it going the other."""
    found = []
    for is_good in (True, False):
        calm = a_release(lab, strategy, is_good)
        await calm.start()
        await calm.end()
        count = len(deaths.seen[id_of(calm, who)])
        found += [Place(who, nth, WHENS[(nth + is_good) % 2], is_good) for nth in range(count)]
    return found


@pytest.mark.parametrize(
    ("who", "strategy"), [*(("rollout", strategy) for strategy in STRATEGIES), ("release", "canary")]
)
async def test_a_release_whose_worker_dies_in_any_activity_ends_as_it_should(
    client: Client, who: Who, strategy: str
) -> None:
    deaths = Deaths()
    async with a_lab(client, interceptors=[deaths]) as lab:
        everywhere = await places(lab, deaths, strategy, who)
        await asyncio.gather(*(dies(lab, deaths, strategy, place) for place in everywhere))
        assert len(deaths.died) >= 0.9 * len(everywhere)  # Observers may need one attempt more or less.
        assert lab.world.violations == []
