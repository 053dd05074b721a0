"""Which questions about the past are refused before a store is asked thousands of them."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.metrics.null import NullMetrics
from activities.metrics.protocol import MetricsProvider
from tests.activities.metrics.observing import an_analysis, metrics
from tests.activities.metrics.pages import FakeClock
from tests.activities.metrics.prometheus.recording import Recorded, settings
from workflows.contracts.metrics import BacktestRequest
from workflows.errors import Rejected

NOBODY = "http://127.0.0.1:9"


async def refused(provider: MetricsProvider, **fields: Any) -> str:
    given = {
        "analysis": an_analysis(tick="5s"),
        "canary": 'pod="a"',
        "stable": 'pod="b"',
        "since": 0,
        "until": 600,
        **fields,
    }
    activities = metrics(provider, FakeClock(1e6))
    with pytest.raises(Rejected) as error:
        await ActivityEnvironment().run(activities.backtest, BacktestRequest.model_validate(given))
    return str(error.value)


async def test_provider_that_remembers_nothing() -> None:
    assert "provider main remembers nothing; name one of kind prometheus" in await refused(NullMetrics())


async def test_query_about_a_target_that_nobody_knows() -> None:
    query = 'max(queue_depth{pod=~"{{pods}}"})'
    metric = {"name": "queue", "kind": "gauge", "query": query, "rule": {"rollback": 9, "interval": "5s"}}
    provider = Recorded(settings(NOBODY))
    try:
        assert "no target is known; use {{selector}}" in await refused(
            provider, analysis=an_analysis(metric, tick="5s"), until=60
        )
    finally:
        await provider.close()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"until": 1e6}, "these are 199,999 ticks of 5 s; ask for 5,000 at most, a shorter time"),
        ({"since": 598, "until": 604}, "there is no tick of 5 s in this time that is over"),
        ({"since": 2e6, "until": 3e6}, "there is no tick of 5 s in this time that is over"),
        ({"canary": "shop"}, "'shop' has a label condition that cannot be read"),
        ({"analysis": {"metrics": []}}, "this worker cannot read the analysis"),
    ],
)
async def test_time_that_is_too_long_or_not_over(fields: dict[str, Any], said: str) -> None:
    provider = Recorded(settings(NOBODY))
    try:
        assert said in await refused(provider, **fields)
        assert provider.server.requests == 0
    finally:
        await provider.close()
