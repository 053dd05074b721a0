"""Evidence as the guard meets it: raw counters of both versions in, one decision over all metrics out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.workflows.analysis.builders import a_segment, a_unit, an_analysis
from workflows.analysis import reasons
from workflows.analysis.batches import BAD, INFINITY, TOTAL, Batch, Missing
from workflows.analysis.counters import remembered
from workflows.analysis.session import Segment, SessionState, Step, begin, evidence, restored, step
from workflows.contracts.metrics import Beat
from workflows.model.analysis import METRICS_BYTES, Analysis, bytes_of
from workflows.model.target import Slot

EDGES = (0.1, 0.25, 0.5, 1.0)
USUAL = (0.3, 0.1, 0.02, 0.004)
"""Shares of requests that are slower than the edges."""


def errors(**modes: Any) -> dict[str, Any]:
    return {"name": "errors", "kind": "ratio", "source": "app", **(modes or {"compare": {}, "slo": {"max": "1%"}})}


def latency(name: str = "latency", **modes: Any) -> dict[str, Any]:
    return {"name": name, "kind": "histogram", "source": "app", **(modes or {"compare": {}})}


@dataclass
class Rollout:
    """Both versions of a service, and a session whose state travels as JSON after every tick."""

    analysis: Analysis
    segment: Segment = field(default_factory=a_segment)
    at: float = 1000.0
    travels: bool = True
    gauge: float | None = None
    """What every gauge shows; nothing when None."""
    steps: list[Step] = field(default_factory=list)
    read: list[Batch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = begin(SessionState(), self.segment)
        self.counted: dict[Slot, list[float]] = {slot: [0.0] * 6 for slot in ("canary", "stable")}
        self.look(seconds=0)

    @property
    def last(self) -> Step:
        return self.steps[-1]

    def count(self, slot: Slot, requests: float, bad: float, slower: float = 1.0) -> None:
        late = [min(requests, round(requests * share * slower)) for share in USUAL]
        grown = [requests, bad, *(requests - each for each in late)]
        self.counted[slot] = [a + b for a, b in zip(self.counted[slot], grown, strict=True)]

    def look(
        self,
        new: tuple[float, ...] = (0, 0),
        old: tuple[float, ...] = (0, 0),
        *,
        seconds: float = 5,
        missing: Slot | None = None,
    ) -> Step:
        """One tick further; both versions' requests, failures and how many times as many are slow."""
        self.at += seconds
        self.count("canary", *new)
        self.count("stable", *old)
        slots: tuple[Slot, ...] = ("canary", "stable")
        units = tuple(a_unit(slot, self._channels(slot), self._gauges()) for slot in slots if slot != missing)
        gaps = (Missing("app", missing, f"{missing} does not answer"),) if missing else ()
        if self.travels:
            carried = evidence(self.state)
            self.state = restored(type(carried).model_validate_json(carried.model_dump_json()))
        self.read.append(batch := Batch(self.at, units, gaps))
        result = step(self.analysis, self.segment, self.state, batch)
        self.state = result.state
        self.steps.append(result)
        return result

    def run(self, new: tuple[float, ...], old: tuple[float, ...], *, times: int) -> Step:
        """The same tick several times, until something other than `continue` is decided."""
        for _ in range(times):
            if self.look(new, old).decision.verdict != "continue":
                break
        return self.last

    def enter(self, **fields: Any) -> None:
        self.segment = a_segment(self.segment.number + 1, **fields)
        self.state = begin(self.state, self.segment)

    def _channels(self, slot: Slot) -> dict[str, Any]:
        total, bad, *fast = self.counted[slot]
        ratio = {TOTAL: {"x": total}, BAD: {"x": bad}}
        buckets = {repr(edge): {"x": count} for edge, count in zip(EDGES, fast, strict=True)}
        kinds = {"ratio": ratio, "histogram": {**buckets, INFINITY: {"x": total}}}
        return {metric.name: kinds[metric.kind] for metric in self.analysis.metrics if metric.kind != "gauge"}

    def _gauges(self) -> dict[str, Any]:
        shown = () if self.gauge is None else (self.gauge,)
        return {metric.name: shown for metric in self.analysis.metrics if metric.kind == "gauge"}


def a_rollout(*metrics: dict[str, Any], segment: Segment | None = None, **fields: Any) -> Rollout:
    return Rollout(an_analysis(*(metrics or (errors(),)), **fields), segment or a_segment())


GOOD, OLD = (50, 0), (450, 1)
BAD_VERSION = (50, 3)


def test_regression_rolls_back_by_evidence_and_says_how_sure_that_is() -> None:
    rollout = a_rollout()
    rollout.run(GOOD, OLD, times=5)
    end = rollout.run(BAD_VERSION, OLD, times=30)
    assert (end.decision.verdict, end.decision.reason) == ("rollback", reasons.EVIDENCE_FOUND)
    assert end.decision.message.startswith("errors: a healthy version shows this less than once in ")
    assert end.evidence
    assert end.evidence.peak >= end.evidence.threshold == pytest.approx(4.60517)
    (report,) = end.reports
    assert (report.state, report.unit, report.limit) == ("failed", "%", 1)
    assert report.evidence
    assert report.evidence.bad == 3 * (len(rollout.steps) - 6)
    assert "times as many of the new version's requests failed" in report.sentence


def test_good_version_passes_and_an_incident_of_both_holds_nobody_guilty() -> None:
    rollout = a_rollout(segment=a_segment(need=60))
    assert rollout.run(GOOD, OLD, times=20).decision.verdict == "pass"
    rollout.enter(need=300, stage="25%")
    end = rollout.run((50, 10), (450, 90), times=40)
    assert (end.decision.verdict, end.decision.reason) == ("hold", reasons.INCIDENT)


def test_evidence_goes_on_over_stages_and_weights_and_is_never_reset() -> None:
    rollout = a_rollout(errors(compare={}), segment=a_segment(need=10))
    rollout.run((50, 1), OLD, times=2)
    before = rollout.last.evidence
    rollout.enter(need=600, stage="25%")
    rollout.look((125, 0), (375, 1))
    after = rollout.last.evidence
    assert before
    assert after
    assert after.peak >= before.peak > 0


def test_latency_is_compared_at_the_edges_of_the_history_before_the_canary() -> None:
    rollout = a_rollout(latency(), warmup="30s")
    rollout.run(GOOD, OLD, times=5)
    assert rollout.state.metrics["latency"].modes["compare"]["history"]["total"] > 500
    end = rollout.run((50, 0, 4.0), OLD, times=20)
    assert end.decision.reason == reasons.EVIDENCE_FOUND
    assert "requests took longer than" in end.reports[0].sentence


def test_warmup_of_the_new_version_is_no_evidence_against_it() -> None:
    rollout = a_rollout(warmup="30s")
    rollout.run((50, 50), OLD, times=5)
    assert rollout.last.evidence
    assert rollout.last.evidence.log_e == 0


class TestSoftEntry:
    def test_entry_passes_on_time_with_few_requests_or_none(self) -> None:
        rollout = a_rollout(segment=a_segment(need=20, is_entry=True), minRequests=300)
        assert rollout.run((0, 0), OLD, times=4).decision.verdict == "pass"
        rollout.enter(need=20, stage="2%", is_entry=True)
        assert rollout.run((1, 0), OLD, times=5).decision.verdict == "pass"
        rollout.enter(need=20, stage="10%")
        assert rollout.run((1, 0), OLD, times=5).decision.reason == reasons.TOO_FEW_REQUESTS

    def test_entry_does_not_pass_on_a_worry_or_without_an_answer(self) -> None:
        rollout = a_rollout(errors(compare={}), segment=a_segment(need=20, is_entry=True))
        rollout.run((4, 0), (396, 0), times=2)
        while not rollout.last.evidence or rollout.last.evidence.log_e < 2.4:
            rollout.look((4, 1), (396, 4))
        assert rollout.run((0.001, 0), (396, 0), times=5).decision.reason == reasons.LEANING_BAD
        silent = a_rollout(segment=a_segment(need=20, is_entry=True))
        for _ in range(6):
            assert silent.look(missing="canary").decision.verdict == "continue"


class TestLeaningBad:
    def leaning(self) -> Rollout:
        rollout = a_rollout(errors(compare={}), segment=a_segment(need=60), minRequests=0)
        while not rollout.last.evidence or rollout.last.evidence.log_e < 2.5:
            assert rollout.look((50, 1), OLD).decision.verdict == "continue"
        return rollout

    def test_worry_extends_the_stage_once_and_then_holds(self) -> None:
        rollout = self.leaning()
        while rollout.last.evidence and rollout.last.evidence.log_e > 2.4 and rollout.last.decision.verdict != "hold":
            rollout.look((0.0001, 0), (0.0009, 0))
        assert (rollout.last.decision.verdict, rollout.last.decision.reason) == ("hold", reasons.LEANING_BAD)
        assert rollout.state.observed >= 120
        assert rollout.look((0.0001, 0), (0.0009, 0)).decision.verdict == "continue", "people decided; extended again"

    def test_worry_that_goes_away_lets_the_stage_pass(self) -> None:
        assert self.leaning().run(GOOD, OLD, times=100).decision.verdict == "pass"


def test_old_version_that_does_not_answer_lets_evidence_wait_and_then_asks() -> None:
    rollout = a_rollout(errors(compare={}), patience="30s")
    rollout.run(GOOD, OLD, times=3)
    for _ in range(6):
        assert rollout.look(BAD_VERSION, OLD, missing="stable").decision.verdict == "continue"
    held = rollout.look(BAD_VERSION, OLD, missing="stable").decision
    assert (held.verdict, held.reason) == ("hold", reasons.PROVIDER_ERRORS)
    assert "no data of the old version" in held.message


def test_one_missed_answer_of_the_old_version_loses_nothing() -> None:
    whole, missed = a_rollout(errors(compare={})), a_rollout(errors(compare={}))
    for rollout, missing in ((whole, None), (missed, "stable")):
        rollout.run(GOOD, OLD, times=3)
        rollout.look(BAD_VERSION, OLD, missing=missing)  # type: ignore[arg-type]
        rollout.look(BAD_VERSION, OLD)
    for rollout in (whole, missed):
        assert rollout.last.reports[0].evidence
        assert rollout.last.reports[0].evidence.bad == 6


def test_what_happened_while_nobody_looked_is_no_evidence() -> None:
    rollout = a_rollout(errors(compare={}))
    rollout.run(GOOD, OLD, times=3)
    rollout.look((500, 50), (100, 0), seconds=60)
    assert rollout.last.evidence
    assert rollout.last.evidence.log_e <= 0
    assert rollout.last.reports[0].evidence
    assert rollout.last.reports[0].evidence.skipped == 1


def test_all_users_on_the_new_version_are_judged_by_the_limit_and_the_record() -> None:
    rollout = a_rollout(segment=a_segment(need=60))
    rollout.run(GOOD, OLD, times=20)
    rollout.enter(need=600, stage="100%", old=())
    end = rollout.run((500, 10), (0, 0), times=20)
    assert end.decision.verdict == "rollback"


def test_too_few_requests_for_a_limit_are_named() -> None:
    rollout = a_rollout(errors(slo={"max": "0.1%"}), segment=a_segment(need=60), minRequests=None)
    held = rollout.run(GOOD, OLD, times=60).decision
    assert (held.verdict, held.reason) == ("hold", reasons.TOO_FEW_REQUESTS)
    assert "of at least 3,000 requests" in held.message


MANY = (
    errors(),
    latency(compare={}, slo={"max": "500ms", "quantile": "95%"}),
    latency("checkout"),
    {**errors(rule={"rollback": "5%", "interval": "60s"}), "name": "rule"},
)


def test_no_metric_takes_more_of_a_heartbeat_than_the_planner_thinks() -> None:
    rollout = a_rollout(*MANY, minRequests=0)
    rollout.travels = False
    largest: dict[str, int] = {}
    for i in range(700):
        hidden: Slot | None = "stable" if i % 50 == 49 else None
        rollout.look((103 + i % 7, i % 3, 1.1), (907 + i % 11, i % 4), missing=hidden)
        if i % 25 in {24, 0}:
            metrics = evidence(rollout.state).metrics
            for report in rollout.last.reports:
                size = _size(metrics[report.name]) + _size(report.model_dump(mode="json", exclude_defaults=True))
                largest[report.name] = max(largest.get(report.name, 0), size)
    rollout.enter(old=(), stage="100%")
    for _ in range(30):
        rollout.look((503, 2))
    for metric in rollout.analysis.metrics:
        alone = _size(evidence(rollout.state).metrics[metric.name])
        assert max(largest[metric.name], alone) <= bytes_of(metric), metric.name
    assert sum(map(bytes_of, rollout.analysis.metrics)) <= METRICS_BYTES


def test_heartbeat_stays_within_16_kib_whatever_the_counters() -> None:
    rollout = a_rollout(*MANY, minRequests=0)
    for i in range(40):
        rollout.look((103, i % 3), (907, i % 4))
        series = {f"http_requests_total_with_a_long_name_{n}": float(n) for n in range(300)}
        counters = {"errors": {TOTAL: series, BAD: series}}
        more = {f"app:stable@{n}": a_unit("stable", counters, id=f"app:stable@{n}") for n in range(12)}
        rollout.state = rollout.state.model_copy(update={"raw": remembered({}, more.values(), at=rollout.at)})
    beat = Beat(
        segment=1,
        started=1e6,
        evidence=evidence(rollout.state),
        metrics=rollout.last.reports,
        weighed=rollout.last.evidence,
    )
    assert _size(beat.model_dump(mode="json", by_alias=True, exclude_defaults=True)) <= 16 * 1024


def _size(data: Any) -> int:
    return len(json.dumps(data, separators=(",", ":")))
