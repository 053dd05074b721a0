"""Services that serve, fail and slow down, and how their releases are judged: what the acceptance simulates.

Poisson requests, binomial split and errors, from a fixed seed. Nothing here is measured on a live service.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.workflows.analysis.evidence.builders import a_histogram, a_metric
from workflows.analysis.evidence import comparison, objective
from workflows.analysis.evidence.comparison import CompareState
from workflows.analysis.evidence.composite import Part, Weighed, overall
from workflows.analysis.evidence.objective import SloState
from workflows.analysis.evidence.parameters import Parameters
from workflows.analysis.samples import Counts
from workflows.analysis.ticks import Tick
from workflows.model.analysis import Metric

Course = Callable[[float], float]
"""A value by seconds since the release began."""

EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MEDIAN, SPREAD = 0.06, 0.6
"""Latency is log-normal."""


@dataclass(frozen=True)
class Bursts:
    """One failure is repeated on the same version: clients that retry and stick to it."""

    mean: float
    """How many more there are."""
    apart: float = 0.3
    """Seconds."""


@dataclass(frozen=True)
class Service:
    """Two versions of a service while one is released."""

    rps: float = 100.0
    weight: Course = lambda _: 0.1
    old: Course = lambda _: 0.001
    """Share of requests that fail."""
    new: Course | None = None
    """The same of the new version; as the old one without."""
    load: Course = lambda _: 1.0
    bursts: Bursts | None = None
    slower: float | None = None
    """How many times as long the new version takes; latency is judged instead of errors where it is given."""
    seconds: float = 1800.0
    tick: float = 10.0


@dataclass
class Release:
    """One simulated release, judged tick by tick."""

    service: Service
    rng: random.Random
    parameters: Parameters = field(default_factory=lambda: Parameters(horizon=180))
    slo: str | None = "1%"
    passes: bool = False
    """Ends where it would be promoted early."""
    _late: dict[bool, list[int]] = field(default_factory=lambda: {True: [], False: []})

    def found(self) -> Finding:
        """Judges until rollback or the end."""
        metric = a_latency() if self.service.slower else a_metric(slo=self.slo)
        compare, slo, weighed = CompareState(), SloState() if self.slo else None, Weighed()
        failed = 0.0
        for seconds, tick in self.ticks():
            compare = comparison.advance(self.parameters, metric, compare, tick)
            if slo and not self.service.slower:
                slo = objective.advance(self.parameters, metric, slo, tick)
            parts = [Part(metric, compare, None if self.service.slower else slo)]
            now = overall(self.parameters, parts, weighed)
            weighed = now.weighed
            failed += tick.new.bad
            if weighed.peak >= -math.log(self.parameters.alpha):
                return Finding(seconds, failed)
            if now.log_pass >= -math.log(self.parameters.alpha_pass) and self.passes:
                return Finding(None, failed, seconds)
        return Finding(None, failed)

    def ticks(self) -> Iterator[tuple[float, Tick]]:
        """Every tick with the time at its end."""
        service = self.service
        if service.slower:
            yield 0.0, Tick(service.tick, Counts(), self._latencies(round(service.rps * 60), 1.0))
        for k in range(round(service.seconds / service.tick)):
            at = k * service.tick
            requests = poisson(self.rng, service.rps * service.load(at) * service.tick)
            new = binomial(self.rng, requests, service.weight(at))
            if service.slower:
                arms = self._latencies(new, service.slower), self._latencies(requests - new, 1.0)
            else:
                arms = self._arm(new, at, is_new=True), self._arm(requests - new, at, is_new=False)
            yield at + service.tick, Tick(service.tick, *arms)

    def _arm(self, requests: int, at: float, *, is_new: bool) -> Counts:
        service = self.service
        share = (service.new or service.old) if is_new else service.old
        bad = binomial(self.rng, requests, share(at))
        more = self._repeated(bad, is_new=is_new) if service.bursts else 0
        return Counts(total=requests + more, bad=bad + more)

    def _repeated(self, failures: int, *, is_new: bool) -> int:
        """Retries in this tick; those of its end fall into later ones."""
        assert self.service.bursts
        counts, self._late[is_new] = [*self._late[is_new], 0], []
        repeat = self.service.bursts.mean / (1 + self.service.bursts.mean)
        for _ in range(failures):
            at = self.rng.random() * self.service.tick
            while self.rng.random() < repeat:
                at += self.rng.expovariate(1 / self.service.bursts.apart)
                late = int(at // self.service.tick)
                counts += [0] * (late + 1 - len(counts))
                counts[late] += 1
        self._late[is_new] = counts[1:]
        return counts[0]

    def _latencies(self, requests: int, factor: float) -> Counts:
        slower, left, above = {}, requests, 1.0
        for edge in EDGES:
            share = tail(edge / factor)
            left = binomial(self.rng, left, share / above)
            slower[edge], above = float(left), share
        return a_histogram(slower, float(requests))


@dataclass(frozen=True)
class Finding:
    """When a release was rolled back, if it was, and how many requests failed until then."""

    rolled_back: float | None
    failed: float
    passed: float | None = None


def a_latency() -> Metric:
    return a_metric(kind="histogram", name="latency", quantile="95%")


def tail(edge: float) -> float:
    """The share of requests slower than this."""
    return 0.5 * math.erfc(math.log(edge / MEDIAN) / SPREAD / math.sqrt(2))


def poisson(rng: random.Random, mean: float) -> int:
    """Exact for small means, normal for large ones: how many requests there are decides nothing here."""
    if mean > 60:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def binomial(rng: random.Random, count: int, share: float) -> int:
    """Exact, by the gaps between hits; normal where both hits and misses are many."""
    if share > 0.5:
        return count - binomial(rng, count, 1 - share)
    if share <= 0 or count <= 0:
        return 0
    if count * share > 60:
        return min(count, max(0, round(rng.gauss(count * share, math.sqrt(count * share * (1 - share))))))
    hits, position, scale = 0, 0, math.log1p(-share)
    while True:
        position += int(math.log(1 - rng.random()) / scale) + 1
        if position > count:
            return hits
        hits += 1


def _wave(at: float) -> float:
    return 1.0 + 0.5 * math.sin(at / 300 * 2 * math.pi)


def _ramp(at: float) -> float:
    return (0.05, 0.1, 0.25, 0.5)[min(3, int(at // 450))]


def _incident(at: float) -> float:
    return 0.05 if 600 <= at < 960 else 0.001


def constant(share: float) -> Course:
    """The same all the time."""
    return lambda _: share


@dataclass(frozen=True)
class Scenario:
    """What a release meets, and how it is judged."""

    service: Service
    parameters: dict[str, object] = field(default_factory=dict)
    slo: str | None = "1%"
    passes: bool = False

    def release(self, run: int, *, seed: int = 7) -> Finding:
        """One of its releases; the same number is the same release."""
        horizon = round(1800 / self.service.tick)
        parameters = Parameters(horizon=horizon, **self.parameters)  # type: ignore[arg-type]
        return Release(self.service, random.Random(f"{seed}/{run}"), parameters, self.slo, self.passes).found()


BURSTS = Bursts(3.0)
INDEPENDENT: dict[str, object] = {"dependence": "independent"}

HARMLESS = {
    "nothing changed": Scenario(Service()),
    "nothing changed, weights 5 to 50 % with a load wave, compare only": Scenario(
        Service(weight=_ramp, load=_wave), slo=None
    ),
    "both versions fail 5 % for 6 minutes": Scenario(Service(old=_incident)),
    "failures repeated on the same version, 3 times on average": Scenario(Service(bursts=BURSTS)),
    "fails exactly max_ratio times as often (1.25 % against 1 %), compare only": Scenario(
        Service(old=constant(0.01), new=constant(0.0125)), slo=None
    ),
    "the same at 1 request/s and 20 %": Scenario(
        Service(rps=1, weight=constant(0.5), old=constant(0.2), new=constant(0.25)), slo=None
    ),
    "stable at its limit of 1 %": Scenario(Service(old=constant(0.01))),
    "latency unchanged": Scenario(Service(slower=1.0)),
    "nothing changed, independent form": Scenario(Service(), INDEPENDENT),
}
"""At most alpha of each may be rolled back."""

CLUSTERED = Scenario(Service(bursts=BURSTS), INDEPENDENT)
"""What the independent form must not be used for."""

FAULTS = {
    "1 % fail": (Scenario(Service(new=constant(0.01))), 140.0),
    "5 % fail": (Scenario(Service(new=constant(0.05))), 60.0),
    "20 % fail": (Scenario(Service(new=constant(0.2))), None),
    "5 % fail, from 600 s": (Scenario(Service(new=lambda at: 0.05 if at >= 600 else 0.001)), 690.0),
    "twice as slow": (Scenario(Service(slower=2.0)), 60.0),
    "5 % fail, ticks of 5 s": (Scenario(Service(new=constant(0.05), tick=5.0)), None),
    "1 % fail, independent form": (Scenario(Service(new=constant(0.01)), INDEPENDENT), None),
}
"""With the median of seconds since the start that the specification asks for; 100 requests/s, weight 10 %."""

HEALTHY_PASS = Scenario(Service(), passes=True)
FALSE_PASS = Scenario(Service(new=constant(0.003)), {"alpha": 1e-12}, slo=None, passes=True)
"""Fails exactly `pass_ratio` times as often; rollback is left out."""
