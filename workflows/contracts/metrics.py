"""Watch the new version and decide: the guard's one long activity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from temporalio import activity

from workflows.model.backtest import Backtested
from workflows.model.decision import Decision, Evidence, EvidenceReport, MetricReport
from workflows.model.shapes import Message, Sentence
from workflows.model.status import LateRequests
from workflows.model.target import Slot, Target


class ObserveRequest(Message):
    """One segment of the guard.

    The segment ends by itself when the decision is `rollback` or `hold`, when it has seen `need_seconds` of observed
    time and the evidence lets it pass (`pass`), or after `limit_seconds` (`continue`).
    """

    target: Target
    segment: int
    """Counted from 1 in each Rollout."""
    new: tuple[Slot, ...]
    """Slots that run the new version and are reachable by users."""
    old: tuple[Slot, ...] = ()
    """Slots that run the old version: the comparison arm, as far as the weights give them users."""
    weights: dict[str, float] = {}
    """The weights asked for when the segment started."""
    analysis: dict[str, Any] | None = None
    """The component's analysis; without it only time is observed."""
    evidence: Evidence = Evidence()
    """Evidence of the earlier segments of this release."""
    need_seconds: float | None = None
    """Observed time wanted; None watches without ever passing."""
    entry: bool = False
    """The stage belongs to the soft entry: it asks for no minimum of requests."""
    limit_seconds: float = 1800
    holding: bool = False
    """A hold stands already and people decide: the segment watches on instead of saying `hold` again."""
    version: str = ""
    is_watchful: bool = False
    """The segment also ends, with `hold` and reason ForeignChange, when somebody else changes what the release wrote;
    the first of these changes is told, whatever people decide meanwhile."""


class Observed(Message):
    segment: int
    decision: Decision
    evidence: Evidence
    observed_seconds: float
    """Time covered by data in this segment; gaps do not count."""
    gap_seconds: float = 0
    metrics: tuple[MetricReport, ...] = ()
    foreign: str = ""
    """The object and its field that somebody else changed."""
    weighed: EvidenceReport | None = None
    """All metrics' evidence together; None where none is weighed."""


class Beat(Message):
    """What an observer's heartbeat carries: its state for the next attempt, and how things look for whoever watches."""

    segment: int
    started: float
    """When the segment's first attempt began."""
    evidence: Evidence
    observed_seconds: float = 0
    """Time covered by data so far in this segment."""
    metrics: tuple[MetricReport, ...] = ()
    weighed: EvidenceReport | None = None


class MeasureRequest(Message):
    """What users do with the version that runs now."""

    target: Target
    analysis: dict[str, Any]


class Measured(Message):
    requests_per_second: float | None = None
    """None where nobody could tell."""
    failing: float | None = None
    """The share of them that failed; None where no metric counts failures, or nothing was asked for."""
    message: Sentence = ""
    """Over which time it was measured, or why it was not."""


class FollowRequest(Message):
    """A slot whose users have just been led away."""

    target: Target
    slot: Slot
    analysis: dict[str, Any]


class BacktestRequest(Message):
    """A time that is over, and what told the two versions apart in it."""

    analysis: dict[str, Any]
    """Of a component; its provider must be one that remembers."""
    canary: str
    """Conditions on the labels of the new version's series, such as `pod=~"shop-7f9c.*"`."""
    stable: str
    """The same for the old version."""
    since: float
    """Seconds since 1970."""
    until: float
    window_seconds: float | None = None
    """Plays each stretch of this length as a release of its own."""


class ExamineRequest(Message):
    """What the metrics of an analysis find."""

    target: Target
    analysis: dict[str, Any]
    version: str = ""


class VersionSeen(Message):
    """What a metric finds of one slot."""

    slot: Slot
    instances: int = 0
    """Pods, or proxies that count for it."""
    series: int = 0
    requests_per_second: float | None = None
    failing: float | None = None
    """The share of them that failed."""
    usable_buckets: int | None = None
    """Edges of a histogram that tell fast from slow."""
    value: float | None = None
    """Of a gauge."""


class MetricProblem(Message):
    """What keeps a metric from deciding, and what helps."""

    message: Sentence
    remedy: Sentence


class MetricExamined(Message):
    """One metric just now."""

    name: str
    kind: str
    source: str = ""
    versions: tuple[VersionSeen, ...] = ()
    problems: tuple[MetricProblem, ...] = ()


class Examined(Message):
    provider: str = ""
    metrics: tuple[MetricExamined, ...] = ()
    problems: tuple[MetricProblem, ...] = ()
    """Those of all metrics: nobody answers."""


class MetricActivities(ABC):
    """What workflows learn from metrics."""

    @activity.defn(name="metrics.observe")
    @abstractmethod
    async def observe(self, request: ObserveRequest) -> Observed:
        """Samples until the segment ends, heartbeating evidence and raw counters (at most 16 KB).

        A later attempt resumes from the heartbeat; the time between counts as one gap that never helps promotion, and
        is evaluated first. Cancelled, it returns what it has with `continue`. A metric store that is down is no error
        but a decision `hold` after the metric's patience.
        """

    @activity.defn(name="metrics.measure")
    @abstractmethod
    async def measure(self, request: MeasureRequest) -> Measured:
        """The traffic before a release, as far as it can be told; what cannot is an answer too, and no error."""

    @activity.defn(name="metrics.follow")
    @abstractmethod
    async def follow(self, request: FollowRequest) -> LateRequests:
        """Counts until the slot's instances are gone or it is cancelled, and answers then. Heartbeats.

        What nobody can tell is an answer too, and no error.
        """

    @activity.defn(name="metrics.backtest")
    @abstractmethod
    async def backtest(self, request: BacktestRequest) -> Backtested:
        """Plays what a metric store remembers to an analysis; heartbeats, and changes nothing.

        Errors: Rejected for a provider that does not remember, a time that is too long, and series that are not there.
        """

    @activity.defn(name="metrics.examine")
    @abstractmethod
    async def examine(self, request: ExamineRequest) -> Examined:
        """Runs the queries once and says what they find; what is missing is an answer too, and no error."""
