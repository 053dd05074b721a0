"""One segment of the guard: read, judge, heartbeat, sleep, until there is something to say.

All that decides is in `workflows.analysis`; here is only when to look, and what survives a worker that dies: each
heartbeat carries the whole state, so that the next attempt goes on where this one stopped, wherever it runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio import activity

from activities import beats
from activities.metrics.clock import Clock
from activities.metrics.looks import looks
from activities.metrics.protocol import MetricsProvider, Query, Store
from workflows.analysis import reasons
from workflows.analysis.session import Segment, SessionState, Step, begin, evidence, restored
from workflows.contracts.metrics import Beat, Observed, ObserveRequest
from workflows.errors import ForeignChange
from workflows.model.analysis import Analysis
from workflows.model.decision import Decision, EvidenceReport, MetricReport
from workflows.model.target import Slot

logger = logging.getLogger(__name__)

BEAT = 4.0
"""Longest time between two heartbeats; the heartbeat timeout is 15 s."""

T = TypeVar("T")


class Observer:
    """Runs once; the request's evidence, or that of the last heartbeat, is where it starts."""

    def __init__(
        self, request: ObserveRequest, analysis: Analysis | None, provider: MetricsProvider | None, clock: Clock
    ) -> None:
        self._request = request
        self._clock = clock
        self._segment = Segment(
            request.segment,
            request.new,
            _compared(request),
            need_seconds=request.need_seconds,
            stage=_stage(request),
            is_entry=request.entry,
            since=_began(clock) if isinstance(provider, Store) else None,
        )
        query = _query(request, analysis, clock) if analysis else None
        self._looks = looks(analysis, self._segment, query, provider, clock)
        self._started = clock.now()
        self._state = SessionState()
        self._reports: tuple[MetricReport, ...] = ()
        self._watching: asyncio.Future[ForeignChange] | None = None
        self._weighed: EvidenceReport | None = None

    async def run(self, watching: asyncio.Future[ForeignChange] | None = None) -> Observed:
        """Ends with the first decision that is not `continue`, at the segment's limit, on cancellation and shutdown.

        And at once with what is found by `watching` the objects that the release wrote.
        """
        self._watching = watching
        self._resume()
        try:
            decision = await self._watch()
        except asyncio.CancelledError:
            decision = Decision(verdict="continue", reason=reasons.CANCELLED)
        return self._observed(decision)

    def _resume(self) -> None:
        beat = _last_beat(self._request.segment)
        if beat is not None:
            self._started = min(self._started, beat.started)
            self._reports, self._weighed = beat.metrics, beat.weighed
        self._state = begin(restored(beat.evidence if beat else self._request.evidence), self._segment)
        self._beat()  # Whoever takes over before the first look knows when the segment began.

    async def _watch(self) -> Decision:
        end = self._started + self._request.limit_seconds
        decision = Decision(verdict="continue", reason=reasons.OBSERVING)
        while True:
            if result := await self._beating(self._looks.look(self._state)):
                self._note(result)
                decision = result.decision
            if self._ends(decision):
                return decision
            if self._clock.now() >= end:
                return Decision(verdict="continue", reason=reasons.SEGMENT_ENDED, message=decision.message)
            if interruption := await self._sleep(until=min(self._looks.next(), end)):
                return interruption

    def _ends(self, decision: Decision) -> bool:
        return decision.verdict != "continue" and not (decision.verdict == "hold" and self._request.holding)

    async def _beating(self, look: Coroutine[Any, Any, T]) -> T:
        """Heartbeats while somebody else takes time to answer."""
        looking = asyncio.ensure_future(look)
        try:
            while not (await asyncio.wait([looking], timeout=BEAT))[0]:
                self._beat()
            return looking.result()
        finally:
            looking.cancel()

    def _note(self, result: Step) -> None:
        """Keeps a step's outcome; one log line per metric that changed, none per tick."""
        before = {report.name: report.state for report in self._reports}
        for report in result.reports:
            if before.get(report.name, "insufficient") != report.state:
                logger.info(
                    "%s of %s %s is %s: %s",
                    report.name,
                    self._request.target.component,
                    self._request.version,
                    report.state,
                    report.sentence,
                    extra={"component": self._request.target.component, "metric": report.name, "state": report.state},
                )
        self._state, self._reports, self._weighed = result.state, result.reports, result.evidence
        self._beat()

    def _beat(self) -> None:
        beat = Beat(
            segment=self._request.segment,
            started=self._started,
            evidence=evidence(self._state),
            observed_seconds=self._state.observed,
            metrics=self._reports,
            weighed=self._weighed,
        )
        beats.send(beat.model_dump(mode="json", by_alias=True, exclude_defaults=True))

    async def _sleep(self, *, until: float) -> Decision | None:
        """Sleeps, heartbeating on the way; what ended that too early, if anything did."""
        while (left := until - self._clock.now()) > 0:
            if decision := await self._nap(min(left, BEAT)):
                return decision
            if until - self._clock.now() > BEAT / 2:
                self._beat()
        return None

    async def _nap(self, seconds: float) -> Decision | None:
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        stop = asyncio.ensure_future(activity.wait_for_worker_shutdown())
        waiting: list[asyncio.Future[Any]] = [sleep, stop, *([self._watching] if self._watching else [])]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return self._interruption(is_stopping=stop.done())
        finally:
            sleep.cancel()
            stop.cancel()
            # Not awaited one by one: what cancels us in this moment would be taken for their end.
            await asyncio.wait([sleep, stop])

    def _interruption(self, *, is_stopping: bool) -> Decision | None:
        if self._foreign:
            return Decision(verdict="hold", reason=reasons.FOREIGN_CHANGE, message=str(self._foreign))
        if is_stopping:
            message = "the worker is stopping; another one goes on"
            return Decision(verdict="continue", reason=reasons.SEGMENT_ENDED, message=message)
        return None

    @property
    def _foreign(self) -> ForeignChange | None:
        return self._watching.result() if self._watching and self._watching.done() else None

    def _observed(self, decision: Decision) -> Observed:
        return Observed(
            segment=self._request.segment,
            decision=decision,
            evidence=evidence(self._state),
            observed_seconds=_granted(self._state.observed, self._request.need_seconds, decision),
            gap_seconds=self._state.gap,
            metrics=self._reports,
            foreign=self._foreign.field if self._foreign and decision.reason == reasons.FOREIGN_CHANGE else "",
            weighed=self._weighed,
        )


def _began(clock: Clock) -> float:
    """When the segment was asked for: the same for all its attempts, and never later than now."""
    return min(activity.info().scheduled_time.timestamp(), clock.now())


def _query(request: ObserveRequest, analysis: Analysis, clock: Clock) -> Query:
    return Query(
        target=request.target,
        metrics=analysis.metrics,
        new=request.new,
        old=_compared(request),
        version=request.version,
        clock=clock,
        max_age=analysis.tick.total_seconds() / 2,
    )


def _compared(request: ObserveRequest) -> tuple[Slot, ...]:
    """The old version's slots that serve users: one that only stands by says nothing about now."""
    return tuple(slot for slot in request.old if not request.weights or request.weights.get(slot))


def _stage(request: ObserveRequest) -> str:
    """Segments with the same slots and weights belong to one stage."""
    weights = sorted((name, weight) for name, weight in request.weights.items() if weight)
    return repr((request.new, request.old, weights))


def _granted(observed: float, need: float | None, decision: Decision) -> float:
    """Observed time; the last second of a wanted time comes only with `pass`, so that nobody passes by counting."""
    if need is None or decision.verdict == "pass":
        return observed
    return min(observed, max(0.0, need - 1.0))


def _last_beat(segment: int) -> Beat | None:
    """The last heartbeat of an earlier attempt; one that cannot be read counts as none."""
    details: list[Any] = list(activity.info().heartbeat_details)
    if not details:
        return None
    try:
        beat = Beat.model_validate(details[0])
    except ValidationError:
        return None
    return beat if beat.segment == segment else None
