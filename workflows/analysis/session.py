"""One observation from batch to batch: the pure core that the observer, backtests and simulations share.

`begin` starts or resumes a segment, `step` takes one batch. The state is a small JSON value; any split of the same
batches into segments and attempts leads to the same evidence. There is no clock here: time is what the batches say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import ValidationError

from workflows.analysis import reasons
from workflows.analysis.arms import Readings, read
from workflows.analysis.batches import Batch
from workflows.analysis.counters import LARGEST, Raw, fitted, remembered
from workflows.analysis.evaluators import RULE, evaluators
from workflows.analysis.evidence.composite import Weighed
from workflows.analysis.evidence.parameters import Parameters
from workflows.analysis.evidence.weighing import Balance, balance
from workflows.analysis.kayenta.judging import Judgement, ScoreState, judged
from workflows.analysis.kayenta.wording import reported
from workflows.analysis.samples import Counts
from workflows.analysis.ticks import Tick
from workflows.analysis.timelines import begun, noted, seen, steps_of
from workflows.analysis.verdict import Judged, Progress, combined
from workflows.analysis.wording import duration
from workflows.model.analysis import REPORT_BYTES, Analysis, Metric
from workflows.model.decision import Decision, Evidence, EvidenceReport, MetricReport, Timeline
from workflows.model.shapes import Message
from workflows.model.target import SLOTS, Slot

SESSION = "@session"
"""The entry of the evidence that is about no single metric; a metric's name has no @."""

LIMIT = 15 * 1024
"""Bytes of evidence that travel with a heartbeat of 16 KiB: states and reports of the metrics, and raw counters."""
_RAW_LEAST, _RAW_MOST = 3 * 512, 8 * 1024
"""Raw counters get what the others leave; with few of them a restart in just that moment is missed, never invented."""

Role = Literal["new", "old"]

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Segment:
    """What is observed now: the slots of both versions at one set of weights."""

    number: int
    new: tuple[Slot, ...]
    old: tuple[Slot, ...] = ()
    need_seconds: float | None = None
    """Observed time wanted; None watches without ever passing."""
    stage: str = ""
    """The same for segments of one stage; extensions and samples are counted per stage."""
    is_entry: bool = False
    """It belongs to the soft entry, where traffic decides how much can be seen."""
    since: float | None = None
    """When it began, for batches that say themselves what time they cover; else it begins with its first batch."""

    @property
    def roles(self) -> dict[Slot, Role]:
        """Which version runs where; a slot that runs both counts as new."""
        old: dict[Slot, Role] = dict.fromkeys(self.old, "old")
        new: dict[Slot, Role] = dict.fromkeys(self.new, "new")
        return {**old, **new}


class MetricState(Message):
    """What is remembered of one metric beside its evaluators' own states."""

    requests: float = 0
    """Requests of the new version outside gaps, since the release began."""
    silent: float = 0
    """Seconds since the last data."""
    read_at: float | None = None
    """When its source was last read in full."""
    modes: dict[str, dict[str, Any]] = {}
    """The evaluators' states."""


class SessionState(Message):
    """Everything that the next batch needs; `evidence` and `restored` carry it through JSON."""

    at: float | None = None
    """When the last batch was read."""
    covered_at: float | None = None
    """When every required metric was last read in full."""
    age: float = 0
    """Seconds since the first observation of the release, gaps left out."""
    raw: Raw = {}
    roles: dict[Slot, Role] = {}
    since: dict[Slot, float] = {}
    """When slots got their roles, where batches say what time they cover: before, they ran the other version."""
    moved_at: float = 0
    """The same for weights: when the stage began."""
    segment: int = 0
    is_opening: bool = True
    """No batch of this segment has been read yet, or none that ends after its beginning."""
    observed: float = 0
    """Time covered by data in this segment."""
    gap: float = 0
    """Time of this segment in which nobody looked."""
    stage: int = 0
    stage_name: str = ""
    stage_need: float = 0
    short: float = 0
    """Seconds by which the stage is extended already."""
    dropped: int = 0
    """Values and answers thrown away because they made no sense."""
    weighed: Weighed = Weighed()
    """The evidence over all metrics; like theirs never reset."""
    scored: ScoreState = ScoreState()
    """The last score of all metrics, where Kayenta judges."""
    timeline: Timeline = Timeline()
    """How it went, for people."""
    metrics: dict[str, MetricState] = {}


class Step(NamedTuple):
    """The state after a batch, what to do, and what people see."""

    state: SessionState
    decision: Decision
    reports: tuple[MetricReport, ...]
    evidence: EvidenceReport | None = None
    """All metrics' evidence together; None where none is weighed."""


def begin(state: SessionState, segment: Segment) -> SessionState:
    """The state at the start of a segment; for the segment it is already in (a later attempt) nothing changes.

    Raw counters of a slot that changed its role are forgotten: what it counted until now belongs to the other version.
    """
    if state.segment == segment.number:
        return state
    roles = segment.roles
    changed = [slot for slot in SLOTS if state.roles.get(slot) != roles.get(slot)]
    kept = {name: unit for name, unit in state.raw.items() if unit.slot not in changed}
    began = segment.since or 0.0
    started = state.model_copy(
        update={
            "segment": segment.number,
            "is_opening": True,
            "observed": 0.0,
            "gap": 0.0,
            "raw": kept,
            "roles": roles,
            "since": {**state.since, **dict.fromkeys(changed, began)},
            "moved_at": state.moved_at if state.stage_name == segment.stage and state.stage else began,
        }
    )
    return _in_stage(started, segment)


def _in_stage(state: SessionState, segment: Segment) -> SessionState:
    need = segment.need_seconds or 0.0
    if state.stage_name != segment.stage or not state.stage:
        update = {"stage": state.stage + 1, "stage_name": segment.stage, "stage_need": need, "short": 0.0}
        return state.model_copy(update=update)
    return state.model_copy(update={"stage_need": max(state.stage_need, need)})


def step(analysis: Analysis, segment: Segment, state: SessionState, batch: Batch) -> Step:
    """Takes one batch. Deterministic, finite for any input, and safe against clocks that stand still or go back."""
    elapsed = 0.0 if state.at is None else max(0.0, batch.at - state.at)
    readings = read(batch, state.raw, since=state.at)
    moved = _moved(analysis, state, batch, elapsed=elapsed)
    warmup = analysis.warmup.total_seconds()
    moment = _Moment(analysis, segment, moved, readings, elapsed, Parameters.of(analysis))
    looks = [_look(moment, metric) for metric in analysis.metrics]
    is_covered = moved.age >= warmup and not any(look.tick.error for look in looks if look.metric.is_needed)
    timed = _timed(analysis.tick, segment, moved, is_covered=is_covered, elapsed=elapsed)
    where = progress(timed, need=segment.need_seconds, is_entry=segment.is_entry)
    states = [(look.metric, look.state.modes) for look in looks]
    weights = balance(moment.parameters, states, state.weighed)
    scored = judged(analysis, states, state.scored, ends=where.ends_stage)
    counted = timed.model_copy(
        update={
            "metrics": {**state.metrics, **{look.metric.name: look.state for look in looks}},
            "dropped": min(state.dropped + readings.dropped, 2**53),
            "weighed": weights.weighed,
            "scored": scored.state,
            "timeline": _timeline(moment, looks, weights),
        }
    )
    decision = combined(analysis, [look.judged for look in looks], (weights.decision, scored.decision), where)
    if moved.age < warmup and decision.verdict == "continue":
        message = f"samples count after a warm-up of {duration(warmup)}"
        decision = Decision(verdict="continue", reason=reasons.WARMING_UP, message=message)
    rearmed = _rearmed(counted, decision)
    if decision.verdict == "hold" and _is_early(segment, moved):
        # Whoever let the release go on knew what a store tells late: it may condemn, and asks nobody again.
        decision = decision.model_copy(update={"verdict": "continue"})
    return Step(rearmed, decision, *_reported(weights, scored, looks))


def _reported(
    weights: Balance, scored: Judgement, looks: list[_Look]
) -> tuple[tuple[MetricReport, ...], EvidenceReport | None]:
    """What people see of the metrics, and of what was made of them all."""
    score = scored.state.report
    rules = {
        look.metric.name: reported(look.metric, look.state.modes, score, look.report)
        if look.metric.canary
        else look.report
        for look in looks
    }
    known = {name: report for name, report in rules.items() if report}
    shown = zip(weights.shown(known, [look.metric for look in looks]), looks, strict=True)
    reports = tuple(_shown(report, look.judged.requests, look.tick) for report, look in shown)
    whole = weights.report
    if score:
        whole = (whole or EvidenceReport()).model_copy(update={"score": score})
    return reports, whole


def progress(state: SessionState, *, need: float | None, is_entry: bool = False) -> Progress:
    """Where the stage stands."""
    return Progress(
        observed=state.observed, need=need, stage_need=state.stage_need, short=state.short, is_entry=is_entry
    )


def gap_after(tick: timedelta) -> float:
    """Seconds between two answers above which nobody was looking."""
    return 2.5 * tick.total_seconds() + 1.0


def _moved(analysis: Analysis, state: SessionState, batch: Batch, *, elapsed: float) -> SessionState:
    aged = 0.0 if elapsed > gap_after(analysis.tick) else elapsed
    raw = remembered(state.raw, batch.units, at=batch.at) if batch.since is None else {}
    return state.model_copy(update={"at": batch.at, "age": min(state.age + aged, 2.0**53), "raw": raw})


def step_time(tick: timedelta, segment: Segment, state: SessionState, at: float) -> Step:
    """Counts time where there is no analysis: it passes when the wanted time was observed, whatever happened in it."""
    elapsed = 0.0 if state.at is None else max(0.0, at - state.at)
    moved = state.model_copy(update={"at": at})
    timed = _timed(tick, segment, moved, is_covered=True, elapsed=elapsed)
    where = progress(timed, need=segment.need_seconds)
    verdict, reason = ("pass", reasons.TIME_REACHED) if where.is_over else ("continue", reasons.OBSERVING)
    message = f"{duration(where.observed)} observed without metrics"
    return Step(timed, Decision.model_validate({"verdict": verdict, "reason": reason, "message": message}), ())


def _timed(tick: timedelta, segment: Segment, state: SessionState, *, is_covered: bool, elapsed: float) -> SessionState:
    """Counts observed time: what lies between two answers in full, neither before the segment nor across a gap."""
    if state.is_opening:
        covered_at = state.at if is_covered else None
        return state.model_copy(update={"is_opening": _is_early(segment, state), "covered_at": covered_at})
    short = state.short
    if progress(state, need=segment.need_seconds).is_over and elapsed <= gap_after(tick):
        short += elapsed
    if not is_covered or state.at is None:
        return state.model_copy(update={"short": short})
    span = 0.0 if state.covered_at is None else max(0.0, state.at - state.covered_at)
    is_gap = span > gap_after(tick)
    return state.model_copy(
        update={
            "short": short,
            "covered_at": state.at,
            "observed": state.observed + (0.0 if is_gap else span),
            "gap": state.gap + (span if is_gap else 0.0),
        }
    )


def _is_early(segment: Segment, state: SessionState) -> bool:
    """Whether the batch is about a time before the segment."""
    return segment.since is not None and state.at is not None and state.at < segment.since


class _Moment(NamedTuple):
    """One batch, seen from the state that it leads to."""

    analysis: Analysis
    segment: Segment
    state: SessionState
    readings: Readings
    elapsed: float
    parameters: Parameters

    @property
    def is_warming(self) -> bool:
        """Samples are still thrown away."""
        return self.state.age < self.analysis.warmup.total_seconds()

    def counted(self, slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
        """Those of the slots that had their role during the whole batch."""
        began = self.readings.batch.since
        return tuple(slot for slot in slots if began is None or began >= self.state.since.get(slot, 0.0))

    @property
    def is_shifted(self) -> bool:
        """The weights may have changed within the batch."""
        began = self.readings.batch.since
        return self.state.is_opening if began is None else began < self.state.moved_at


class _Look(NamedTuple):
    """One metric at one batch."""

    metric: Metric
    tick: Tick
    state: MetricState
    judged: Judged
    report: MetricReport | None
    """What its rule says, where it has one."""


def _look(moment: _Moment, metric: Metric) -> _Look:
    before = moment.state.metrics.get(metric.name, MetricState())
    tick = _tick(moment, metric, before)
    gap = gap_after(moment.analysis.tick)
    passed = 0.0 if _is_early(moment.segment, moment.state) else min(moment.elapsed, gap)
    silence = 0.0 if tick.new.has_data and not tick.error else before.silent + passed
    modes, decision, report = _evaluated(moment, metric, before.modes, tick)
    requests = before.requests + (0.0 if tick.is_gap or moment.is_warming else tick.new.total)
    read_at = before.read_at if tick.error else moment.state.at
    after = MetricState(requests=min(requests, LARGEST), silent=silence, read_at=read_at, modes=modes)
    judged = Judged(metric=metric, decision=decision, requests=requests, silent=silence, problem=tick.error)
    return _Look(metric, tick, after, judged, report)


def _tick(moment: _Moment, metric: Metric, before: MetricState) -> Tick:
    new, old = moment.counted(moment.segment.new), moment.counted(moment.segment.old)
    error = moment.readings.problem(metric, new) if new or not moment.segment.new else ""
    unread = 0.0 if error or before.read_at is None else moment.readings.batch.at - before.read_at
    gap = gap_after(moment.analysis.tick)
    is_gap = max(moment.elapsed, unread) > gap
    return Tick(
        seconds=moment.elapsed if moment.elapsed <= gap else 0.0,
        new=moment.readings.arm(metric, new),
        old=moment.readings.arm(metric, old),
        is_gap=is_gap,
        error=error,
        baseline_error=moment.readings.problem(metric, old) if old else "",
        is_shifted=is_gap or moment.is_shifted,
        stage=moment.state.stage,
        is_beside=bool(moment.segment.old),
    )


def _evaluated(
    moment: _Moment, metric: Metric, states: dict[str, dict[str, Any]], tick: Tick
) -> tuple[dict[str, dict[str, Any]], Decision, MetricReport | None]:
    """Asks every evaluator of the metric; the most cautious decision stands.

    What the old version does while the new one warms up is history: it shows which edges of a histogram are usable.
    """
    if moment.is_warming:
        tick = replace(tick, seconds=0.0, new=Counts(), error="", is_warming=True)
    judges = evaluators(metric, moment.analysis, moment.parameters)
    results = {mode: judge(metric, states.get(mode, {}), tick) for mode, judge in judges.items()}
    worst = min(results.values(), key=lambda result: _CAUTION.index(result.decision.verdict))
    report = results[RULE].report if RULE in results else None
    return {**states, **{mode: result.state for mode, result in results.items()}}, worst.decision, report


_CAUTION = ("rollback", "hold", "continue", "pass")


def _shown(report: MetricReport, requests: float, tick: Tick) -> MetricReport:
    update: dict[str, Any] = {"requests": int(min(requests, 2.0**53))}
    if tick.error and report.state != "failed":
        update |= {"state": "noData", "sentence": f"{tick.error}; {report.sentence}"}
    return report.model_copy(update=update)


def _rearmed(state: SessionState, decision: Decision) -> SessionState:
    """After a hold people decide; what led to it is counted anew when they let the release go on."""
    if decision.verdict != "hold":
        return state
    metrics = {name: metric.model_copy(update={"silent": 0.0}) for name, metric in state.metrics.items()}
    return state.model_copy(update={"short": 0.0, "metrics": metrics})


def _timeline(moment: _Moment, looks: Sequence[_Look], weights: Balance) -> Timeline:
    analysis, batch = moment.analysis, moment.readings.batch
    steps = steps_of(analysis, LIMIT - _RAW_LEAST)
    place = begun(moment.state.timeline, batch.at, tick=analysis.tick.total_seconds(), steps=steps)
    metrics = {
        look.metric.name: seen(look.metric, weights.part(look.metric.name), look.tick, look.report) for look in looks
    }
    return noted(place, weights.now.log_e if weights.parts else None, metrics)


def timeline_of(carried: Evidence) -> Timeline | None:
    """How the observation went that left this evidence; None where no metric was observed."""
    session = _valid(SessionState, carried.metrics.get(SESSION, {}))
    return session.timeline if session and session.timeline.count else None


def evidence(state: SessionState) -> Evidence:
    """The state as it travels: plain JSON, with as many raw counters as fit beside the rest."""
    metrics = {
        name: metric.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for name, metric in state.metrics.items()
    }
    reports = REPORT_BYTES * sum(map(_is_evidence, state.metrics.values()))
    timeline = len(state.timeline.model_dump_json(by_alias=True, exclude_defaults=True))
    left = LIMIT - len(json.dumps(metrics, separators=(",", ":"))) - reports - timeline
    small = state.model_copy(update={"raw": fitted(state.raw, limit=min(max(left, _RAW_LEAST), _RAW_MOST))})
    session = small.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"metrics"})
    return Evidence(metrics={**metrics, SESSION: session})


def _is_evidence(metric: MetricState) -> bool:
    return not metric.modes.keys() <= {RULE}


def restored(carried: Evidence) -> SessionState:
    """The state from evidence, whoever wrote it; parts that cannot be read are left out and start again."""
    metrics = {name: state for name, state in carried.metrics.items() if name != SESSION}
    session = _valid(SessionState, carried.metrics.get(SESSION, {})) or SessionState()
    known = {name: _valid(MetricState, state) for name, state in metrics.items()}
    return session.model_copy(update={"metrics": {name: state for name, state in known.items() if state}})


def _valid(model: type[M], data: dict[str, Any]) -> M | None:
    try:
        return model.model_validate(data)
    except ValidationError:
        return None
