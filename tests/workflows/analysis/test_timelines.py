"""How an observation went, in a few hundred bytes whatever its length."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.analysis.builders import World, a_segment, an_analysis, gauge, ratio
from tests.workflows.analysis.test_evidence_of_a_session import BAD_VERSION, GOOD, MANY, OLD, a_rollout, errors, latency
from workflows.analysis.evidence.bets import Pair
from workflows.analysis.session import LIMIT, SessionState, evidence, timeline_of
from workflows.analysis.timelines import FEWEST, MOST, Seen, begun, noted, steps_of
from workflows.model.decision import Evidence, Line, Timeline


def a_timeline(*ticks: tuple[float, Seen], steps: int = 8) -> Timeline:
    """Ticks of 5 s, each at its time."""
    timeline = Timeline()
    for at, seen in ticks:
        timeline = noted(begun(timeline, at, tick=5, steps=steps), seen.log_e, {"errors": seen})
    return timeline


def ticks(count: int) -> list[tuple[float, Seen]]:
    return [(100.0 + 5 * i, Seen(log_e=i / 100, pair=Pair(i % 2, 50, i % 3, 450))) for i in range(count)]


def line(timeline: Timeline | None) -> Line:
    assert timeline
    return next(iter(timeline.lines.values()))


def test_steps_begin_as_long_as_a_tick_and_double_when_there_are_too_many() -> None:
    assert (a_timeline(*ticks(9)).step, a_timeline(*ticks(9)).count) == (5, 8), "the first reading ends no tick"
    longer = a_timeline(*ticks(10))
    assert (longer.step, longer.count, longer.log_e) == (10, 5, (0.02, 0.04, 0.06, 0.08, 0.09))


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(2, 40))
def test_nothing_that_was_counted_is_lost_whatever_the_length(count: int, steps: int) -> None:
    given = ticks(count)
    seen = line(timeline := a_timeline(*given, steps=steps))
    assert timeline.count == len(seen.total) <= steps
    assert sum(seen.total) == 50 * count
    assert sum(seen.bad) == sum(i % 2 for i in range(count))
    assert max(value for value in seen.log_e if value is not None) == pytest.approx((count - 1) / 100)
    assert timeline.since + timeline.step * timeline.count >= given[-1][0]


def test_time_in_which_nobody_looked_is_empty() -> None:
    seen = Seen(log_e=1.0, pair=Pair(1, 50, 0, 450))
    timeline = a_timeline((100, seen), (105, seen), (125, seen))
    assert line(timeline).log_e == (1, None, None, None, 1)
    assert line(timeline).total == (100, 0, 0, 0, 50)


@pytest.mark.parametrize("at", [-1e12, 99, 105])
def test_clock_that_goes_back_adds_to_the_last_step(at: float) -> None:
    seen = Seen(pair=Pair(0, 50, 0, 450))
    assert line(a_timeline((100, seen), (110, seen), (at, seen))).total == (50, 100)


def test_clock_that_jumps_by_ages_ends() -> None:
    seen = Seen(pair=Pair(0, 50, 0, 450))
    assert sum(line(a_timeline((100, seen), (1e300, seen))).total) == 100


def test_more_metrics_leave_room_for_fewer_steps() -> None:
    assert steps_of(an_analysis(errors()), LIMIT) == MOST
    assert FEWEST <= steps_of(an_analysis(*MANY), LIMIT) < MOST
    assert steps_of(an_analysis(*MANY), 0) == FEWEST


def test_timeline_travels_with_the_evidence_and_tells_of_both_versions() -> None:
    rollout = a_rollout()
    rollout.run(GOOD, OLD, times=5)
    rollout.run(BAD_VERSION, OLD, times=30)
    timeline = timeline_of(evidence(rollout.state))
    assert timeline
    seen = line(timeline)
    assert (sum(seen.total), sum(seen.baseline_total)) == (50 * (count := len(rollout.steps) - 1), 450 * count)
    assert sum(seen.bad) == 3 * (count - 5)
    assert rollout.last.evidence
    assert max(value or 0 for value in timeline.log_e) == pytest.approx(rollout.last.evidence.peak, abs=0.01)
    assert timeline_of(Evidence()) is None


def test_latency_is_counted_at_the_edge_that_is_shown() -> None:
    rollout = a_rollout(latency())
    rollout.run(GOOD, OLD, times=3)
    rollout.run((50, 0, 2.0), OLD, times=3)
    seen = line(timeline_of(evidence(rollout.state)))
    assert (sum(seen.bad), sum(seen.baseline_bad)) == (35, 180), "above 250 ms, since that edge was chosen"


def test_rules_on_numbers_leave_their_samples() -> None:
    world = World(an_analysis(gauge(interval="5s")))
    for world.gauge in (3, 5, 800):
        world.look()
    assert line(timeline_of(evidence(world.state))).value == (3, 5, 800)


def test_rules_on_shares_leave_their_counts() -> None:
    world = World(an_analysis(ratio())).run(60, share=0.02)
    seen = line(timeline_of(evidence(world.state)))
    assert (sum(seen.bad), sum(seen.total), seen.log_e) == (12, 600, ())


def test_a_day_takes_no_more_room_than_an_hour() -> None:
    world = World(an_analysis(errors(), {**errors(), "name": "more"}), a_segment())
    for _ in range(24 * 60):
        world.look(seconds=60, requests=99_999, share=0.01)
    timeline = timeline_of(evidence(world.state))
    assert timeline
    assert timeline.count <= MOST
    size = len(timeline.model_dump_json(by_alias=True, exclude_defaults=True))
    assert size < 2 * 1500


class TestSkips:
    """Every tick is used, left out for a reason that is told, dropped, or waits for the next one."""

    def skips(self, state: SessionState, mode: str, name: str = "errors") -> dict[str, int]:
        return dict(state.metrics[name].modes[mode].get("skips", {}))

    def test_warmup_and_silence(self) -> None:
        rollout = a_rollout(errors(compare={}), warmup="30s")
        rollout.run(GOOD, OLD, times=6)
        rollout.run((0, 0), OLD, times=4)
        assert self.skips(rollout.state, "compare") == {"warmup": 6, "idle": 4}

    def test_version_without_requests_is_not_taken_for_a_histogram_without_edges(self) -> None:
        rollout = a_rollout(latency(slo={"max": "500ms", "quantile": "95%"}), warmup="30s")
        rollout.run(GOOD, OLD, times=6)
        rollout.run((0, 0), OLD, times=4)
        assert self.skips(rollout.state, "slo", "latency") == {"warmup": 6, "idle": 4}

    def test_all_users_on_the_new_version(self) -> None:
        rollout = a_rollout(errors(compare={}))
        rollout.run(GOOD, OLD, times=3)
        rollout.run((500, 0), (0, 0), times=4)
        assert self.skips(rollout.state, "compare") == {"alone": 4}

    def test_incident_in_both(self) -> None:
        rollout = a_rollout()
        rollout.run(GOOD, OLD, times=3)
        rollout.run((50, 10), (450, 90), times=2)
        assert self.skips(rollout.state, "slo") == {"incident": 2}

    def test_edges_that_are_not_chosen_yet(self) -> None:
        rollout = a_rollout(latency())
        rollout.run(GOOD, OLD, times=3)
        assert self.skips(rollout.state, "compare", "latency")["learning"] == 2

    def test_report_counts_all_ticks(self) -> None:
        rollout = a_rollout(errors(compare={}))
        rollout.run(GOOD, OLD, times=9)
        rollout.look((500, 0), (100, 0), seconds=60)
        found = rollout.last.reports[0].evidence
        assert found
        assert (found.used, found.skipped, found.dropped) == (9, 1, 0)
        assert found.skips == {"gap": 1}
        assert found.used + found.skipped == len(rollout.steps) - 1, "the first reading ends no tick"


def test_any_split_of_a_run_leaves_the_same_timeline() -> None:
    whole, split = a_rollout(), a_rollout()
    whole.travels = False
    for rollout in (whole, split):
        rollout.run(GOOD, OLD, times=100)
    assert json.dumps(whole.state.timeline.model_dump()) == json.dumps(split.state.timeline.model_dump())
