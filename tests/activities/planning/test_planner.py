"""The planner as workflows call it: plans and refusals are values, and travel as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from activities.metrics.objections import objections
from activities.metrics.openmetrics import OpenMetricsSettings
from activities.metrics.prometheus.settings import PrometheusSettings
from activities.metrics.registry import metrics_providers
from activities.planning.activities import Planner
from tests.activities.metrics.pages import Instances
from tests.builders import a_policy, a_release
from workflows.contracts.planning import PlanRequest, RollbackPlanRequest
from workflows.model.target import Promoted

POLICY = a_policy().approval("production", "ann@example.com")


def planner() -> Planner:
    return Planner(POLICY.parsed())


def promoted(version: str, *, day: int = 1, name: str = "trip", **more: Any) -> Promoted:
    component = a_release(name).version(version).component()
    fields = {
        "environment": "production",
        "release": "trip",
        "version": version,
        "at": datetime(2026, 1, day, tzinfo=UTC),
    }
    record = {"target": component.target, "template": component.template, "component": component.component}
    return Promoted(**{**record, **fields, **more})


def rollback(version: str, *records: Promoted, environment: str = "production") -> RollbackPlanRequest:
    return RollbackPlanRequest(environment=environment, release="trip", version=version, promoted=records)


async def test_a_right_document_becomes_a_plan_with_the_workers_policy() -> None:
    planned = await planner().plan_release(PlanRequest(document=a_release().document()))
    assert planned.reason == ""
    assert planned.plan is not None
    assert planned.plan.components[0].gate is not None


async def test_each_target_gets_the_queue_of_its_cluster_and_the_plan_its_digest_without_it() -> None:
    request = PlanRequest(document=a_release().document())
    near, far = (
        await planner().plan_release(request),
        await Planner(POLICY.parsed(), {"local": "q"}).plan_release(request),
    )
    assert near.plan is not None
    assert far.plan is not None
    assert [near.plan.components[0].target.queue, far.plan.components[0].target.queue] == ["", "q"]
    assert near.plan.digest == far.plan.digest


async def test_a_kept_version_comes_back_over_the_queue_of_today() -> None:
    kept = promoted("v1")
    kept = kept.model_copy(update={"target": kept.target.model_copy(update={"queue": "of-yesterday"})})
    planned = await planner().plan_rollback(rollback("v1", kept))
    assert planned.plan is not None
    assert planned.plan.components[0].target.queue == ""


async def test_a_wrong_document_is_a_value_with_every_problem() -> None:
    planned = await planner().plan_release(PlanRequest(document={"kind": "Release"}))
    assert planned.plan is None
    assert planned.reason == "BadSpec"
    assert {problem.path for problem in planned.problems} == {"apiVersion", "metadata", "spec"}


async def test_what_policy_does_not_allow_is_a_value() -> None:
    planned = await planner().plan_release(PlanRequest(document=a_release().spec(environment="test").document()))
    assert (planned.plan, planned.reason) == (None, "PolicyRefused")


async def test_a_kept_version_comes_back_without_asking_anybody() -> None:
    planned = await planner().plan_rollback(rollback("v1", promoted("v2", day=2), promoted("v1")))
    assert planned.plan is not None
    (component,) = planned.plan.components
    assert (planned.plan.kind, planned.plan.again, planned.plan.version) == ("rollback", True, "v1")
    assert component.template.version == "v1"
    assert component.gate is None


async def test_the_newest_record_of_each_target_counts() -> None:
    old = promoted("v1", day=1, component={**promoted("v1").component, "drain": "1s"})
    planned = await planner().plan_rollback(rollback("v1", promoted("v1", day=5), old, promoted("v1", name="user")))
    assert planned.plan is not None
    assert [c.name for c in planned.plan.components] == ["trip", "user"]
    assert planned.plan.components[0].component["drain"] == "30s"


async def test_a_version_that_is_not_kept_is_refused_naming_those_that_are() -> None:
    records = (promoted("v2", day=2), promoted("v1"), promoted("v0", outcome="rolledBack"))
    for version in ("v0", "v7"):
        planned = await planner().plan_rollback(rollback(version, *records))
        assert planned.reason == "BadSpec"
        assert planned.problems[0].message.endswith("(kept: v2, v1)")


async def test_a_rollback_touches_only_what_the_environment_still_allows() -> None:
    moved = Planner(a_policy().places(tokyo=["shop"]).parsed())
    planned = await moved.plan_rollback(rollback("v1", promoted("v1")))
    assert planned.reason == "PolicyRefused"
    assert "may no longer touch local/default" in planned.problems[0].message
    unknown = await planner().plan_rollback(rollback("v1", promoted("v1", environment="old"), environment="old"))
    assert unknown.reason == "PolicyRefused"


async def test_what_the_worker_could_never_read_is_refused_with_its_place_in_the_document() -> None:
    web = {"name": "busy", "kind": "gauge", "web": {"endpoint": "statz", "value": "$.busy"}, "rule": {"rollback": "9"}}
    queried = {"name": "full", "kind": "gauge", "query": "max(full{})", "rule": {"rollback": "9"}}
    errors = {"name": "errors", "kind": "ratio", "source": "app", "compare": {}}
    store = PrometheusSettings(kind="prometheus", url="http://127.0.0.1:9")
    providers = metrics_providers({"main": OpenMetricsSettings(), "store": store}, Instances())
    readable = Planner(POLICY.parsed(), None, partial(objections, providers))

    async def said(*metrics: dict[str, Any], **fields: Any) -> dict[str, str]:
        document = a_release().with_(analysis={"metrics": list(metrics), **fields}).document()
        planned = await readable.plan_release(PlanRequest(document=document))
        assert planned.reason == ("BadSpec" if planned.problems else "")
        return {problem.path: problem.message for problem in planned.problems}

    at = "spec.components[0].analysis"
    assert await said(web, queried) == {
        f"{at}.metrics[0]": "the settings of the metrics provider have no web endpoint statz; they have none",
        f"{at}.metrics[1]": "queries need a metric store; name a provider of kind prometheus in analysis.provider",
    }
    assert await said(queried, provider="thanos") == {
        f"{at}.provider": "this worker has no metrics provider of kind 'thanos'; it has main, store"
    }
    (message,) = (await said(web, queried, provider="store")).values()
    assert message.startswith("prometheus has no source web; it has app, contour, envoy")
    (message,) = (await said(errors, provider="store")).values()
    assert message.startswith("trip is no workload of Kubernetes, so it has no pods")
    assert await said(errors) == {}
