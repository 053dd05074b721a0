"""A canary config of Kayenta becomes an analysis, or says what cannot."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from cli.app import app
from cli.imports import analysis_of
from workflows.errors import SpecError
from workflows.model.analysis import Analysis

EXAMPLE = Path(__file__).parents[2] / "examples" / "kayenta" / "canary-config.json"
CONFIG: dict[str, Any] = json.loads(EXAMPLE.read_text())
GIVEN = {"container": "shop"}


def changed(**fields: Any) -> dict[str, Any]:
    """The example with other fields at its top, or, by `metric`, `query` and `canary`, in its first metric."""
    config = deepcopy(CONFIG)
    first = config["metrics"][0]
    first |= fields.pop("metric", {})
    first["query"] |= fields.pop("query", {})
    first["analysisConfigurations"]["canary"] |= fields.pop("canary", {})
    return {**config, **fields}


def problems(config: Any, **given: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        analysis_of(config, {**GIVEN, **given})
    return [str(problem) for problem in caught.value.problems]


def test_everything_that_kayenta_is_told_is_in_the_analysis() -> None:
    analysis = Analysis.model_validate(analysis_of(CONFIG, GIVEN))
    assert (analysis.judge, analysis.scoring.passing, analysis.scoring.marginal) == ("kayenta", 95, 75)
    assert analysis.scoring.group_weights == {"Errors": 50, "Latency": 30, "Saturation": 20}
    errors, latency, memory = (metric.canary for metric in analysis.metrics)
    assert errors
    assert (errors.critical, errors.nan_strategy, errors.direction) == (True, "replace", "increase")
    assert errors.effect_size.allowed() == (1, 1.1)
    assert errors.effect_size.critical() == (1, 2)
    assert latency
    assert (latency.must_have_data, latency.outliers.strategy) == (True, "remove")
    assert memory
    assert memory.effect_size.allowed() == (0.5, 0.8)


def test_what_kayenta_writes_without_a_value_is_not_given() -> None:
    config = changed(classifier={"groupWeights": None, "scoreThresholds": {"pass": None}}, query={"resourceType": ""})
    assert Analysis.model_validate(analysis_of(config, GIVEN)).scoring.group_weights == {}


def test_queries_have_variables_for_those_of_kayenta() -> None:
    errors, _, memory = (metric["query"] for metric in analysis_of(CONFIG, GIVEN)["metrics"])
    assert errors.startswith('100 * sum(rate(http_requests_total{namespace="{{namespace}}",deployment="{{workload}}",')
    assert memory == (
        'avg(container_memory_working_set_bytes{container="shop",namespace="{{namespace}}",pod=~"{{pods}}"})'
    )
    bound = analysis_of(CONFIG, {**GIVEN, "scope": "shop-{{slot}}"})["metrics"][0]["query"]
    assert 'deployment="shop-{{slot}}"' in bound


def test_metrics_get_names_that_a_document_allows() -> None:
    config = changed(metric={"name": "HTTP 5xx / min"})
    config["metrics"][1]["name"] = "http-5xx min"
    names = [metric["name"] for metric in analysis_of(config, GIVEN)["metrics"]]
    assert names == ["http-5xx-min", "http-5xx-min-2", "memory"]


def test_many_metrics_keep_fewer_samples_and_too_many_are_refused() -> None:
    config = changed(classifier={})
    config["metrics"] = [{**config["metrics"][0], "name": f"m{n}"} for n in range(11)]
    assert Analysis.model_validate(analysis_of(config, GIVEN)).scoring.samples == 12
    config["metrics"] = config["metrics"] + config["metrics"][:6]
    assert "is all there is; keep fewer kayenta.samples, or score fewer metrics" in problems(config)[0]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ([], "document: must be fields with values"),
        ({"metrics": {}}, "metrics: must be a list"),
        ({"name": "x"}, "metrics: "),
        ({"metrics": [5]}, "metrics[0]: must be fields with values"),
        (changed(judge={"name": "RemoteJudge-v1.0"}), "(allowed: NetflixACAJudge-v1.0)"),
        (changed(judge={"judgeConfigurations": {"a": 1}}), "judge.judgeConfigurations: "),
        (changed(pipeline=5), 'pipeline: there is no field "pipeline" here'),
        (changed(classifier={"other": 1}), "classifier.other: there is no field"),
        (changed(classifier={"groupWeights": {"Else": 5}}), "groupWeights names Else, which is no metric's group"),
        (changed(metric={"scopeName": "region"}), "metrics[0].scopeName: "),
        (changed(metric={"groups": []}), "metrics[0].groups: "),
        (changed(metric={"more": 1}), "metrics[0].more: "),
        (changed(query={"serviceType": "datadog"}), "metrics[0].query: its numbers come from datadog; of Kayenta's "),
        (changed(query={"resourceType": "gce_instance"}), "metrics[0].query.resourceType: "),
        (changed(query={"customInlineTemplate": "", "customFilterTemplate": "x"}), "a template that is not in templ"),
        (changed(query={"customInlineTemplate": "up{a='${zone}'}"}), "give it with --bind zone=VALUE"),
        (changed(query={"customInlineTemplate": 'up{job=~"${scope}.*"}'}), "would mean the pods of both versions"),
        (changed(canary={"direction": "down"}), "metrics[0].analysisConfigurations.canary.direction: "),
        (changed(canary={"effectSize": {"allowedIncrease": "much"}}), "allowedIncrease: must be a number"),
        (changed(canary={"strategy": 1}), "did you mean nanStrategy?"),
    ],
)
def test_what_cannot_be_carried_over_is_refused_with_its_path(config: Any, problem: str) -> None:
    assert any(problem in said for said in problems(config)), problems(config)


def test_all_problems_are_told_at_once() -> None:
    config = changed(judge={"name": "x"}, query={"serviceType": "atlas"}, pipeline=1)
    assert len(problems(config)) == 3


class TestCommand:
    def invoke(self, *arguments: str) -> Any:
        return CliRunner().invoke(app, ["import", *arguments])

    def test_prints_what_a_component_may_have(self) -> None:
        result = self.invoke(str(EXAMPLE), "--bind", "container=shop")
        assert result.exit_code == 0
        written = YAML(typ="safe").load(result.stdout)
        assert Analysis.model_validate(written["analysis"]) == Analysis.model_validate(analysis_of(CONFIG, GIVEN))
        assert result.stdout.startswith("# From a canary config of Kayenta")
        assert "Errors: 50\n" in result.stdout

    def test_names_the_line_of_what_is_wrong(self) -> None:
        result = self.invoke(str(EXAMPLE))
        assert result.exit_code == 2
        assert "line 34: metrics[2].query: nothing says what ${container} is" in result.stderr

    def test_binding_that_says_nothing_is_refused(self) -> None:
        result = self.invoke(str(EXAMPLE), "--bind", "container")
        assert result.exit_code == 2
        assert "--bind container: write NAME=VALUE" in result.stderr
