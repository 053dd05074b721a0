"""Numbers that other systems tell as JSON, of endpoints that the settings name and of no other.

A metric whose question differs between the versions, by `{{slot}}` or `{{workload}}`, is asked for each of them; the
answer to any other is about the new version.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from pydantic import AfterValidator, Field, SecretStr

from activities.clusters.kubernetes.labels import canary_name
from activities.metrics.protocol import Query
from activities.metrics.scraping import Asker
from activities.metrics.sources.protocol import Answers
from activities.settings import SettingsModel
from workflows.analysis.arms import WEB
from workflows.analysis.batches import Missing, Unit
from workflows.errors import TemporaryError, Unavailable
from workflows.model.analysis import GaugeMetric, Metric
from workflows.model.promql import filled, variables
from workflows.model.target import Slot, Target
from workflows.model.web import PER_VERSION, WebValue, known_variables, parse_path, values_at

_SHOWN = 60
"""Characters that are quoted of what is no number."""


class WebEndpoint(SettingsModel):
    """An address that answers with JSON, and what proves who asks."""

    url: Annotated[str, Field(pattern=r"^https?://[^/@?#{}\s]+(/[^?#\s]*)?$"), AfterValidator(known_variables)]
    """Where to ask; its path may have the variables `{{component}}`, `{{namespace}}`, `{{cluster}}`, `{{workload}}`,
    `{{slot}}` and `{{version}}`. Parameters come from the document, and redirects are not followed."""
    headers: dict[str, SecretStr] = {}
    """Headers of each request, such as Authorization."""
    timeout: Annotated[float, Field(gt=0, le=5)] = 2
    """Seconds that it may take to answer; slower counts as no answer."""


class JsonAsker(Asker[Any]):
    """Reads JSON from one endpoint."""

    largest = 2**20
    is_redirected = False

    def __init__(self, endpoint: WebEndpoint, **limits: Any) -> None:
        super().__init__(timeout=endpoint.timeout, **limits)
        given = {name: value.get_secret_value() for name, value in endpoint.headers.items()}
        self.headers = {"Accept": "application/json", **given}

    def read(self, where: str, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Unavailable(f"{where} answers with something that is no JSON") from error


class WebSource:
    """Asks the endpoints of one provider."""

    name = WEB

    def __init__(self, endpoints: Mapping[str, WebEndpoint], **limits: Any) -> None:
        self._endpoints = dict(endpoints)
        self._askers = {name: JsonAsker(endpoint, **limits) for name, endpoint in endpoints.items()}

    def objection(self, target: Target, metric: Metric) -> str:
        del target
        if not (isinstance(metric, GaugeMetric) and metric.web):
            return "source web is for gauges that say web: endpoint and value; name another source"
        if metric.web.endpoint in self._endpoints:
            return ""
        known = ", ".join(sorted(self._endpoints)) or "none"
        return f"the settings of the metrics provider have no web endpoint {metric.web.endpoint}; they have {known}"

    async def read(self, query: Query, metrics: Sequence[Metric], *, max_age: float) -> Answers:
        asked = [metric for metric in metrics if isinstance(metric, GaugeMetric)]
        found = await asyncio.gather(*(self._slot(query, slot, asked, max_age=max_age) for slot in query.slots))
        return Answers([unit for unit, _ in found], [gap for _, gaps in found for gap in gaps])

    async def close(self) -> None:
        """Closes all connections; idempotent."""
        await asyncio.gather(*(asker.close() for asker in self._askers.values()))

    async def _slot(
        self, query: Query, slot: Slot, metrics: Sequence[GaugeMetric], *, max_age: float
    ) -> tuple[Unit, list[Missing]]:
        wanted = [metric for metric in metrics if self._is_about(metric, query, slot)]
        found = await asyncio.gather(*(self._values(metric, query, slot, max_age=max_age) for metric in wanted))
        pairs = list(zip(wanted, found, strict=True))
        gauges = {metric.name: values for metric, values in pairs if not isinstance(values, str)}
        gaps = [Missing(self.name, slot, f"{metric.name}: {said}") for metric, said in pairs if isinstance(said, str)]
        return Unit(id=f"web:{slot}", slot=slot, source=self.name, counters={}, gauges=gauges), gaps

    def _is_about(self, metric: GaugeMetric, query: Query, slot: Slot) -> bool:
        """Whether the metric is asked for this slot: where all slots have one answer, for the first new one."""
        return slot in query.new[:1] or not PER_VERSION.isdisjoint(self._variables(metric))

    def _variables(self, metric: GaugeMetric) -> set[str]:
        web = _web(metric)
        texts = (self._endpoints[web.endpoint].url, *web.query.values())
        return {name for text in texts for name in variables(text)}

    async def _values(
        self, metric: GaugeMetric, query: Query, slot: Slot, *, max_age: float
    ) -> tuple[float, ...] | str:
        """The numbers, or why there are none."""
        web = _web(metric)
        url = _url(self._endpoints[web.endpoint], web, query, slot)
        try:
            data = await self._askers[web.endpoint].get(url, max_age=max_age)
            return tuple(_numbers(web, data))
        except TemporaryError as error:
            return str(error)
        except ValueError as error:
            return f"{web.endpoint} answers without {web.value}: {error}"


def _web(metric: GaugeMetric) -> WebValue:
    assert metric.web is not None  # noqa: S101 - those without were left out.
    return metric.web


def _url(endpoint: WebEndpoint, web: WebValue, query: Query, slot: Slot) -> str:
    target = query.target
    values = {
        "cluster": target.cluster,
        "component": target.component,
        "namespace": target.namespace,
        "slot": slot,
        "version": query.version,
        "workload": canary_name(target.name) if slot == "canary" else target.name,
    }
    path = filled(endpoint.url, {name: quote(value, safe="") for name, value in values.items()})
    asked = urlencode({name: filled(text, values) for name, text in web.query.items()})
    return f"{path}?{asked}" if asked else path


def _numbers(web: WebValue, data: Any) -> Iterator[float]:
    """Every number that the path leads to; null is none. Errors: ValueError for what is no number."""
    for value in values_at(data, parse_path(web.value)):
        if value is None:
            continue
        try:
            yield float("" if isinstance(value, bool | dict | list) else value)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{repr(value)[:_SHOWN]} is no number") from error
