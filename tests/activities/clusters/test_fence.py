from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from activities.clusters import fence
from activities.clusters.caller import Caller
from activities.clusters.fence import FencedFile, FencedState, check
from activities.clusters.files import StateFile
from workflows.errors import Conflict, Fenced
from workflows.model.target import Claim

FIRST = Caller("rollout/a", "run-1")
SECOND = Caller("rollout/a", "run-2")
KEY = "local/test/process/trip"


async def is_open() -> bool:
    return True


raise_fence = partial(fence.raise_fence, is_open=is_open)


@pytest.fixture
def objects(tmp_path: Path) -> list[FencedFile[FencedState]]:
    return [
        FencedFile(name, StateFile(tmp_path / f"{name}.json", FencedState)) for name in ("service", "route", "third")
    ]


async def held(objects: list[FencedFile[FencedState]]) -> set[Claim | None]:
    return {await item.claim(KEY) for item in objects}


async def test_a_claim_stands_on_every_object(objects: list[FencedFile[FencedState]]) -> None:
    claim = await raise_fence(objects, KEY, caller=FIRST, purpose="release")
    assert claim == Claim(epoch=1, workflow_id="rollout/a", run_id="run-1", purpose="release")
    assert await held(objects) == {claim}


async def test_the_same_owner_gets_the_same_claim_again(objects: list[FencedFile[FencedState]]) -> None:
    claims = [await raise_fence(objects, KEY, caller=FIRST, purpose="release") for _ in range(3)]
    assert len(set(claims)) == 1


async def test_another_purpose_or_run_gets_a_higher_epoch(objects: list[FencedFile[FencedState]]) -> None:
    epochs = [
        (await raise_fence(objects, KEY, caller=who, purpose=purpose)).epoch
        for who, purpose in ((FIRST, "release"), (FIRST, "undo"), (SECOND, "release"), (SECOND, "undo"))
    ]
    assert epochs == [1, 2, 3, 4]


async def test_the_new_epoch_is_above_the_highest_of_all_objects(objects: list[FencedFile[FencedState]]) -> None:
    ahead = Claim(epoch=41, workflow_id="rollout/b", run_id="x", purpose="undo")
    assert await objects[2].replace_claim(KEY, expected=None, claim=ahead)
    assert (await raise_fence(objects, KEY, caller=FIRST, purpose="release")).epoch == 42


async def test_a_claim_that_died_half_way_is_completed(objects: list[FencedFile[FencedState]]) -> None:
    partial = await raise_fence(objects[:1], KEY, caller=FIRST, purpose="release")
    assert await raise_fence(objects, KEY, caller=FIRST, purpose="release") == partial
    assert await held(objects) == {partial}


async def test_a_run_that_undoes_never_releases_again(objects: list[FencedFile[FencedState]]) -> None:
    undo = await raise_fence(objects, KEY, caller=FIRST, purpose="undo")
    with pytest.raises(Fenced, match="undoing already"):
        await raise_fence(objects, KEY, caller=FIRST, purpose="release")
    assert await held(objects) == {undo}


async def test_a_run_that_settles_a_lost_one_may_release_afterwards(objects: list[FencedFile[FencedState]]) -> None:
    restore = await raise_fence(objects, KEY, caller=FIRST, purpose="restore")
    release = await raise_fence(objects, KEY, caller=FIRST, purpose="release")
    assert release.epoch == restore.epoch + 1
    with pytest.raises(Fenced, match="releasing already"):
        await raise_fence(objects, KEY, caller=FIRST, purpose="restore")
    assert await held(objects) == {release}


async def test_a_run_that_ended_takes_no_claim_that_came_while_it_looked(
    objects: list[FencedFile[FencedState]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run takes over between its first look and its first write."""
    await raise_fence(objects, KEY, caller=FIRST, purpose="release")
    looking = type(objects[2]).claim
    newer: list[Claim] = []

    async def late(item: FencedFile[FencedState], key: str) -> Claim | None:
        found = await looking(item, key)
        if item is objects[2] and not newer:
            newer.append(Claim(epoch=0, workflow_id="", run_id="", purpose=""))
            newer.append(await raise_fence(objects, KEY, caller=SECOND, purpose="undo"))
        return found

    async def has_ended() -> bool:
        return False

    monkeypatch.setattr(type(objects[2]), "claim", late)
    with pytest.raises(Fenced, match="run-1 has ended and may claim nothing"):
        await fence.raise_fence(objects, KEY, caller=FIRST, purpose="undo", is_open=has_ended)
    assert await held(objects) == {newer[1]}


async def test_components_on_one_object_do_not_fence_each_other(objects: list[FencedFile[FencedState]]) -> None:
    mine = await raise_fence(objects, KEY, caller=FIRST, purpose="release")
    await raise_fence(objects, "local/test/process/other", caller=SECOND, purpose="release")
    assert await held(objects) == {mine}


async def test_of_runs_that_race_the_highest_epoch_wins_everywhere(objects: list[FencedFile[FencedState]]) -> None:
    racers = [Caller(f"rollout/{n}", f"run-{n}") for n in range(6)]
    claims = await asyncio.gather(
        *(raise_fence(objects, KEY, caller=who, purpose="release") for who in racers), return_exceptions=True
    )
    won = [claim for claim in claims if isinstance(claim, Claim)]
    assert all(isinstance(claim, Claim | Conflict) for claim in claims)
    assert len({claim.epoch for claim in won}) == len(won)
    top = max(won, key=lambda claim: claim.epoch)
    if len(won) == len(claims):
        assert await held(objects) == {top}


async def test_racing_runs_never_share_an_epoch_on_an_object(
    objects: list[FencedFile[FencedState]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Claim] = []
    replace = FencedFile.replace_claim

    async def recording(self: FencedFile[FencedState], key: str, *, expected: Claim | None, claim: Claim) -> bool:
        done = await replace(self, key, expected=expected, claim=claim)
        seen.extend([claim] if done else [])
        return done

    monkeypatch.setattr(FencedFile, "replace_claim", recording)
    monkeypatch.setattr(fence, "ATTEMPTS", 30)
    racers = [Caller(f"rollout/{n}", f"run-{n}") for n in range(5)]
    await asyncio.gather(*(raise_fence(objects, KEY, caller=who, purpose="release") for who in racers))
    by_epoch: dict[int, set[str]] = {}
    for claim in seen:
        by_epoch.setdefault(claim.epoch, set()).add(claim.run_id)
    assert all(len(runs) == 1 for runs in by_epoch.values())
    assert len(await held(objects)) == 1


@pytest.mark.parametrize(
    ("held_by", "shown", "who"),
    [
        pytest.param(SECOND, FIRST, FIRST, id="another run took over"),
        pytest.param(FIRST, FIRST, SECOND, id="a reset run shows the claim of the run it replaces"),
        pytest.param(None, FIRST, FIRST, id="nobody holds the fence"),
    ],
)
def test_a_write_without_the_exact_claim_is_refused(held_by: Caller | None, shown: Caller, who: Caller) -> None:
    holder = Claim(epoch=2, workflow_id=held_by[0], run_id=held_by[1], purpose="release") if held_by else None
    claim = Claim(epoch=2, workflow_id=shown[0], run_id=shown[1], purpose="release")
    with pytest.raises(Fenced, match=held_by.run_id if held_by else "nobody"):
        check({KEY: holder} if holder else {}, KEY, claim=claim, caller=who, label="route trip")


def test_an_older_epoch_of_the_same_run_is_refused() -> None:
    old = Claim(epoch=1, workflow_id=FIRST[0], run_id=FIRST[1], purpose="release")
    now = old.model_copy(update={"epoch": 2, "purpose": "undo"})
    with pytest.raises(Fenced):
        check({KEY: now}, KEY, claim=old, caller=FIRST, label="route trip")
    check({KEY: now}, KEY, claim=now, caller=FIRST, label="route trip")
