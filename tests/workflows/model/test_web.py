"""Where a number is in somebody's JSON."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from workflows.model.analysis import Analysis, unsupported
from workflows.model.web import WebValue, parse_path, values_at

DATA = {"shops": [{"rate": 1}, {"rate": 2.5}], "by": {"a b": {"x.y": 3}}, "none": None, "7": "seven"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("shops[0].rate", [1]),
        ("shops[*].rate", [1, 2.5]),
        ('by["a b"]["x.y"]', [3]),
        ("by[*][*]", [3]),
        ("none", [None]),
        ("7", ["seven"]),
        ("shops[1]", [{"rate": 2.5}]),
    ],
)
def test_path_leads_to_values(path: str, found: list[Any]) -> None:
    assert list(values_at(DATA, parse_path(path))) == found


@pytest.mark.parametrize("path", ["shops[2].rate", "shops.rate", "nothing", "none.x", "7[0]", "none[*]"])
def test_path_that_leads_nowhere_says_what_is_missing(path: str) -> None:
    with pytest.raises(ValueError, match="there is no "):
        list(values_at(DATA, parse_path(path)))


def test_list_of_values_is_a_path_of_its_own() -> None:
    assert list(values_at([1, 2], parse_path("[*]"))) == [1, 2]
    assert list(values_at([[5]], parse_path("[0][0]"))) == [5]


@pytest.mark.parametrize("path", [".a", "a..b", "a.", "a[b]", "a[-1]", "a[", "a b", "a[*", "a.{{slot}}", "a[0]b"])
def test_path_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="leads nowhere; write keys, indexes"):
        parse_path(path)


def test_variable_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValidationError, match=r"\{\{pod\}\} is no variable; there are cluster, component"):
        WebValue.model_validate({"endpoint": "e", "value": "v", "query": {"p": "{{pod}}"}})
    spaced = {"endpoint": "e", "value": "v", "query": {"p": "{{ slot }}"}}
    assert WebValue.model_validate(spaced).query == {"p": "{{ slot }}"}


def gauge(**fields: Any) -> dict[str, Any]:
    return {"name": "g", "kind": "gauge", "rule": {"rollback": 1}, **fields}


WEB = {"endpoint": "stats", "value": "rate"}


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        (gauge(web=WEB, series="x"), "give one of series, query and web"),
        (gauge(web=WEB, source="app"), "web is a source of its own; leave source: app out"),
        (gauge(web={"endpoint": "stats"}), "Field required"),
        (gauge(web={**WEB, "url": "http://x"}), "Extra inputs are not permitted"),
    ],
)
def test_gauge_of_two_places_or_of_an_address_is_refused(metric: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Analysis.model_validate({"metrics": [metric]})
    assert sentence in str(caught.value)


def test_source_web_without_a_place_is_refused() -> None:
    ratio = {"name": "errors", "kind": "ratio", "source": "web", "rule": {"rollback": "1%"}}
    ((path, sentence),) = unsupported(Analysis.model_validate({"metrics": [ratio]}))
    assert path == "metrics[0].source"
    assert "use a gauge with web" in sentence
