"""From a Release and a Policy to components, places, waves, gates and floors; a spec lowers nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import PolicyBuilder, ReleaseBuilder, a_policy, a_release
from workflows.errors import PolicyRefused
from workflows.model.plan import ReleasePlan

C = "spec.components[0]"


def test_components_move_in_waves() -> None:
    release = a_release().and_("user", "trip").and_("location", "trip").and_("ai", "user", "location")
    assert {c.name: c.wave for c in release.planned().components} == {"trip": 0, "user": 1, "location": 1, "ai": 2}


def test_a_place_that_is_the_only_one_needs_no_naming() -> None:
    target = a_release().component(a_policy().places(seoul=["shop"])).target
    assert (target.cluster, target.namespace) == ("seoul", "shop")
    assert target.rollout_id == "rollout/seoul/shop/process/trip"


def test_a_place_that_is_named_is_taken() -> None:
    policy = a_policy().places(seoul=["shop", "lab"], tokyo=["shop"])
    workload = {"kind": "process", "service": "trip", "cluster": "seoul", "namespace": "lab"}
    target = a_release().with_(workload=workload).component(policy).target
    assert (target.cluster, target.namespace) == ("seoul", "lab")


def test_the_same_workload_is_one_target_however_it_is_written() -> None:
    written = {"kind": "process", "service": "trip", "replicas": 7, "cluster": "local", "namespace": "default"}
    assert a_release().with_(workload=written).component().target == a_release().component().target


def test_recreate_marks_its_target_as_one_where_two_versions_never_meet() -> None:
    assert a_release().recreate().component().target.exclusive
    assert not a_release().rolling().component().target.exclusive


def test_a_gate_that_a_stage_names_is_asked_there_and_every_other_one_before_users_come() -> None:
    policy = a_policy().approval("security", "Eve@example.com").approval("production", "ann@example.com")
    component = a_release().canary(5, 50).asking("production", before=1).component(policy)
    assert list(component.gates) == ["production"]
    assert component.gate is not None
    assert (component.gate.name, component.gate.people) == ("security", ("eve@example.com",))
    everything = a_release().component(policy)
    assert everything.gate is not None
    assert [everything.gate.name, *(gate.name for gate in everything.further_gates)] == ["security", "production"]


def test_what_the_spec_leaves_open_is_set_to_the_floor() -> None:
    policy = a_policy().floor("canary", watch={"minimum": "1h"}, observe={"minimum": "20m"})
    release = a_release().with_(strategy={"kind": "canary", "stages": [{"weight": 5}]})
    strategy = release.component(policy).component["strategy"]
    assert (strategy["watch"], strategy["stages"][0]["observe"]) == ("1h", "20m")


def test_the_same_document_and_policy_always_have_the_same_digest() -> None:
    assert a_release().planned().digest == a_release().planned().digest
    assert a_release().planned().digest != a_release().version("v3").planned().digest
    assert a_release().planned().digest != a_release().planned(a_policy().approval("late", "ann")).digest


def test_the_same_artifact_at_the_same_version_is_the_same_template() -> None:
    first = a_release().with_(artifact={"env": {"A": "1", "B": "2"}}).component().template
    assert first == a_release().with_(artifact={"env": {"B": "2", "A": "1"}}).component().template
    assert first.digest != a_release().with_(artifact={"env": {"A": "2"}}).component().template.digest
    assert (
        first.digest
        != a_release().with_(artifact={"env": {"A": "1", "B": "2"}}).version("v3").component().template.digest
    )


def test_a_recorded_component_carries_its_defaults_for_workers_that_know_others() -> None:
    component = a_release().component().component
    assert component["strategy"]["watch"] == "30m"
    assert component["readyWithin"] == "5m"


def test_what_policy_says_about_the_whole_release_is_in_the_plan() -> None:
    policy = a_policy().with_(supersede=False, advance=False, limits={"parallel": 2}, analysis="required")
    plan: ReleasePlan = a_release().spec(holdFor="1h", again=True).planned(policy)
    assert (plan.can_supersede, plan.can_advance, plan.parallel, plan.analysis_required) == (False, False, 2, True)
    assert (plan.hold_seconds, plan.again, plan.kind) == (3600, True, "release")


def test_a_gate_that_anybody_can_open_is_a_warning() -> None:
    assert a_release().planned(a_policy().approval("qa")).warnings == (
        "anybody can open gate qa, because policy names nobody in its groups",
    )


REFUSED: dict[str, tuple[ReleaseBuilder, PolicyBuilder, str, str]] = {
    "an unknown environment": (
        a_release().spec(environment="prodution"),
        a_policy(),
        "spec.environment",
        "policy knows no environment prodution; did you mean production? (known: production)",
    ),
    "a cluster that is not allowed": (
        a_release().with_(workload={"kind": "process", "service": "trip", "cluster": "tokyo"}),
        a_policy(),
        f"{C}.workload.cluster",
        "production may not touch cluster tokyo (allowed: local)",
    ),
    "a namespace that is not allowed": (
        a_release().with_(workload={"kind": "process", "service": "trip", "namespace": "kube-system"}),
        a_policy(),
        f"{C}.workload.namespace",
        "production may not touch namespace kube-system (allowed: local/default)",
    ),
    "several clusters": (
        a_release(),
        a_policy().places(seoul=["shop"], tokyo=["shop"]),
        f"{C}.workload.cluster",
        "say which (seoul/shop, tokyo/shop)",
    ),
    "several namespaces": (
        a_release(),
        a_policy().places(seoul=["shop", "lab"]),
        f"{C}.workload.namespace",
        "say which (seoul/shop, seoul/lab)",
    ),
    "a strategy that is not allowed": (
        a_release().recreate(),
        a_policy().floor("canary").floor("blueGreen"),
        f"{C}.strategy.kind",
        "production does not allow recreate (allowed: canary, blueGreen)",
    ),
    "too short a watch": (
        a_release().canary(5, watch="10m"),
        a_policy().floor("canary", watch={"minimum": "30m"}),
        f"{C}.strategy.watch",
        "10m is shorter than production demands; write at least 30m",
    ),
    "too short a stage": (
        a_release().canary(5, 50, observe="1m"),
        a_policy().floor("canary", observe={"minimum": "5m"}),
        f"{C}.strategy.stages[0].observe",
        "1m is shorter than production demands; write at least 5m",
    ),
    "too large a first stage": (
        a_release().canary(50),
        a_policy().floor("canary", firstWeight=10),
        f"{C}.strategy.stages[0].weight",
        "50 is more than production allows at first; begin with at most 10",
    ),
    "no soft entry": (
        a_release().canary(5, entry="none"),
        a_policy().floor("canary", entry="soft"),
        f"{C}.strategy.entry",
        "production demands a soft entry; leave entry out",
    ),
    "no analysis": (
        a_release().unanalysed(),
        a_policy().with_(analysis="required"),
        f"{C}.analysis",
        "production demands that a metric decides in every minute",
    ),
    "an unknown gate": (
        a_release().canary(5).asking("prodction"),
        a_policy().approval("production", "ann"),
        f"{C}.strategy.stages[0].approval",
        "production has no approval prodction; did you mean production?",
    ),
    "an unknown gate before rolling": (
        a_release().rolling(approval="qa"),
        a_policy(),
        f"{C}.strategy.approval",
        "production has no approval qa (known: none)",
    ),
    "one workload in two places that are the same": (
        a_release().and_("user").with_(workload={"kind": "process", "service": "trip", "namespace": "default"}),
        a_policy(),
        "spec.components[1].workload",
        "component trip writes to local/default/process/trip already",
    ),
    "one route in two places that are the same": (
        a_release()
        .and_("user")
        .with_(
            workload={"kind": "process", "service": "user", "cluster": "local"},
            traffic={"kind": "envoy", "route": "trip"},
        ),
        a_policy(),
        "spec.components[1].traffic",
        "component trip writes to trip already",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_policy_does_not_allow_is_refused(case: str) -> None:
    release, policy, path, sentence = REFUSED[case]
    with pytest.raises(PolicyRefused) as refused:
        release.planned(policy)
    problem = refused.value.problems[0]
    assert problem.path == path
    assert sentence in problem.message


def test_everything_that_policy_does_not_allow_is_said_at_once() -> None:
    policy = a_policy().floor("canary", watch={"minimum": "1h"}).with_(analysis="required")
    release = a_release().canary(5, watch="1m").unanalysed().asking("qa").and_("user").recreate()
    with pytest.raises(PolicyRefused) as refused:
        release.planned(policy)
    assert [problem.path for problem in refused.value.problems] == [
        f"{C}.analysis",
        f"{C}.strategy.watch",
        f"{C}.strategy.stages[0].approval",
        "spec.components[1].strategy.kind",
    ]


@pytest.mark.parametrize(
    ("artifact", "images"),
    [
        ({"image": "registry.example:5000/trip"}, {"": "registry.example:5000/trip:v2"}),
        ({"image": "trip:stable"}, {"": "trip:stable"}),
        ({"image": "trip@sha256:4f2a"}, {"": "trip@sha256:4f2a"}),
        ({"images": {"app": "trip", "proxy": "envoy:1.36"}}, {"app": "trip:v2", "proxy": "envoy:1.36"}),
    ],
    ids=["the version is the tag", "a tag of its own", "a digest", "by container"],
)
def test_a_deployment_runs_its_images_at_the_version(artifact: dict[str, Any], images: dict[str, str]) -> None:
    workload = {"kind": "kubernetes", "deployment": "trip-service"}
    component = a_release().rolling().unrouted().with_(workload=workload, artifact=artifact).component()
    assert component.template.body == {"images": images}
    assert component.target.key == "local/default/deployment/trip-service"
