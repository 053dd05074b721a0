"""How a component is judged: metrics with the rules that decide on them, and the evidence that is weighed.

The shape is complete for `headgate.dev/v1`. `unsupported` lists what this version refuses; what the fields mean while a
release runs is decided in `workflows/analysis`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from math import ceil
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from workflows.model.kayenta import CanaryMetric, Kayenta
from workflows.model.promql import CounterQuery, Query
from workflows.model.series import SeriesSelector
from workflows.model.shapes import Document, Duration, Name, Share
from workflows.model.web import WebValue

T = TypeVar("T")

Like = Literal["simple", "argo", "flagger"]

SOURCES = ("app", "envoy", "web", "contour", "istio", "linkerd", "nginx", "traefik")
"""The query sets this version has; those after `web` are asked of a metric store alone."""

_SHARED = frozenset({"like", "alert", "rollback", "interval", "direction"})
_OWN: dict[Like, frozenset[str]] = {
    "simple": frozenset({"failure_limit", "consecutive", "initial_delay"}),
    "argo": frozenset(
        {
            "success",
            "failure_limit",
            "inconclusive_limit",
            "consecutive_error_limit",
            "consecutive_success_limit",
            "count",
            "initial_delay",
        }
    ),
    "flagger": frozenset({"threshold"}),
}

Limit = Annotated[int, Field(ge=0, le=1000)]
Count = Annotated[int, Field(ge=1, le=100_000)]


class Rule(Document, Generic[T]):
    """Thresholds with the counting of a tool that people know; a rule, never a statistical statement.

    A sample counts as failed when it lies strictly beyond `rollback`. Which counting fields exist depends on `like`.
    """

    like: Like = "simple"
    """Whose counting applies: `simple` monitors, Argo Rollouts' AnalysisRun, or Flagger's canary analysis."""
    alert: T | None = None
    """A sample beyond this is shown as an alert and changes nothing. A rule with nothing else is advice alone."""
    rollback: T | None = None
    """A sample beyond this counts as failed."""
    success: T | None = None
    """Only `argo`: a sample within this succeeds; between this and `rollback` it is inconclusive."""
    direction: Literal["above", "below"] = "above"
    """Which side of a limit is bad."""
    interval: Duration = timedelta(minutes=1)
    """One sample is taken per interval."""
    failure_limit: Limit | None = None
    """`simple` and `argo`: failed samples tolerated over the whole release; 0, the default, rolls back on the first."""
    consecutive: bool | None = None
    """Only `simple`: a good sample sets the count of failed ones back to 0."""
    count: Count | None = None
    """Only `argo`: the metric succeeds after this number of samples and then takes no more."""
    inconclusive_limit: Limit | None = None
    """Only `argo`: inconclusive samples tolerated before the release is held (0)."""
    consecutive_error_limit: Limit | None = None
    """Only `argo`: failed questions to the provider in a row that are tolerated before the release is held (4)."""
    consecutive_success_limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Only `argo`: the metric succeeds after this number of good samples in a row and then takes no more."""
    initial_delay: Duration | None = None
    """`simple` and `argo`: time before the first sample."""
    threshold: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Only `flagger`: failed checks over the whole release at which the next check rolls back (1)."""

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        problems = [*self._strangers(), *self._order()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _strangers(self) -> list[str]:
        allowed = _SHARED | _OWN[self.like]
        return [
            f"{_camel(field)} does not exist in rules like {self.like}; it belongs to {_owners(field)}"
            for field in type(self).model_fields
            if field not in allowed and getattr(self, field) is not None
        ]

    def _order(self) -> list[str]:
        problems = []
        if self.rollback is None and self.success is None:
            problems += self._advice()
        if self.alert is not None and self.rollback is not None and self.is_beyond(self.alert, self.rollback):
            problems.append("alert must be reached before rollback")
        if self.success is not None and self.rollback is not None and self.is_beyond(self.success, self.rollback):
            problems.append("success must not reach beyond rollback")
        if self.interval <= timedelta(0):
            problems.append("interval must be longer than 0s")
        return problems

    def _advice(self) -> list[str]:
        if self.alert is None or self.like != "simple":
            advice = "; one like simple may have alert instead, which is shown and changes nothing"
            return [f"a rule needs rollback, the value beyond which a sample counts as failed{advice}"]
        counting = [name for name in ("failure_limit", "consecutive") if getattr(self, name) is not None]
        return [f"{_camel(name)} counts samples beyond rollback; leave it out, or write rollback" for name in counting]

    def is_beyond(self, value: Any, limit: Any) -> bool:
        """Whether a value lies strictly on the bad side of a limit."""
        return bool(value > limit) if self.direction == "above" else bool(value < limit)

    @property
    def limit(self) -> T:
        """The value that samples are compared with: failure, or an alert where the rule is advice alone."""
        return next(limit for limit in (self.rollback, self.success, self.alert) if limit is not None)

    @property
    def is_advice(self) -> bool:
        """Whether no sample of it can ever change anything."""
        return self.rollback is None and self.success is None

    @property
    def guards(self) -> bool:
        """Whether it can roll back for as long as the release lasts."""
        return not self.ends_by_itself and not self.is_advice

    @property
    def ends_by_itself(self) -> bool:
        """Whether the metric stops sampling once it has succeeded, and so stops guarding."""
        return self.count is not None or self.consecutive_success_limit is not None


class ShareRule(Rule[Share]):
    """A rule on a share of requests; limits are written with a percent sign."""


class DurationRule(Rule[Duration]):
    """A rule on a quantile of durations; limits are written with a unit, such as 500ms."""


class NumberRule(Rule[Annotated[float, Field(allow_inf_nan=False)]]):
    """A rule on a plain number."""


class ShareObjective(Document):
    """Evidence against a version that fails more often than an absolute limit allows."""

    max: Share
    """The share of failed requests that the new version may reach. Where the old version is beyond it, 1.25 times the
    old one's share of the last 12 ticks counts. A pass is the absence of evidence, not proof of being below."""

    @field_validator("max")
    @classmethod
    def _inside(cls, maximum: float) -> float:
        if not 0 <= maximum < 1:
            msg = "max must lie from 0% to below 100%, such as 0.1%"
            raise ValueError(msg)
        return maximum


class DurationObjective(Document):
    """Evidence against a version of which more requests are slow than a quantile allows."""

    max: Duration
    """The duration that the quantile may reach. What is slower than the histogram's first edge at or above it counts as
    too slow. A pass is the absence of evidence, not proof of being fast enough."""
    quantile: Share = 0.95
    """Which part of the requests must be at least this fast."""

    @field_validator("quantile")
    @classmethod
    def _inside(cls, quantile: float) -> float:
        return _strictly_inside(quantile, "quantile", "95%")


class Comparison(Document):
    """Evidence against a version that fails, or is slow, more often than the old one beside it.

    Shares are compared and not rates, so an incident that both versions share is nobody's fault. Where no old version
    serves beside the new one, it is held against what the old one did earlier in the release: that is a rule.
    """

    max_ratio: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 1.25
    """How many times as often as the old version the new one may fail, or take longer than an edge of the histogram."""


def _strictly_inside(share: float, field: str, example: str) -> float:
    if not 0 < share < 1:
        msg = f"{field} must lie between 0% and 100%, such as {example}"
        raise ValueError(msg)
    return share


class Weighing(Document):
    """How the evidence of `slo` and `compare` is weighed: once for the whole release, never anew for a stage."""

    alpha: Share = 0.01
    """How probable a false rollback by evidence may be over the whole release, however often it is looked at."""
    dependence: Literal["robust", "independent"] = "robust"
    """`robust` bears failures that hit one version together. `independent` is faster, and it rolls back healthy
    versions where clients retry and stay with one version: 39 to 77 % of them in simulations."""
    cluster: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] | None = None
    """Only `robust`: the most failures that hit one version together within a tick (8); at least 1 + the retries."""

    @field_validator("alpha")
    @classmethod
    def _probable(cls, alpha: float) -> float:
        if not 1e-6 <= alpha <= 0.2:
            msg = "alpha must lie between 0.0001% and 20%, such as 1%"
            raise ValueError(msg)
        return alpha

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if self.cluster is not None and self.dependence == "independent":
            msg = "cluster means nothing where failures are independent; leave it out, or use dependence: robust"
            raise ValueError(msg)
        return self


class Judged(Document):
    """What every metric has."""

    modes: ClassVar[tuple[str, ...]] = ("rule", "slo", "compare", "canary")
    """Fields of which at least one must be given, because they decide."""

    name: Name
    """The metric's name in reports; unique in the component."""
    source: Name | None = None
    """A set of queries: `app` is the instances' own view, `envoy` that of Headgate's Envoy; with a provider of kind
    prometheus also `contour`, `istio`, `linkerd`, `nginx` and `traefik`."""
    required: bool = True
    """Whether missing data of this metric holds the release; without it the metric can still roll back. Advice alone
    never holds one."""
    canary: CanaryMetric | None = None
    """How the judge `kayenta` compares it with the old version; `{}` takes Kayenta's defaults."""

    @model_validator(mode="after")
    def _decide(self) -> Self:
        modes = [mode for mode in self.modes if mode in type(self).model_fields]
        if all(getattr(self, mode) is None for mode in modes):
            msg = f"nothing decides on this metric; give it one of {', '.join(modes)}"
            raise ValueError(msg)
        return self

    @property
    def is_advice(self) -> bool:
        """Whether it only has a rule that is advice."""
        given = {mode: found for mode in self.modes if (found := getattr(self, mode, None)) is not None}
        return given.keys() == {"rule"} and given["rule"].is_advice

    @property
    def is_needed(self) -> bool:
        """Whether missing data of it holds the release."""
        return self.required and not self.is_advice


class RatioMetric(Judged):
    """A share of requests: failed ones among all, by a source or by two selectors of counters."""

    kind: Literal["ratio"]
    bad: SeriesSelector | None = None
    """Counters of what is bad; with `total` instead of the source's own series."""
    total: SeriesSelector | None = None
    """Counters of everything."""
    bad_query: CounterQuery | None = None
    """Counters of what is bad in PromQL, with `totalQuery`; variables are in double braces, such as {{selector}}."""
    total_query: CounterQuery | None = None
    """Counters of everything in PromQL."""
    rule: ShareRule | None = None
    """Thresholds on the share of each interval."""
    slo: ShareObjective | None = None
    """Evidence against an absolute limit of the share."""
    compare: Comparison | None = None
    """Evidence from a comparison with the old version."""

    @model_validator(mode="after")
    def _have_series(self) -> Self:
        if (self.bad is None) != (self.total is None):
            msg = "bad and total belong together; give both or use source"
            raise ValueError(msg)
        if (self.bad_query is None) != (self.total_query is None):
            msg = "badQuery and totalQuery belong together; give both or use source"
            raise ValueError(msg)
        if self.bad_query is not None and (self.bad or self.source):
            msg = "badQuery and totalQuery say which series to read; leave source, bad and total out"
            raise ValueError(msg)
        if self.bad is None and self.source is None and self.bad_query is None:
            msg = "nothing says which series to read; give source, or bad and total"
            raise ValueError(msg)
        return self


class HistogramMetric(Judged):
    """A quantile of durations, by a source or by a selector of a histogram in seconds."""

    kind: Literal["histogram"]
    series: SeriesSelector | None = None
    """A histogram without its `_bucket` suffix, in seconds; instead of the source's own."""
    query: CounterQuery | None = None
    """The buckets of a histogram in seconds in PromQL, with their `le`; variables are in double braces."""
    quantile: Share = 0.95
    """Which part of the requests the rule looks at, such as 95%; of a comparison, the edge that is shown."""
    rule: DurationRule | None = None
    """Thresholds on the quantile of each interval."""
    slo: DurationObjective | None = None
    """Evidence against an absolute limit of the quantile."""
    compare: Comparison | None = None
    """Evidence from a comparison with the old version, at up to four edges of the histogram."""

    @field_validator("quantile")
    @classmethod
    def _inside(cls, quantile: float) -> float:
        return _strictly_inside(quantile, "quantile", "95%")

    @model_validator(mode="after")
    def _have_series(self) -> Self:
        if self.query is not None and (self.series or self.source):
            msg = "query says which series to read; leave source and series out"
            raise ValueError(msg)
        if self.series is None and self.source is None and self.query is None:
            msg = "nothing says which series to read; give source or series"
            raise ValueError(msg)
        return self


class GaugeMetric(Judged):
    """A plain number such as a queue's length, by a selector of gauges."""

    kind: Literal["gauge"]
    series: SeriesSelector | None = None
    """Gauges of the instances."""
    query: Query | None = None
    """A query in PromQL, instead of `series`; its variables are in double braces, such as {{selector}}."""
    web: WebValue | None = None
    """A number in the JSON answer of another system, instead of `series`."""
    aggregate: Literal["max", "sum", "avg"] = "max"
    """How the values of several series and instances become one."""
    rule: NumberRule | None = None
    """Thresholds on the number at each interval."""

    @model_validator(mode="after")
    def _have_series(self) -> Self:
        if sum(where is not None for where in (self.series, self.query, self.web)) != 1:
            msg = "give one of series, query and web"
            raise ValueError(msg)
        if self.query is not None and self.source is not None:
            msg = f"query says what to read; leave source: {self.source} out"
            raise ValueError(msg)
        if self.web is not None and self.source not in {None, "web"}:
            msg = f"web is a source of its own; leave source: {self.source} out"
            raise ValueError(msg)
        return self


Metric = Annotated[RatioMetric | HistogramMetric | GaugeMetric, Field(discriminator="kind")]


class Analysis(Document):
    """How the new version is judged, from its first user request until the release ends."""

    provider: Name = "main"
    """A metrics provider of the worker's settings."""
    judge: Literal["headgate", "kayenta"] = "headgate"
    """`kayenta` scores the metrics with `canary` as Spinnaker's Kayenta does; rules and evidence decide beside it."""
    kayenta: Kayenta | None = None
    """Only `judge: kayenta`: steps, intervals, groups and the scores that must be reached."""
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=20)]
    """What is measured and what decides; one failed metric rolls back."""
    on_insufficient: Literal["hold", "proceed", "rollback"] = "hold"
    """What happens when a stage, extended to twice its time, still has too few requests or no conclusion.

    It does not apply to missing data, which always holds.
    """
    evidence: Weighing = Weighing()
    """How `slo` and `compare` are weighed; rules have nothing to do with it."""
    min_requests: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """Requests of the new version since the release began without which no stage passes; a rollback needs none. When
    not given: 3 / max for a metric with a limit of failures (3,000 for 0.1%), 300 for other evidence, 50 for rules."""
    warmup: Duration = timedelta(0)
    """Time after the first observation of the release whose samples are thrown away."""
    patience: Duration = timedelta(minutes=2)
    """Time without data of a required metric after which the release is held."""
    tick: Duration = timedelta(seconds=5)
    """How often the metrics are read; 2s or more in production."""

    @field_validator("tick")
    @classmethod
    def _reasonable(cls, tick: timedelta) -> timedelta:
        if not timedelta(milliseconds=100) <= tick <= timedelta(minutes=1):
            msg = "tick must be from 100ms to 1m"
            raise ValueError(msg)
        return tick

    @model_validator(mode="after")
    def _fit(self) -> Self:
        problems = [*self._repeated(), *self._too_fast(), *self._unguarded(), *self._too_large(), *self._misjudged()]
        if self.patience < self.tick:
            problems.append("patience must be at least one tick")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _repeated(self) -> list[str]:
        names = [metric.name for metric in self.metrics]
        return [f"two metrics have the name {name}" for name in sorted({n for n in names if names.count(n) > 1})]

    def _too_fast(self) -> list[str]:
        return [
            f"metric {metric.name}: its interval is shorter than the tick, so no sample could be taken in time"
            for metric in self.metrics
            if metric.rule and metric.rule.interval < self.tick
        ]

    def _misjudged(self) -> Iterator[str]:
        scored = [metric for metric in self.metrics if metric.canary]
        if self.judge != "kayenta":
            given = ["kayenta"] * (self.kayenta is not None) + [f"canary of {metric.name}" for metric in scored]
            yield from (f"{what} belongs to judge: kayenta; write that, or leave it out" for what in given)
            return
        if all(metric.canary.muted for metric in scored if metric.canary):
            yield "judge: kayenta needs a metric with canary that is not muted, or there is no score"
        if self.scoring.step < self.tick:
            yield "kayenta.step is shorter than the tick, so no sample could be taken in time"
        yield from self.scoring.problems(
            {group for metric in scored if metric.canary for group in metric.canary.groups}
        )

    @property
    def size(self) -> int:
        """The most bytes that what is known of the metrics takes."""
        return sum(bytes_of(metric, self.scoring.samples) for metric in self.metrics)

    @property
    def scoring(self) -> Kayenta:
        """How Kayenta scores, where it judges."""
        return self.kayenta or _KAYENTA

    def _unguarded(self) -> list[str]:
        deciding = [metric for metric in self.metrics if not metric.is_advice]
        if not deciding:
            return ["every metric is advice alone; at least one must have rollback, or users would be unguarded"]
        if all(metric.rule and metric.rule.ends_by_itself for metric in deciding):
            return ["every metric stops after its count; at least one must go on, or users would be unguarded"]
        return []

    def _too_large(self) -> list[str]:
        if self.size <= METRICS_BYTES or not any(has_evidence(metric) or metric.canary for metric in self.metrics):
            return []
        room = f"takes up to {self.size:,} bytes of each heartbeat and {METRICS_BYTES:,} is all there is"
        remedy = "leave compare or slo out of some, of histograms first"
        if self.judge == "kayenta":
            remedy = "keep fewer kayenta.samples, or score fewer metrics"
        return [f"what is known of these metrics {room}; {remedy}"]

    def needed_requests(self, metric: Metric) -> int:
        """Requests of the new version that this metric wants to have seen before a stage passes."""
        if self.min_requests is not None:
            return self.min_requests
        if isinstance(metric, RatioMetric) and metric.slo is not None and metric.slo.max > 0:
            return ceil(round(3 / metric.slo.max, 6))
        return 300 if has_evidence(metric) else 50


def has_evidence(metric: Metric) -> bool:
    """Whether evidence is weighed on this metric."""
    return not isinstance(metric, GaugeMetric) and (metric.slo is not None or metric.compare is not None)


_KAYENTA = Kayenta()

METRICS_BYTES = 13 * 1024
"""What all metrics may take of a heartbeat of 16 KiB; raw counters get the rest."""

_BYTES: dict[tuple[str, str], int] = {
    ("ratio", "rule"): 900,
    ("ratio", "compare"): 1700,
    ("ratio", "slo"): 900,
    ("histogram", "rule"): 1400,
    ("histogram", "compare"): 3000,
    ("histogram", "slo"): 900,
    ("gauge", "rule"): 900,
    ("ratio", "canary"): 950,
    ("histogram", "canary"): 1750,
    ("gauge", "canary"): 850,
}
"""The most that a mode takes, with its share of the report, by the kind of metric; a test measures real ones."""

REPORT_BYTES = 700
"""More for the report of a metric with evidence."""


SAMPLE_BYTES = 2 * 13
"""More for each step of which both versions' samples are kept."""


def bytes_of(metric: Metric, samples: int = 0) -> int:
    """The most that is known of this metric takes, as JSON, with so many samples of each version."""
    modes = sum(size for (kind, mode), size in _BYTES.items() if kind == metric.kind and getattr(metric, mode, None))
    return modes + has_evidence(metric) * REPORT_BYTES + (metric.canary is not None) * samples * SAMPLE_BYTES


def unsupported(analysis: Analysis) -> list[tuple[str, str]]:
    """What this version cannot do yet, each as a path below `analysis` and a sentence."""
    return [
        (f"metrics[{i}].{field}", sentence)
        for i, metric in enumerate(analysis.metrics)
        for field, sentence in _unsupported_fields(metric)
    ]


def _unsupported_fields(metric: Judged) -> Iterator[tuple[str, str]]:
    if metric.source is not None and metric.source not in SOURCES:
        yield "source", f"source {metric.source} is not supported yet; this version has {', '.join(SOURCES)}"
    if metric.source == "web" and not (isinstance(metric, GaugeMetric) and metric.web):
        yield "source", "web says where its numbers are: use a gauge with web: endpoint and value"


def _camel(field: str) -> str:
    head, *rest = field.split("_")
    return head + "".join(map(str.capitalize, rest))


def _owners(field: str) -> str:
    return " and ".join(f"like: {like}" for like, own in _OWN.items() if field in own)
