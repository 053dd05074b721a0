"""Kayenta's canary-config JSON to the `analysis` of a document; what cannot be carried over is refused, never left out.

Its numbers come from queries of Prometheus, with variables that Spinnaker's canary stage fills in; here they become
those of Headgate's own queries, or what the caller binds them to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from cli.kayenta import CanaryConfig, Metric, Query, given
from workflows.errors import Problem, SpecError
from workflows.model.analysis import Analysis
from workflows.model.complaints import problems_of
from workflows.model.shapes import dump

USUAL = {"scope": "{{workload}}", "location": "{{namespace}}"}
"""What Kayenta's variables mean on Kubernetes."""

SAMPLES = (50, 40, 30, 20, 12)
"""Of each version: Netflix advises fifty, and many metrics have room for fewer."""

_VARIABLE = re.compile(r"\$\\?\{\s*(\w+)\s*\}")
_OF_PODS = re.compile(r'(\w*pod\w*)\s*=~\s*"\$\\?\{scope\}-?\.[*+]"')
"""A pattern of the names of a scope's pods."""
_PATTERN = re.compile(r'=~\s*"[^"]*\$\\?\{scope\}[^"]*\.[*+]')
_FIRST = ("name", "kind", "query")
"""How a metric begins."""
_HEAD = """\
# From a canary config of Kayenta, for a component of a Release. What Spinnaker's canary stage says is not in it: put
# its interval here, and let the stages of the strategy take its lifetime.
"""


def analysis_of(data: Any, bound: Mapping[str, str]) -> dict[str, Any]:
    """The analysis as a document has it. Errors: SpecError with everything that cannot be carried over."""
    try:
        config = CanaryConfig.model_validate(given(data))
    except ValidationError as error:
        raise SpecError(problems_of(error, CanaryConfig)) from error
    values = {**USUAL, **bound}
    if problems := [problem for i in range(len(config.metrics)) for problem in _unbound(config, i, values)]:
        raise SpecError(problems)
    metrics = [
        {
            "name": name,
            "kind": "gauge",
            "query": _bound(_query(config, metric.query), values),
            "canary": {**dump(metric.analysis_configurations.canary), "groups": metric.groups},
        }
        for name, metric in zip(_names(config.metrics), config.metrics, strict=True)
    ]
    return _valid({"judge": "kayenta", "kayenta": _scoring(config), "metrics": metrics})


def written(analysis: Mapping[str, Any]) -> str:
    """The analysis as the lines of a component."""
    stream = StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    metrics = [{**{name: metric[name] for name in _FIRST}, **metric} for metric in analysis["metrics"]]
    yaml.dump({"analysis": _plain({**analysis, "metrics": metrics})}, stream)
    return f"{_HEAD}{stream.getvalue()}".rstrip()


def _scoring(config: CanaryConfig) -> dict[str, Any]:
    """One sample a minute, as in Kayenta; how often it is judged is said by Spinnaker's stage, not here."""
    weights = config.classifier.group_weights
    limits = dump(config.classifier.score_thresholds)
    return {"step": "1m", "interval": "10m", **limits, **({"groupWeights": weights} if weights else {})}


def _query(config: CanaryConfig, query: Query) -> str:
    """The PromQL that Kayenta would send, its variables still in it; empty where nothing says it.

    The canary's pods begin with the name of the old one's workload, so a pattern of pods becomes `{{pods}}`.
    """
    return _OF_PODS.sub(r'\1=~"{{pods}}"', _written(config, query))


def _written(config: CanaryConfig, query: Query) -> str:
    if query.custom_inline_template:
        return query.custom_inline_template.removeprefix("PromQL:").strip()
    template = config.templates.get(query.custom_filter_template, "") or query.custom_filter
    if not query.metric_name or (query.custom_filter_template and not template):
        return ""
    filters = ",".join(filter(None, [*query.label_bindings, template.strip().strip("{}")]))
    by = f" by ({', '.join(query.group_by_fields)})" if query.group_by_fields else ""
    return f"avg({query.metric_name}{{{filters}}}){by}"


def _unbound(config: CanaryConfig, i: int, values: Mapping[str, str]) -> Iterator[Problem]:
    query, at = _query(config, config.metrics[i].query), f"metrics[{i}].query"
    if not query:
        yield Problem(at, "names no metric and no query, or a template that is not in templates")
    if values["scope"] == USUAL["scope"] and _PATTERN.search(query):
        yield Problem(at, "its pattern around ${scope} would mean the pods of both versions; give --bind scope=VALUE")
    for name in dict.fromkeys(_VARIABLE.findall(query)):
        if name not in values:
            yield Problem(at, f"nothing says what ${{{name}}} is; give it with --bind {name}=VALUE")


def _bound(query: str, values: Mapping[str, str]) -> str:
    """The query with Headgate's variables for Kayenta's."""
    return _VARIABLE.sub(lambda match: values[match[1]], query)


def _names(metrics: tuple[Metric, ...]) -> list[str]:
    """Headgate's names have no spaces; those that become the same are numbered."""
    taken: list[str] = []
    for metric in metrics:
        base = re.sub(r"[^a-z0-9]+", "-", metric.name.lower()).strip("-")[:58].strip("-") or "metric"
        names = (base if number == 1 else f"{base}-{number}" for number in range(1, len(metrics) + 1))
        taken.append(next(name for name in names if name not in taken))
    return taken


def _valid(data: dict[str, Any]) -> dict[str, Any]:
    """With as many samples as there is room for, if need be the fewest that make sense."""
    problems: list[Problem] = []
    for samples in SAMPLES:
        fitted = {**data, "kayenta": {**data["kayenta"], "samples": samples}}
        try:
            return dump(Analysis.model_validate(fitted))
        except ValidationError as error:
            problems = problems_of(error, Analysis)
    raise SpecError(problems)


def _plain(data: Any) -> Any:
    """Numbers as people write them."""
    if isinstance(data, dict):
        return {name: _plain(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data
