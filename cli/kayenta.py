"""Kayenta's canary-config JSON, as far as Headgate can carry it over; anything else in it is refused with its path."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from workflows.model.kayenta import CanaryMetric
from workflows.model.shapes import Document


class Query(Document):
    """Where a metric's numbers come from: PromQL, or the parts that Kayenta makes some of."""

    type: str = ""
    service_type: str = ""
    custom_inline_template: str = ""
    custom_filter_template: str = ""
    custom_filter: str = ""
    metric_name: str = ""
    label_bindings: tuple[str, ...] = ()
    group_by_fields: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_prometheus(cls, data: Any) -> Any:
        """Says so first: the queries of other stores have other fields."""
        store = isinstance(data, dict) and (data.get("serviceType") or data.get("type"))
        if store and store != "prometheus":
            raise ValueError(f"its numbers come from {store}; of Kayenta's stores Headgate can ask prometheus")
        return data


class Configurations(Document):
    """What judges a metric."""

    canary: CanaryMetric = CanaryMetric()


class Metric(Document):
    """One metric."""

    name: str
    id: Any = None
    tags: Any = None
    query: Query
    groups: Annotated[tuple[str, ...], Field(min_length=1)]
    """A metric without one counts in no score."""
    analysis_configurations: Configurations = Configurations()
    scope_name: Literal["default"] = "default"
    """A release has one scope: the new version beside the old."""


class Judge(Document):
    """Which judge; Headgate is one of them."""

    name: Literal["NetflixACAJudge-v1.0"] = "NetflixACAJudge-v1.0"
    judge_configurations: Annotated[dict[str, Any], Field(max_length=0)] = {}


class Thresholds(Document):
    """What the score must reach; usually the canary stage says it."""

    passing: Annotated[float | None, Field(alias="pass")] = None
    marginal: float | None = None


class Classifier(Document):
    """How metrics become a score."""

    group_weights: dict[str, float] = {}
    score_thresholds: Thresholds = Thresholds()


class CanaryConfig(Document):
    """The whole file; what it says about itself alone is read over."""

    metrics: Annotated[tuple[Metric, ...], Field(min_length=1)]
    classifier: Classifier = Classifier()
    judge: Judge = Judge()
    templates: dict[str, str] = {}
    applications: Any = None
    config_version: Any = None
    created_timestamp: Any = None
    created_timestamp_iso: Any = None
    description: Any = None
    id: Any = None
    name: Any = None
    updated_timestamp: Any = None
    updated_timestamp_iso: Any = None


def given(data: Any) -> Any:
    """What is there; Kayenta and its user interface write what is not given as null, or as nothing."""
    if isinstance(data, dict):
        return {name: given(value) for name, value in data.items() if value not in (None, "", [])}
    return [given(value) for value in data] if isinstance(data, list) else data
