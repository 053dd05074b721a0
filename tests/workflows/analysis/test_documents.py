"""The analysis document: what people write, and the sentences that answer what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from workflows.model.analysis import Analysis, unsupported
from workflows.model.series import parse_selector
from workflows.model.shapes import dump


def errors(**rule: Any) -> dict[str, Any]:
    return {"name": "errors", "kind": "ratio", "source": "envoy", "rule": {"rollback": "5%", **rule}}


def parse(*metrics: dict[str, Any], **fields: Any) -> Analysis:
    return Analysis.model_validate({"metrics": list(metrics), **fields})


def complaint(*metrics: dict[str, Any], **fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        parse(*metrics, **fields)
    return str(caught.value)


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param(errors(alert="1%", interval="60s"), id="R0.14 the monitor"),
        pytest.param(errors(rollback="0.5%"), id="R0.4 error rate"),
        pytest.param(
            {"name": "time", "kind": "histogram", "source": "envoy", "quantile": "99%", "rule": {"rollback": "10s"}},
            id="R0.4 response time",
        ),
        pytest.param(errors(like="flagger", rollback="1%", interval="1m", threshold=5), id="R0.8 Flagger"),
        pytest.param(
            {"name": "p95", "kind": "histogram", "source": "app", "rule": {"rollback": "500ms", "interval": "1m"}},
            id="R3.4 p95",
        ),
        pytest.param(
            {
                "name": "queue",
                "kind": "gauge",
                "series": 'rabbitmq_queue_messages{queue="ai"}',
                "rule": {"alert": 800, "rollback": 1000, "interval": "1m", "failureLimit": 3},
            },
            id="the queue of the design",
        ),
        pytest.param(
            errors(like="argo", success="1%", count=5, inconclusiveLimit=2) | {"required": False},
            id="everything of argo",
        ),
        pytest.param(
            {
                "name": "own",
                "kind": "ratio",
                "bad": 'jobs_total{state=~"failed|lost"}',
                "total": "jobs_total",
                "rule": {"rollback": "1%"},
            },
            id="own series",
        ),
    ],
)
def test_what_references_ask_for_can_be_written(metric: dict[str, Any]) -> None:
    analysis = parse(metric, errors() | {"name": "guard"})
    assert not unsupported(analysis)
    assert Analysis.model_validate(dump(analysis)) == analysis
    assert Analysis.model_validate(analysis.model_dump(mode="json", by_alias=True)) == analysis


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        (errors(rollback=0.05), "write it with a percent sign"),
        (errors(alert="6%"), "alert must be reached before rollback"),
        (errors(like="argo", success="6%"), "success must not reach beyond rollback"),
        (errors(direction="below", alert="4%"), "alert must be reached before rollback"),
        (errors(interval="0s"), "interval must be longer than 0s"),
        (errors(interval="60"), "write a number with a unit"),
        (errors(like="flagger", failureLimit=3), "failureLimit does not exist in rules like flagger"),
        (errors(like="flagger", threshold=0), "greater than or equal to 1"),
        (errors(threshold=3), "it belongs to like: flagger"),
        (errors(like="argo", consecutive=True), "it belongs to like: simple"),
        (errors(success="1%"), "it belongs to like: argo"),
        (errors(like="kayenta"), "'simple', 'argo' or 'flagger'"),
        (errors(unknown=1), "Extra inputs are not permitted"),
        ({"name": "e", "kind": "ratio", "source": "envoy"}, "nothing decides on this metric"),
        ({"name": "e", "kind": "ratio", "rule": {"rollback": "1%"}}, "give source, or bad and total"),
        ({"name": "e", "kind": "ratio", "bad": "x", "rule": {"rollback": "1%"}}, "bad and total belong together"),
        ({"name": "e", "kind": "ratio", "source": "envoy", "rule": {"interval": "1m"}}, "a rule needs rollback"),
        (errors(like="argo", alert="1%") | {"rule": {"like": "argo", "alert": "1%"}}, "one like simple may have alert"),
        (errors() | {"rule": {"alert": "1%", "failureLimit": 3}}, "failureLimit counts samples beyond rollback"),
        (errors() | {"rule": {"alert": "1%", "consecutive": True}}, "consecutive counts samples beyond rollback"),
        ({"name": "l", "kind": "histogram", "rule": {"rollback": "1s"}}, "give source or series"),
        ({"name": "l", "kind": "histogram", "source": "app", "rule": {"rollback": 1}}, "is not a duration"),
        (
            {"name": "l", "kind": "histogram", "source": "app", "quantile": "100%", "rule": {"rollback": "1s"}},
            "between 0% and 100%",
        ),
        ({"name": "q", "kind": "gauge", "rule": {"rollback": 1}}, "give one of series, query and web"),
        ({"name": "q", "kind": "gauge", "series": "a b", "rule": {"rollback": 1}}, "is not a series selector"),
        ({"name": "q", "kind": "gauge", "series": "a", "rule": {"rollback": float("inf")}}, "finite number"),
        ({"name": "E!", "kind": "ratio", "source": "envoy", "rule": {"rollback": "1%"}}, "pattern"),
        ({"name": "e", "kind": "trace"}, "'ratio', 'histogram', 'gauge'"),
    ],
)
def test_what_is_wrong_is_said(metric: dict[str, Any], sentence: str) -> None:
    assert sentence in complaint(metric, errors() | {"name": "guard"})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"tick": "50ms"}, "tick must be from 100ms to 1m"),
        ({"tick": "2m", "patience": "5m"}, "tick must be from 100ms to 1m"),
        ({"patience": "1s"}, "patience must be at least one tick"),
        ({"onInsufficient": "promote"}, "'hold', 'proceed' or 'rollback'"),
        ({"minRequests": -1}, "greater than or equal to 0"),
    ],
)
def test_what_is_wrong_with_the_whole_is_said(fields: dict[str, Any], sentence: str) -> None:
    assert sentence in complaint(errors(), **fields)


def test_names_are_unique() -> None:
    assert "two metrics have the name errors" in complaint(errors(), errors())


def test_interval_below_the_tick_is_refused() -> None:
    assert "metric errors: its interval is shorter than the tick" in complaint(errors(interval="1s"))


def test_some_metric_must_go_on_guarding() -> None:
    assert "at least one must go on" in complaint(errors(like="argo", count=3))


def test_source_that_is_not_there_is_refused_with_its_path_and_a_sentence() -> None:
    analysis = parse(
        {"name": "errors", "kind": "ratio", "source": "haproxy", "slo": {"max": "0.1%"}},
        {"name": "latency", "kind": "histogram", "source": "istio", "slo": {"quantile": "95%", "max": "500ms"}},
        {"name": "queue", "kind": "gauge", "query": "max(queue)", "rule": {"rollback": 5}},
    )
    found = dict(unsupported(analysis))
    assert set(found) == {"metrics[0].source"}
    assert "haproxy is not supported yet; this version has app, envoy" in found["metrics[0].source"]


@pytest.mark.parametrize(
    ("modes", "requests"),
    [
        ({"slo": {"max": "0.1%"}}, 3000),
        ({"slo": {"max": "0.1%"}, "compare": {}}, 3000),
        ({"slo": {"max": "0%"}}, 300),
        ({"compare": {}}, 300),
        ({"rule": {"rollback": "1%"}}, 50),
    ],
    ids=str,
)
def test_requests_that_a_stage_needs_follow_from_how_it_is_judged(modes: dict[str, Any], requests: int) -> None:
    metric = {"name": "errors", "kind": "ratio", "source": "app", **modes}
    assert (needed := parse(metric)).needed_requests(needed.metrics[0]) == requests
    assert (given := parse(metric, minRequests=7)).needed_requests(given.metrics[0]) == 7


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("up", {}, True),
        ("up{}", {"a": "b"}, True),
        ('up{job="api"}', {"job": "api"}, True),
        ('up{job="api"}', {"job": "web"}, False),
        ('up{job!="api", code=~"5.."}', {"job": "web", "code": "503"}, True),
        ('up{code=~"5.."}', {"code": "50"}, False),
        ('up{code!~"2..|3.."}', {"code": "404"}, True),
        ('up{path=~"/api/.*"}', {"path": "/api/trips"}, True),
        ('up{missing=""}', {}, True),
        ('up{quoted="a\\"b"}', {"quoted": 'a"b'}, True),
        ('up{code=~"[45].."}', {"code": "404"}, True),
    ],
)
def test_selectors_match_as_in_promql(text: str, labels: dict[str, str], matches: bool) -> None:
    assert parse_selector(text).matches(labels) is matches


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1up",
        "up{",
        "up{a}",
        'up{a="b" c="d"}',
        'up{a="b',
        'up{a=~"("}',
        'up{a=~"(a+)+b"}',
        'up{a=~".*.*x"}',
        'up{a=~"[z-a]"}',
        "sum(up)",
        "up[5m]",
    ],
)
def test_selectors_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="selector|condition|comma|pattern"):
        parse_selector(text)


def test_advice_alone_guards_nobody_and_neither_does_advice_beside_what_stops() -> None:
    advice = errors() | {"rule": {"alert": "1%"}}
    stops = errors(like="argo", count=3) | {"name": "stops"}
    assert "every metric is advice alone" in complaint(advice)
    assert "every metric stops after its count" in complaint(advice, stops)
    assert parse(advice, errors() | {"name": "guard"}).metrics
