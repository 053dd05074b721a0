"""At least fifty releases while workers die all the time: each ends as it should, and every effect is there once.

`HEADGATE_SEED=7 pytest tests/kill` plays the same programme with the same kills again, as far as a machine repeats.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from tests.kill import killer as aims
from tests.kill.evidence import Story, gates, hurried, read, recorded, repeated, unasked
from tests.kill.fleet import Fleet
from tests.kill.killer import Killer
from tests.kill.releases import FIRST, OUTCOMES, REPLICAS, STRATEGIES, encore, programme
from tests.kill.stage import Stage
from worker.sandbox import workflow_runner
from worker.wiring import workflow_classes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]

ENCORES = 5
"""Rounds of releases that go back, for as long as a kind of moment has met no kill yet."""


@dataclass
class Proof:
    """What is left when all releases have ended."""

    seed: int
    fleet: Fleet
    stories: list[Story] = field(default_factory=list)
    kills: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    doubled: Counter[str] = field(default_factory=Counter)
    """Instances that were seen twice at one time."""


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    seed = int(os.environ.get("HEADGATE_SEED", random.randrange(10**6)))
    print(f"HEADGATE_SEED={seed}")
    services = programme(random.Random(seed))
    made = Proof(seed, Fleet(tmp_path_factory.mktemp("kill"), list(services)))
    try:
        asyncio.run(_prove(made))
        _print(made)
        yield made
    finally:
        made.fleet.sweep()


def _print(made: Proof) -> None:
    print(f"HEADGATE_SEED={made.seed}: {len(made.stories)} releases, {made.kills} kills")
    print(f"under way then: {dict(made.hits)}")
    print(f"tried again: {dict(repeated(made.stories))}")


async def _prove(proof: Proof) -> None:
    dice = random.Random(proof.seed)
    services = programme(dice)
    fleet = proof.fleet
    async with fleet.running() as client:
        stage = Stage(fleet, client, dice)
        await asyncio.gather(*map(stage.begin, services))
        killer = Killer(fleet, client, dice, stage.rollouts)
        killing = [asyncio.create_task(killer.run()), asyncio.create_task(_count(proof))]
        try:
            await asyncio.gather(*map(stage.play, services.values()))
            for number in range(4, 4 + ENCORES):
                if killer.missed:
                    await asyncio.gather(*(stage.play([encore(wishes[0], number)]) for wishes in services.values()))
        finally:
            for task in killing:
                task.cancel()
            await asyncio.wait(killing)
        proof.kills, proof.hits = killer.kills, killer.hits
        proof.stories = [await read(client, played) for played in stage.played]
        for story in proof.stories:
            story.write(fleet.directory / "histories")


async def _count(proof: Proof) -> None:
    while True:
        counted = await asyncio.to_thread(proof.fleet.tokens)
        proof.doubled.update({token: count for token, count in counted.items() if count > 1})
        await asyncio.sleep(1)


def test_there_were_enough_releases_and_every_strategy_went_every_way(proof: Proof) -> None:
    played = Counter((story.wish.strategy, story.wish.goes) for story in proof.stories if story.wish.version != FIRST)
    assert played.total() >= 50
    assert played.keys() == {(strategy, goes) for strategy in STRATEGIES for goes in OUTCOMES}


def test_workers_died_in_the_middle_of_everything(proof: Proof) -> None:
    for aim in (aims.SHIFTING, aims.OBSERVING, aims.GOING_BACK, aims.SIZING):
        assert aim & proof.hits.keys(), f"no worker was killed in the middle of {', '.join(sorted(aim))}"


def test_every_release_ends_as_it_should(proof: Proof) -> None:
    wrong = [story for story in proof.stories if story.played.outcome != story.wish.ends]
    said = {_name(story): (story.played.outcome, story.played.result.get("message", "")) for story in wrong}
    assert said == {}


def test_every_target_is_as_it_should_be_right_after_each_end(proof: Proof) -> None:
    """No mark, no weight above the baseline, nothing of the other version."""
    assert {_name(story): story.played.left for story in proof.stories if story.played.left} == {}


def test_no_step_comes_early(proof: Proof) -> None:
    assert [early for story in proof.stories for early in hurried(story)] == []


def test_no_approval_is_skipped(proof: Proof) -> None:
    gated = [story for story in proof.stories if story.wish.is_gated]
    assert all(gates(story) == 1 for story in gated)
    assert [early for story in gated for early in unasked(story)] == []


async def test_every_history_replays(proof: Proof) -> None:
    """Whatever a killed worker left half done, the next one repeats it from history."""
    replayer = Replayer(
        workflows=workflow_classes(), workflow_runner=workflow_runner(), data_converter=pydantic_data_converter
    )
    for story in proof.stories:
        for history in (story.release, *story.rollouts):
            await replayer.replay_workflow(history)


def test_no_rollout_is_lost_or_settled_by_anybody_else(proof: Proof) -> None:
    assert {_name(story): len(story.rollouts) for story in proof.stories if len(story.rollouts) != 1} == {}


def test_no_instance_is_started_twice(proof: Proof) -> None:
    assert proof.doubled == {}


def test_every_audit_record_is_there_once(proof: Proof) -> None:
    kept = Counter(record["id"] for record in proof.fleet.audit())
    wanted = [name for story in proof.stories for name in recorded(story)]
    assert {name: count for name, count in kept.items() if count > 1} == {}
    assert sorted(kept) == sorted(wanted)


def test_the_audit_records_of_a_release_leave_no_number_out(proof: Proof) -> None:
    for story in proof.stories:
        numbers = [int(name.rpartition("/")[2]) for name in recorded(story)]
        assert numbers == list(range(1, len(numbers) + 1)), _name(story)


def test_versions_are_kept_once_for_each_release(proof: Proof) -> None:
    for service in proof.fleet.services:
        wanted = Counter(_kept(story) for story in proof.stories if story.wish.service == service and _kept(story))
        found = Counter((kept.version, kept.outcome) for kept in proof.fleet.state(service).kept)
        assert found == wanted, service


def test_both_objects_of_a_target_hold_one_fence_raised_once_for_each_purpose(proof: Proof) -> None:
    for service in proof.fleet.services:
        own, route = proof.fleet.state(service).fences, proof.fleet.route(service).fences
        assert own == route, service
        (claim,) = own.values()
        assert claim.epoch == sum(_purposes(story) for story in proof.stories if story.wish.service == service), service


def test_users_meet_only_what_their_release_brings(proof: Proof) -> None:
    """Errors come from bad versions alone, and maintenance from recreate alone; no request is lost."""
    bad = {(s.wish.service, s.wish.version) for s in proof.stories if s.wish.goes == "bad"}
    closed = {service for service in proof.fleet.services if service.startswith("recreate")}
    strange = {
        answer: count
        for answer, count in proof.fleet.answers.items()
        if answer[2] != "200"
        and not (answer[2] == "500" and answer[:2] in bad)
        and not (answer[2] == "maintenance" and answer[0] in closed)
    }
    assert strange == {}
    assert sum(proof.fleet.answers.values()) > 1000


def test_nothing_is_left_behind(proof: Proof) -> None:
    """But the instances that serve, with a log each; and they end with the proof."""
    services = {name: proof.fleet.state(name) for name in proof.fleet.services}
    wanted = {token for state in services.values() for token in state.instances}
    assert {token.partition("=")[2] for token in proof.fleet.tokens()} == wanted
    for name, state in services.items():
        assert len(state.of("stable")) == REPLICAS, name
        assert {path.stem for path in (proof.fleet.service(name).directory / "logs").iterdir()} == set(state.instances)
    assert list(proof.fleet.directory.rglob(".*.new")) == []


def _name(story: Story) -> str:
    return f"{story.wish.id} {story.wish.version} ({story.wish.goes})"


def _kept(story: Story) -> tuple[str, str] | None:
    """What must be remembered beside the target: what was promoted, and what a rule refused."""
    if story.wish.ends == "Succeeded":
        return story.wish.version, "promoted"
    return (story.wish.version, "rolledBack") if story.wish.goes == "bad" else None


def _purposes(story: Story) -> int:
    """One claim to release, and one to undo."""
    return 1 if story.wish.ends == "Succeeded" else 2
