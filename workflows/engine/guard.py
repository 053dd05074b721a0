"""Watch the new version for as long as users can reach it.

One heartbeating activity per segment of at most 30 minutes costs 6 history events, whatever the number of samples.
Evidence is carried from segment to segment. A segment starts the moment the one before it ended, also while weights
move; time that it observed before the new weight was verified does not count for the stage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import exceptions, workflow
from temporalio.exceptions import ActivityError
from temporalio.workflow import ActivityHandle

from workflows.analysis.reasons import FOREIGN_CHANGE
from workflows.contracts.metrics import Beat, MetricActivities, Observed, ObserveRequest
from workflows.engine import calls
from workflows.engine.reach import Reach
from workflows.model.decision import Decision, Evidence, EvidenceReport, MetricReport
from workflows.model.plan import Observe
from workflows.model.target import Slot

SEGMENT = timedelta(minutes=31)
"""A window of 30 minutes and the margin fit into one segment."""
_MARGIN = 0.1
_MARGIN_LIMIT = 2.0
"""Share of a stage's need that is asked for on top while its weight is not verified yet, and its limit in seconds: so
a quick shift needs no second segment."""
_LAST = 1.0
"""Seconds of a stage that only a segment which says `pass` can give."""
_PAUSE = timedelta(seconds=30)
"""Between segments while the observer itself fails: each segment costs history."""


@dataclass(frozen=True)
class Arms:
    """Which slots run which version."""

    new: tuple[Slot, ...] = ()
    old: tuple[Slot, ...] = ()


@dataclass
class Guard:
    """Keeps a segment running from the first exposure on; its verdict latches."""

    reach: Reach
    analysis: dict[str, Any] | None
    version: str
    on_segment: Callable[[], None]
    on_foreign: Callable[[str, str], None]
    """Hears which field somebody else changed, and a sentence."""
    evidence: Evidence = field(default_factory=Evidence)
    segment: int = 0
    verdict: Decision | None = None
    """Set once a segment said `rollback`; final."""
    hold: Decision | None = None
    """Set while the evidence lets nobody decide; `release_hold` clears it."""
    metrics: tuple[MetricReport, ...] = ()
    weighed: EvidenceReport | None = None
    """What all metrics' evidence said last."""
    observed: float = 0
    """Seconds of observed time that count for the current stage."""
    need: float | None = None
    """Seconds the current stage needs; None outside stages."""
    entry: bool = False
    """The current stage belongs to the soft entry."""
    last_observation: datetime | None = None

    def __post_init__(self) -> None:
        self._arms = Arms()
        self._weights: dict[str, float] = {}
        self._upcoming: Observe | None = None
        self._stage_since: datetime | None = None
        self._task: asyncio.Task[None] | None = None
        self._handle: ActivityHandle[Observed] | None = None
        self._request: ObserveRequest | None = None
        self._stopped = False
        self._woken = False
        self._settled = 0  # The segment that ran when somebody last said to go on.

    @property
    def is_over(self) -> bool:
        """Whether the watch ended by itself: with a verdict, or because something broke."""
        return self._task is not None and self._task.done() and not self._stopped

    @property
    def may_move(self) -> bool:
        """Whether users may be moved: the evidence does not hold the release, and somebody is there to observe."""
        return self.hold is None and self.reach.missing is None

    def check(self) -> None:
        """Raises what ended the watch unexpectedly: a release must wedge rather than go on unguarded."""
        if self.is_over and self.verdict is None and self._task is not None:
            self._task.result()
            raise RuntimeError("the watch ended without a verdict")

    def watch(self, arms: Arms, weights: Mapping[Any, float], upcoming: Observe | None) -> None:
        """Says which slots to watch from now on, and the stage after this step when one follows directly."""
        self._weights, self._upcoming = dict(weights), upcoming
        # A slot more to compare with can wait for the next segment: an interruption costs history.
        changed = arms.new != self._arms.new or not set(self._arms.old) <= set(arms.old)
        self._arms = arms
        if self._task is None:
            if arms.new:
                self._task = asyncio.create_task(self._run())
        elif changed:
            self._interrupt()

    async def pass_stage(self, stage: Observe, *, already: float = 0) -> None:
        """Returns once the stage has its observed time, counted from now, and the evidence lets it pass."""
        seconds = stage.seconds
        self.observed, self.need, self._stage_since = already, seconds, workflow.now()
        self.entry = stage.entry
        if seconds > 0 and self._request is not None and self._request.need_seconds is None:
            self._interrupt()
        try:
            await workflow.wait_condition(lambda: self.observed >= seconds or self.need is None)
        finally:
            self.need = self._stage_since = None

    def pass_now(self) -> None:
        """Ends the current stage early: somebody said so."""
        self.need = None
        self.release_hold()

    def release_hold(self) -> None:
        """Goes on after a hold; the same evidence may hold again, and so may what the next segment finds changed."""
        self.hold, self._settled = None, self.segment
        self._interrupt()

    def stop(self) -> None:
        """Ends the watch; nobody waits until the observer has heard of it."""
        self._stopped = True
        if self._handle is not None:
            self._handle.cancel()

    def _wake(self) -> None:
        self._woken = True

    def _interrupt(self) -> None:
        """Ends the running segment; it goes on observing until the observer heard of it, and its evidence is kept."""
        self._wake()
        if self._handle is not None:
            self._handle.cancel()

    async def _run(self) -> None:
        while not self._stopped and self.verdict is None:
            started = workflow.now()
            result = await self._observe()
            if result is not None:
                self._learn(result)
            if self._stopped:
                return
            if result is not None:
                self._merge(result, started)
            elif not self._woken:
                await self._pause(started)

    async def _pause(self, started: datetime) -> None:
        """Spaces segments that end at once; a wake-up goes on immediately."""
        left = _PAUSE - (workflow.now() - started)
        if left > timedelta(0) and not self._stopped:
            self._woken = False
            try:
                await workflow.wait_condition(lambda: self._woken or self._stopped, timeout=left)
            except TimeoutError:
                return

    def _next_stage(self) -> Observe | None:
        """What the next segment is to see: the rest of the current stage, or the one that follows."""
        if self.hold is not None:
            return None
        if self.need is not None and self.observed < self.need:
            return Observe(seconds=self.need - self.observed, entry=self.entry)
        if self._upcoming is None:
            return None
        seconds = self._upcoming.seconds
        return self._upcoming.model_copy(update={"seconds": seconds + min(seconds * _MARGIN, _MARGIN_LIMIT)})

    async def _observe(self) -> Observed | None:
        self.segment += 1
        self._woken = False
        stage = self._next_stage()
        self._request = ObserveRequest(
            target=self.reach.target,
            segment=self.segment,
            new=self._arms.new,
            old=self._arms.old,
            weights=self._weights,
            analysis=self.analysis,
            evidence=self.evidence,
            need_seconds=None if stage is None else stage.seconds,
            entry=stage is not None and stage.entry,
            limit_seconds=SEGMENT.total_seconds(),
            holding=self.hold is not None,
            version=self.version,
            is_watchful=self.hold is None or self.hold.reason != FOREIGN_CHANGE,
        )
        handle = self._handle = self.reach.begin(
            MetricActivities.observe, self._request, calls.OBSERVE, self._summary()
        )
        try:
            result: Observed = await handle
        except asyncio.CancelledError:
            # A handle that is cancelled in the activation that made it never starts, and ends like a cancelled task.
            if not handle.cancelled():
                raise
            self._wake()
            return None
        except ActivityError as error:
            if calls.is_cancelled(error):
                self._wake()
            elif calls.is_unserved(error):
                lost = _last_beat(error)
                await self.reach.find()
                return lost
            elif self._woken:
                return _last_beat(error)
            else:
                self.hold = Decision(verdict="hold", reason="ObserverFailed", message=calls.failure_of(error).message)
                self.on_segment()
            return None
        finally:
            self._handle = self._request = None
        return result

    def _learn(self, result: Observed) -> None:
        """Keeps what was seen, also in a segment that ends too late to decide anything: it is reported."""
        self.evidence, self.last_observation = result.evidence, workflow.now()
        if result.metrics:  # A segment may end before its first look.
            self.metrics, self.weighed = result.metrics, result.weighed

    def _merge(self, result: Observed, started: datetime) -> None:
        if self._stage_since is not None:
            early = max((self._stage_since - started).total_seconds(), 0)
            self.observed += max(result.observed_seconds - early, 0)
            if self.need is not None and result.decision.verdict != "pass":
                # Time alone passes nothing: an observer that was stopped, or lost, did not ask whether it may.
                self.observed = min(self.observed, max(self.need - _LAST, 0))
        if result.foreign:
            if not self._is_settled(result):
                self.on_foreign(result.foreign, result.decision.message)
        elif result.decision.verdict == "rollback":
            self.verdict = result.decision
        elif result.decision.verdict == "hold":
            self.hold = result.decision
        self.on_segment()

    def _is_settled(self, result: Observed) -> bool:
        """Whether a change was seen before somebody settled it, by a segment that ended afterwards."""
        return result.segment <= self._settled and workflow.patched("settled-changes")

    def _summary(self) -> str:
        return f"Watch {self.version} on {' and '.join(self._arms.new)}"


def _last_beat(error: ActivityError) -> Observed | None:
    """What an observer knew whose worker was lost after we had ended the segment: nobody takes such a one over."""
    lost = error.cause
    if not isinstance(lost, exceptions.TimeoutError) or not lost.last_heartbeat_details:
        return None
    try:
        beat = Beat.model_validate(lost.last_heartbeat_details[0])
    except ValidationError:
        return None
    return Observed(
        segment=beat.segment,
        decision=Decision(verdict="continue", reason="WorkerLost", message="the worker that observed was lost"),
        evidence=beat.evidence,
        observed_seconds=beat.observed_seconds,
        metrics=beat.metrics,
        weighed=beat.weighed,
    )
