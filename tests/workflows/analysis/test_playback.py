"""A release that is over, decided again as it would have been."""

from __future__ import annotations

from dataclasses import replace

from tests.workflows.analysis.test_evidence_of_a_session import BAD_VERSION, GOOD, OLD, Rollout, a_rollout, errors
from workflows.analysis import reasons
from workflows.analysis.batches import Batch
from workflows.analysis.playback import Staged, play, windows

Ticks = tuple[tuple[float, ...], tuple[float, ...], int]


def recorded(*ticks: Ticks) -> tuple[Rollout, list[Staged]]:
    rollout = a_rollout(errors())
    for new, old, times in ticks:
        for _ in range(times):
            rollout.look(new, old)
    return rollout, [Staged(batch) for batch in rollout.read]


def test_it_decides_what_was_decided_at_the_same_moment() -> None:
    live, read = recorded((GOOD, OLD, 5), (BAD_VERSION, OLD, 60))
    played = play(live.analysis, read)
    first = next(i for i, step in enumerate(live.steps) if step.decision.verdict == "rollback")
    assert [turn.decision.verdict for turn in played.turns] == ["continue", "rollback"]
    assert played.turns[-1].seconds == 5 * first
    assert played.last.evidence == live.steps[first].evidence
    assert played.last.state.timeline.count == first


def test_stage_is_decided_at_its_end_and_a_hold_goes_on() -> None:
    live, read = recorded((GOOD, OLD, 20))
    stages = [reading._replace(stage="5" if i <= 10 else "25") for i, reading in enumerate(read)]
    played = play(live.analysis, stages)
    assert [(turn.seconds, turn.decision.verdict) for turn in played.turns] == [
        (0, "continue"),
        (50, "pass"),
        (55, "continue"),
        (100, "pass"),
    ]
    wanting = live.analysis.model_copy(update={"min_requests": 10**6})
    assert play(wanting, stages).turns[-1].decision.reason == reasons.TOO_FEW_REQUESTS


def test_long_recording_is_cut_into_releases_of_their_own() -> None:
    live, read = recorded((GOOD, OLD, 26))
    cut = list(windows(read, 60))
    assert [(part[0].batch.at - 1000, part[-1].batch.at - 1000) for part in cut] == [(0, 60), (60, 120)]
    assert all(play(live.analysis, part).last.reports[0].requests == 600 for part in cut)


def test_without_an_old_version_only_limits_decide() -> None:
    live, read = recorded(((50, 0), (0, 0), 5), ((50, 10), (0, 0), 60))
    alone = [reading._replace(batch=without_stable(reading.batch)) for reading in read]
    assert play(live.analysis, alone).turns[-1].decision.verdict == "rollback"


def without_stable(batch: Batch) -> Batch:
    return replace(batch, units=tuple(unit for unit in batch.units if unit.slot == "canary"))
