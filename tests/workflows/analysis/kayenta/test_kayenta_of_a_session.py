"""`judge: kayenta` as the guard meets it: samples of both versions in, one score over all metrics out."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.workflows.analysis.builders import a_segment, an_analysis
from tests.workflows.analysis.test_evidence_of_a_session import Rollout, errors, latency
from tests.workflows.analysis.test_properties import ANYTHING, is_finite
from workflows.analysis import reasons
from workflows.analysis.kayenta.sampling import CanaryState, advance
from workflows.analysis.samples import Counts
from workflows.analysis.session import Segment, evidence
from workflows.analysis.ticks import Tick
from workflows.contracts.metrics import Beat
from workflows.model.analysis import bytes_of
from workflows.model.kayenta import Kayenta

KAYENTA = {"step": "10s", "interval": "1m"}


def canary(**fields: Any) -> dict[str, Any]:
    return {"canary": {"direction": "increase", **fields}}


def a_rollout(*metrics: dict[str, Any], segment: Segment | None = None, **kayenta: Any) -> Rollout:
    asked = metrics or (errors(**canary()),)
    return Rollout(an_analysis(*asked, judge="kayenta", kayenta={**KAYENTA, **kayenta}), segment or a_segment(need=300))


def serve(rollout: Rollout, seconds: int, *, new: float = 0.01, old: float | None = 0.01, seed: int = 1) -> Rollout:
    """Both versions serve 100 requests a tick, of which these shares fail, until something else is decided."""
    rng = random.Random(seed)
    for _ in range(seconds // 5):
        failed = [sum(rng.random() < share for _ in range(100)) for share in (new, old or 0.0)]
        if (
            rollout.look((100, failed[0]), (100, failed[1]) if old is not None else (0, 0)).decision.verdict
            != "continue"
        ):
            break
    return rollout


def score_of(rollout: Rollout) -> Any:
    assert rollout.last.evidence
    return rollout.last.evidence.score


def test_good_version_passes_at_the_end_of_the_stage_with_its_score() -> None:
    rollout = serve(a_rollout(), 400)
    assert (rollout.last.decision.verdict, rollout.state.observed) == ("pass", 300)
    assert (score_of(rollout).score, score_of(rollout).samples) == (100, 30)
    assert rollout.last.reports[0].sentence.startswith("Pass; mean ")


def test_worse_version_rolls_back_at_an_interval_and_says_which_metric_was_high() -> None:
    rollout = serve(a_rollout(), 400, new=0.2)
    end = rollout.last
    assert (end.decision.verdict, end.decision.reason) == ("rollback", reasons.SCORE_TOO_LOW)
    assert end.decision.message == "Kayenta's score is 0 and must be more than 75 (errors High)"
    assert rollout.state.observed == 60, "the first score is made after one interval"
    assert end.reports[0].state == "failed"


def test_score_that_is_marginal_goes_on_within_a_stage_and_rolls_back_at_its_end() -> None:
    bad, good = errors(**canary(groups=["b"])), latency(**canary(groups=["a"]))
    rollout = serve(a_rollout(bad, good, groupWeights={"a": 90, "b": 10}), 400, new=0.2)
    end = rollout.last
    assert (end.decision.verdict, rollout.state.observed) == ("rollback", 300)
    assert end.decision.message == "Kayenta's score is 90 and must be 95 at the end of a stage (errors High)"


def test_score_at_the_marginal_limit_is_not_above_it() -> None:
    bad, good = errors(**canary(groups=["b"])), latency(**canary(groups=["a"]))
    rollout = serve(a_rollout(bad, good, groupWeights={"a": 75, "b": 25}), 400, new=0.2)
    assert (rollout.last.decision.verdict, rollout.state.observed) == ("rollback", 60)


def test_score_is_made_at_the_end_of_a_stage_whatever_the_interval() -> None:
    rollout = serve(a_rollout(segment=a_segment(need=100), interval="10m"), 400, new=0.2)
    assert (rollout.last.decision.verdict, rollout.state.observed) == ("rollback", 100)


def test_rare_failures_are_told_apart() -> None:
    """As fractions they differ by less than the solver of Kayenta can see."""
    rollout = a_rollout(segment=a_segment(need=300), interval="5m")
    for i in range(60):
        rollout.look((100_000, 9 + i // 2 % 5), (100_000, 4 + i // 2 % 7))
    assert rollout.last.decision.reason == reasons.SCORE_TOO_LOW


def test_metric_without_a_score_yet_says_so() -> None:
    (report,) = serve(a_rollout(), 30).last.reports
    assert (report.state, report.sentence.partition(";")[0]) == ("inconclusive", "not scored yet")


def test_muted_metric_is_shown_and_not_scored() -> None:
    muted = {**errors(**canary(muted=True)), "name": "muted"}
    rollout = serve(a_rollout(latency(**canary()), muted), 400, new=0.2)
    assert rollout.last.decision.verdict == "pass"
    assert rollout.last.reports[1].state == "alert"
    assert rollout.last.reports[1].sentence.startswith("High (muted); ")


def test_group_without_data_counts_in_full_and_the_score_says_so() -> None:
    silent = {"name": "queue", "kind": "gauge", "series": "queue", **canary(groups=["empty"])}
    rollout = serve(a_rollout(errors(**canary()), latency(**canary()), silent), 400)
    assert rollout.last.decision.verdict == "pass"
    assert score_of(rollout).warnings == ("group empty has no data and counts as 100, as in Kayenta",)
    assert score_of(rollout).classes["queue"] == "Nodata"


def test_missing_data_alone_extends_the_stage_and_holds_whatever_the_score() -> None:
    silent = {"name": "queue", "kind": "gauge", "series": "queue", **canary()}
    rollout = serve(a_rollout(errors(**canary()), silent), 300)
    assert (score_of(rollout).score, rollout.last.decision.verdict) == (0, "continue")
    end = serve(rollout, 400).last
    assert (end.decision.verdict, end.decision.reason) == ("hold", reasons.NO_DATA)
    assert "1 of 2 metrics have no data" in end.decision.message
    assert rollout.state.observed >= 600


def test_source_that_does_not_answer_holds_as_for_every_judge() -> None:
    rollout = a_rollout()
    while (end := rollout.look((100, 1), (100, 1), missing="canary")).decision.verdict == "continue":
        pass
    assert (end.decision.verdict, end.decision.reason) == ("hold", reasons.PROVIDER_ERRORS)


def test_stage_begins_with_samples_of_its_own_but_a_lonely_version_meets_the_old_ones() -> None:
    rollout = serve(a_rollout(), 400)
    rollout.enter(need=120, stage="50%")
    serve(rollout, 40)
    state = CanaryState.model_validate(rollout.state.metrics["errors"].modes["canary"])
    assert (state.taken, len(state.new), len(state.old)) == (3, 3, 3)
    serve(rollout, 100)
    rollout.enter(need=120, stage="100%", old=())
    end = serve(rollout, 150, new=0.2, old=None).last
    assert (end.decision.verdict, end.decision.reason) == ("rollback", reasons.SCORE_TOO_LOW)


def test_first_version_ever_has_no_score() -> None:
    rollout = a_rollout(segment=a_segment(need=60, old=()))
    assert serve(rollout, 100, old=None).last.decision.verdict == "pass"
    assert rollout.last.evidence is None


def test_score_does_not_shorten_a_stage_nor_let_one_pass_with_few_requests() -> None:
    rollout = a_rollout()
    rollout.analysis = rollout.analysis.model_copy(update={"min_requests": 100_000})
    assert serve(rollout, 400).last.decision.reason == reasons.TOO_FEW_REQUESTS


def test_rule_beside_the_score_decides_on_its_own() -> None:
    ruled = errors(rule={"rollback": "5%", "interval": "10s"}, **canary(muted=True))
    rollout = serve(a_rollout(ruled, latency(**canary())), 400, new=0.2)
    assert rollout.last.decision.reason == reasons.RULE_FAILED
    assert "limit 5%" in rollout.last.reports[0].sentence
    assert "mean " in rollout.last.reports[0].sentence


def test_any_split_of_a_stage_into_segments_leaves_the_same_score() -> None:
    whole, split = a_rollout(segment=a_segment(need=10_000)), a_rollout(segment=a_segment(need=10_000))
    for rollout in (whole, split):
        rng = random.Random(1)
        for i in range(120):
            if rollout is split and i % 7 == 6:
                rollout.enter(need=10_000)
            rollout.look((100, rng.randrange(3)), (100, rng.randrange(3)))
    assert whole.state.metrics == split.state.metrics
    assert whole.state.scored == split.state.scored


def test_what_happened_while_nobody_looked_or_weights_moved_is_no_sample() -> None:
    kayenta, metric = Kayenta(), an_analysis(errors(**canary()), judge="kayenta").metrics[0]
    served = Counts(total=100, bad=50)
    state = CanaryState()
    usual = Tick(10.0, served, served, is_beside=True, stage=1)
    for odd in ({"is_shifted": True}, {"is_shifted": True}, {"is_gap": True}, {"seconds": 0.0}):
        state = advance(kayenta, metric, state, replace(usual, **odd))
    assert state == CanaryState(stage=1)
    taken = advance(kayenta, metric, state, usual)
    assert (taken.new, taken.old) == ((0.5,), (0.5,))


def test_samples_are_bounded_and_no_metric_takes_more_of_a_heartbeat_than_the_planner_thinks() -> None:
    gauge = {"name": "load", "kind": "gauge", "series": "load", **canary()}
    rollout = a_rollout(errors(**canary()), latency(**canary()), gauge, segment=a_segment(need=10_000), samples=50)
    for i in range(400):
        rollout.gauge = 1234.56789e-9 + i / 1e11
        rollout.look((997 + i % 7, i % 31), (997 + i % 3, i % 37))
    metrics = evidence(rollout.state).metrics
    for metric, report in zip(rollout.analysis.metrics, rollout.last.reports, strict=True):
        state = CanaryState.model_validate(rollout.state.metrics[metric.name].modes["canary"])
        assert (len(state.new), state.taken) == (50, 200)
        size = _size(metrics[metric.name]) + _size(report.model_dump(mode="json", exclude_defaults=True))
        assert size <= bytes_of(metric, 50), metric.name


@pytest.mark.parametrize(("kind", "count", "samples"), [("ratio", 5, 50), ("gauge", 11, 12), ("gauge", 6, 50)])
def test_heartbeat_stays_within_16_kib_with_as_many_metrics_as_fit(kind: str, count: int, samples: int) -> None:
    names = [f"{kind}-of-a-service-with-a-long-name-{n}" for n in range(count)]
    shapes = {"ratio": {"kind": "ratio", "source": "app"}, "gauge": {"kind": "gauge", "series": "load"}}
    metrics = [{**shapes[kind], "name": name, **canary(groups=[name])} for name in names]
    rollout = a_rollout(*metrics, segment=a_segment(need=10_000), samples=samples)
    rng = random.Random(1)
    for _ in range(250):
        rollout.gauge = rng.random() / 1e6
        rollout.look((997, rng.randrange(300)), (1003, rng.randrange(300)))
    said = rollout.last
    beat = Beat(segment=1, started=1e9, evidence=evidence(rollout.state), metrics=said.reports, weighed=said.evidence)
    assert _size(beat.model_dump(mode="json", by_alias=True, exclude_defaults=True)) <= 16 * 1024


COUNTERS = st.lists(st.lists(ANYTHING, min_size=2, max_size=2), min_size=6, max_size=12)


@settings(deadline=None, max_examples=60)
@given(COUNTERS, COUNTERS, ANYTHING)
def test_any_numbers_lead_to_a_decision_and_a_finite_score(new: list[Any], old: list[Any], gauge: float) -> None:
    metrics = (errors(**canary()), {"name": "load", "kind": "gauge", "series": "load", "canary": {}})
    rollout = a_rollout(*metrics, step="5s", interval="10s", segment=a_segment(need=20))
    rollout.gauge = gauge
    for one, other in zip(new, old, strict=False):
        rollout.counted["canary"][:2], rollout.counted["stable"][:2] = one, other
        said = rollout.look()
        assert said.decision.verdict in {"continue", "pass", "hold", "rollback"}
        assert is_finite(evidence(rollout.state).metrics)
        assert is_finite([report.model_dump() for report in said.reports])


def _size(data: Any) -> int:
    return len(json.dumps(data, separators=(",", ":")))


@pytest.mark.parametrize(
    ("metrics", "fields", "sentence"),
    [
        pytest.param([errors(**canary())], {}, "canary of errors belongs to judge: kayenta", id="another judge"),
        pytest.param([errors()], {"kayenta": {}}, "kayenta belongs to judge: kayenta", id="settings of another judge"),
        pytest.param([errors()], {"judge": "kayenta"}, "needs a metric with canary", id="nothing to score"),
        pytest.param(
            [errors(**canary(muted=True))], {"judge": "kayenta"}, "needs a metric with canary", id="all are muted"
        ),
        pytest.param(
            [errors(**canary())], {"judge": "kayenta", "tick": "20s"}, "step is shorter than the tick", id="short step"
        ),
        pytest.param(
            [errors(**canary())],
            {"judge": "kayenta", "kayenta": {"groupWeights": {"other": 50}}},
            "groupWeights names other, which is no metric's group",
            id="unknown group",
        ),
        pytest.param(
            [errors(**canary())],
            {"judge": "kayenta", "kayenta": {"groupWeights": {"metrics": 50}}},
            "groupWeights must be 100 together",
            id="weights below 100",
        ),
        pytest.param(
            [errors(**canary())],
            {"judge": "kayenta", "kayenta": {"marginal": 96}},
            "marginal must not be above pass",
            id="limits the wrong way round",
        ),
        pytest.param(
            [errors(**canary())],
            {"judge": "kayenta", "kayenta": {"step": "10m"}},
            "interval must be at least one step",
            id="interval below a step",
        ),
        pytest.param(
            [{**errors(**canary()), "name": f"m{n}"} for n in range(20)],
            {"judge": "kayenta"},
            "keep fewer kayenta.samples",
            id="too many samples",
        ),
    ],
)
def test_document_that_makes_no_sense_is_refused(
    metrics: list[dict[str, Any]], fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        an_analysis(*metrics, **fields)
    assert sentence in str(caught.value)
