"""What `plan` says that evidence can do, stage by stage, and what it warns about."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, Group

from cli.forecast import Assumed, Forecast
from cli.preview import Preview, preview
from cli.render import forecast, plan
from tests.builders import a_release

ERRORS = {"name": "errors", "kind": "ratio", "source": "envoy", "compare": {}, "slo": {"max": "1%"}}
STAGES = ({"weight": 5, "observe": "10m"}, {"weight": 50, "observe": "20m"}, {"weight": 100, "observe": "30m"})


def previewed(*metrics: dict[str, Any], rps: float = 100, **analysis: Any) -> Preview:
    release = a_release().canary(5).with_(analysis={"metrics": [*metrics], **analysis})
    release = release.with_(strategy={"kind": "canary", "entry": "none", "stages": STAGES})
    return preview(release.parsed(), None, replicas=3, assumed=Assumed(rps))


def expected(*metrics: dict[str, Any], rps: float = 100, **analysis: Any) -> Forecast:
    made = previewed(*(metrics or (ERRORS,)), rps=rps, **analysis)
    found = made.forecast(made.rollouts[0])
    assert found
    return found


def drawn(found: Forecast) -> str:
    console = Console(width=120, file=io.StringIO(), color_system=None)
    console.print(Group(*forecast.render(found)))
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def seconds(found: Forecast, stage: int) -> list[float | None]:
    return [cost and cost.seconds for _, cost in found.stages[stage].finds]


def test_every_stage_says_when_a_regression_is_found_and_what_it_costs() -> None:
    found = expected()
    assert [stage.stage for stage in found.stages] == [1, 2, 3]
    twice, five, ten = (time or 0 for time in seconds(found, 0))
    assert twice > five > ten > 60
    (_, cost), stage = found.stages[0].finds[-1], found.stages[0].stretch
    assert cost
    assert abs(cost.failed - cost.seconds * 100 * stage.weight * 0.01) < 1e-9
    assert [(seconds(found, 1)[0] or 0) < twice, seconds(found, 2)] == [True, [None, None, None]]


def test_more_traffic_finds_it_sooner_with_as_many_failed_requests() -> None:
    slow, fast = expected(rps=50), expected(rps=500)
    assert all((a or 0) > 2 * (b or 0) for a, b in zip(seconds(slow, 0), seconds(fast, 0), strict=True))
    assert abs((slow.stages[0].finds[1][1] or (0, 0))[1] - (fast.stages[0].finds[1][1] or (0, 0))[1]) < 5


def test_requests_are_counted_since_the_release_began() -> None:
    assert [stage.requests for stage in expected().stages] == [3_000, 63_000, 243_000]


def test_enough_traffic_is_not_warned_about() -> None:
    assert not list(expected().hopeless)


def test_stage_that_cannot_reach_its_minimum_is_warned_about_with_what_would_do() -> None:
    (said,) = expected(rps=8, minRequests=300).hopeless
    assert said.startswith("stage 1 will be extended: in its time it sees 240 of its minimum of 300 requests; ")
    assert said.endswith("; 10 requests/s are needed for it, see minRequests")
    assert "extended, then held" in next(iter(expected(rps=2, minRequests=300).hopeless))


def test_traffic_that_finds_nothing_in_any_stage_is_warned_about() -> None:
    (said,) = expected(rps=1, minRequests=0).hopeless
    assert said.startswith("not even 10 times as many failures are found within any stage; longer stages ")


def test_a_service_without_requests_is_warned_about_once() -> None:
    (said,) = expected(rps=0).hopeless
    assert said == "no request was seen (--requests-per-second), so nothing can be found and no stage will pass"


def test_limit_alone_is_forecast_too_and_goes_on_with_all_users() -> None:
    found = expected({**ERRORS, "compare": None, "slo": {"max": "0.2%"}})
    assert seconds(found, 2)[1] is not None, "five times 0.1 % is beyond 0.2 %"
    assert seconds(found, 2)[0] is None, "twice 0.1 % is not"


def test_latency_alone_tells_requests_and_nothing_about_failures() -> None:
    latency = {"name": "latency", "kind": "histogram", "source": "envoy", "compare": {}}
    found = expected(latency)
    assert (found.costs, found.stages[0].finds, list(found.hopeless)) == ((), (), [])


def test_rules_are_told_which_traffic_each_stage_needs_and_promise_no_finds() -> None:
    found = expected({"name": "errors", "kind": "ratio", "source": "envoy", "rule": {"rollback": "1%"}}, rps=1)
    assert "5 % for 10m 00s 30 of 50 1.7/s 50 % for 20m 00s 630 0.079/s 100 % for 30m 00s 2,430 0.021/s" in drawn(found)
    assert "x failures" not in drawn(found)
    (said,) = found.hopeless
    assert said.endswith("30 of its minimum of 50 requests; 1.67 requests/s are needed for it, see minRequests")


def test_without_stages_or_counted_requests_there_is_no_forecast() -> None:
    gauge = {"name": "queue", "kind": "gauge", "series": "queue", "rule": {"rollback": 9}}
    rolling = preview(a_release().rolling().with_(analysis={"metrics": [ERRORS]}).parsed(), None, replicas=3)
    for made in (previewed(gauge), rolling):
        assert made.forecast(made.rollouts[0]) is None


def test_plan_shows_the_stages_as_a_table_and_as_json() -> None:
    made = previewed(ERRORS, rps=8, minRequests=300)
    console = Console(width=120, file=io.StringIO(), color_system=None)
    console.print(plan.render(made))
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().split())
    assert "5 % for 10m 00s 240 of 300 10/s" in text
    assert "10 x failures" in text
    assert "warning stage 1 will be extended" in text
    (component,) = made.to_json()["components"]
    assert [stage["stage"] for stage in component["forecast"]["stages"]] == [1, 2, 3]
    assert component["forecast"]["stages"][0]["regressions"][2]["times"] == 10
    assert component["forecast"]["warnings"]


def test_never_is_a_word() -> None:
    assert "100 % for 30m 00s 243,000 0.12/s never never never" in drawn(expected())
