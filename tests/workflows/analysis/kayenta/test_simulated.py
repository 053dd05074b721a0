"""How often Kayenta's rules are right, as docs/how-to/kayenta.md says: simulated services, from a fixed seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import median

import pytest

from tests.workflows.analysis.evidence.simulation import binomial, poisson
from workflows.analysis.kayenta.classes import classify
from workflows.model.kayenta import CanaryMetric

STEP, SCORED_AFTER, HALF_HOUR, KEPT = 10.0, 30, 180, 50
RELEASES = 60


@dataclass
class Service:
    """100 requests/s of which one in a thousand fails, a part of them on a new version that fails `times` as often."""

    weight: float
    times: float = 1
    failing: float = 0.001

    def half_hour(self, rng: random.Random, canary: CanaryMetric) -> float | None:
        """Seconds until the metric fails at one of the scores, made every five minutes."""
        new: list[float | None] = []
        old: list[float | None] = []
        for step in range(1, HALF_HOUR + 1):
            requests = poisson(rng, 100 * STEP)
            mine = binomial(rng, requests, self.weight)
            new.append(self._share(rng, mine, self.failing * self.times))
            old.append(self._share(rng, requests - mine, self.failing))
            if step % SCORED_AFTER == 0 and classify(canary, new[-KEPT:], old[-KEPT:]).label in {"High", "Low"}:
                return step * STEP
        return None

    @staticmethod
    def _share(rng: random.Random, requests: int, failing: float) -> float | None:
        return 100 * binomial(rng, requests, failing) / requests if requests else None


def failures(service: Service, direction: str) -> list[float]:
    canary, rng = CanaryMetric.model_validate({"direction": direction}), random.Random(1)
    found = [service.half_hour(rng, canary) for _ in range(RELEASES)]
    return [seconds for seconds in found if seconds is not None]


def test_healthy_version_with_few_requests_is_often_low_where_either_direction_is_bad() -> None:
    """In most steps none of its few requests fails, so it looks better than the old one."""
    assert len(failures(Service(0.1), "either")) > RELEASES * 0.4
    assert not failures(Service(0.1), "increase")


@pytest.mark.parametrize(("times", "seconds"), [(50, 300), (10, 600)])
def test_worse_version_fails_at_a_score_and_not_before(times: float, seconds: float) -> None:
    found = failures(Service(0.1, times), "increase")
    assert len(found) > RELEASES * 0.9
    assert median(found) == seconds
