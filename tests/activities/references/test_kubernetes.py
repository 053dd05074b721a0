"""What a release refers to in a cluster is looked at before anything is touched, on a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities.clusters.kubernetes.settings import ArgoCdSettings
from activities.gitops.applications import TRACKING
from tests.activities.references.place import ROUTE, Shop, a_reference, a_shop
from tests.activities.references.registry import LoopbackRegistry, a_registry
from tests.activities.world import Run, a_template, until
from tests.builders import PolicyBuilder, a_policy
from workflows.contracts.references import ContainerSeen, Described, DescribeRequest, ReferencesRequest
from workflows.contracts.targets import CaptureRequest
from workflows.errors import NotFound
from workflows.model.plan import ComponentPlan

pytestmark = pytest.mark.cluster

READ = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}


@pytest.fixture
async def shop(routing_kubeconfig: Path) -> AsyncIterator[Shop]:
    """Without a registry to ask."""
    async with a_shop(routing_kubeconfig, check=False) as made:
        yield made


@pytest.fixture
async def registry() -> AsyncIterator[LoopbackRegistry]:
    async with a_registry() as made:
        yield made


@pytest.fixture
async def pulling(routing_kubeconfig: Path, registry: LoopbackRegistry) -> AsyncIterator[Shop]:
    """A shop whose images come from the registry."""
    async with a_shop(routing_kubeconfig) as made:
        yield made


async def test_a_release_that_can_begin_has_no_problem_and_changes_nothing(shop: Shop) -> None:
    await shop.stock()
    before = [shop.namespace.get(path) for path in ("apps/v1/deployments/trip", "v1/services/trip")]
    checked = await shop.check(shop.release())
    assert checked.problems == ()
    [seen] = checked.seen
    assert (seen.component, seen.running, seen.replicas) == ("trip", "v1", 2)
    assert seen.template.body == {"images": {"": "registry.test/trip:v2"}}
    assert [shop.namespace.get(path) for path in ("apps/v1/deployments/trip", "v1/services/trip")] == before
    [calls] = [api.calls for api in shop.clusters]
    assert {call.split(" ")[0] for call in calls if "reviews" not in call} == {"GET", "LIST"}
    assert {call: count for call, count in calls.items() if "reviews" in call} == {
        "POST selfsubjectaccessreviews": 1,  # Of the namespace, which a rule of another one may give.
        "POST selfsubjectrulesreviews": 1,
    }


async def test_everything_that_is_not_there_is_told_at_once(shop: Shop) -> None:
    await shop.stock()
    other = shop.release(
        workload={"kind": "kubernetes", "deployment": "tripp"},
        traffic={"kind": "gatewayApi", "httpRoute": "trips", "service": "trap"},
    )
    name, fix = shop.namespace.name, "does not exist in cluster local; create it, or correct the name"
    assert await shop.told(other) == {
        "workload.deployment": f"Deployment {name}/tripp {fix}",
        "traffic.httpRoute": f"HTTPRoute {name}/trips {fix}",
        "traffic.service": f"Service {name}/trap {fix}",
    }


async def test_a_route_that_leads_to_another_service_is_told(shop: Shop) -> None:
    await shop.stock()
    shop.namespace.apply("v1", "Service", "other", spec={"selector": {"app": "x"}, "ports": [{"port": 80}]})
    told = await shop.told(shop.release(traffic={**ROUTE, "service": "other"}))
    assert told == {"traffic": f"HTTPRoute {shop.namespace.name}/trip has no rule that leads to Service other"}


async def test_each_container_that_is_not_there_is_told(shop: Shop) -> None:
    await shop.stock()
    images = {"trip": "registry.test/trip", "proxy": "registry.test/proxy", "log": "registry.test/log"}
    told = await shop.told(shop.release(artifact={"images": images}))
    assert list(told) == ["artifact.images.log", "artifact.images.proxy"]
    assert told["artifact.images.log"] == ("trip has no container log; name its containers (trip) in artifact.images")


async def test_a_namespace_that_is_not_there_is_told_once(shop: Shop) -> None:
    component = shop.release().component(_anywhere("nowhere"))
    request = _request(component)
    checked = await shop.references.check(request)
    assert [(problem.field, problem.message) for problem in checked.problems] == [
        ("workload.namespace", "cluster local has no namespace nowhere; create it, or name another that policy allows")
    ]


async def test_a_cluster_that_the_worker_does_not_know_is_told(shop: Shop) -> None:
    component = shop.release().component(_anywhere("shop", cluster="mars"))
    checked = await shop.references.check(_request(component))
    assert [(problem.field, problem.message) for problem in checked.problems] == [
        ("workload", "this worker has no Kubernetes cluster 'mars'; it has local")
    ]


async def test_an_unhealthy_target_is_told_with_everything_else(shop: Shop) -> None:
    await shop.stock(replicas=1)
    shop.namespace.deployment("sick", replicas=2, image="v1-unready")
    sick = shop.release(workload={"kind": "kubernetes", "deployment": "sick"}, traffic={**ROUTE, "service": "none"})
    told = await shop.told(sick)
    assert set(told) == {"traffic.service"}
    told = await shop.told(sick.with_(traffic=ROUTE))
    assert "0 of 2 instances of the running version v1-unready are ready" in told[""]


async def test_a_target_of_another_release_is_left_to_wait_for_it(shop: Shop) -> None:
    """What is there in the middle of a release says nothing about the next one."""
    await shop.stock()
    target = shop.release().component(_anywhere(shop.namespace.name)).target
    request = CaptureRequest(target=target, release=a_reference(), template=a_template("v2"))
    await Run(target.rollout_id, "run-1").call(shop.targets.capture, request)
    shop.namespace.api.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{shop.namespace.name}/deployments/trip",
        {"spec": {"replicas": 1}},
        kind="application/merge-patch+json",
    )
    assert await shop.told(shop.release()) == {}


async def test_rights_that_are_missing_are_listed(shop: Shop, tmp_path: Path) -> None:
    await shop.stock()
    await shop.clusters.close()
    shop.join(shop.sign_in(tmp_path, READ))
    told = await shop.told(shop.release())
    assert list(told) == ["workload.cluster"]
    assert told["workload.cluster"].startswith(
        "the worker may not create authorizationpolicies.security.istio.io, create deployments.apps, "
    )
    assert "patch httproutes.gateway.networking.k8s.io, " in told["workload.cluster"]
    assert "create poddisruptionbudgets.policy, " in told["workload.cluster"]
    assert told["workload.cluster"].endswith(
        f"in namespace {shop.namespace.name} of cluster local; give its account these rights, as the Helm chart does "
        "for each of inCluster.namespaces"
    )
    rolling = shop.release().rolling()
    assert "create deployments.apps" not in (await shop.told(rolling))["workload.cluster"]


async def test_an_autoscaler_that_would_move_the_weight_is_told(shop: Shop) -> None:
    await shop.stock()
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "trip"}
    shop.namespace.apply(
        "autoscaling/v2", "HorizontalPodAutoscaler", "trip", spec={"scaleTargetRef": reference, "maxReplicas": 9}
    )
    told = await shop.told(shop.release(traffic={"kind": "replicas", "service": "trip"}))
    assert "HorizontalPodAutoscaler trip changes the number of pods, which is the weight here" in told[""]


async def test_an_application_without_a_truce_is_told_with_everything_else(shop: Shop) -> None:
    await shop.stock()
    tracked = {TRACKING: f"shop:apps/Deployment:{shop.namespace.name}/trip"}
    shop.namespace.merge("apps/v1/deployments/trip", {"metadata": {"annotations": tracked}})
    told = await shop.told(shop.release(traffic={**ROUTE, "httpRoute": "gone"}))
    assert set(told) == {"", "traffic.httpRoute"}
    assert "belongs to Argo CD's application shop" in told[""]
    assert "say kubernetes.clusters.local.argoCd.namespace in the worker's settings" in told[""]


async def test_rights_on_applications_are_asked_for_where_these_are(shop: Shop, tmp_path: Path) -> None:
    await shop.stock()
    await shop.clusters.close()
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    shop.join(shop.sign_in(tmp_path, everything), argo_cd=ArgoCdSettings(namespace="default"))
    told = await shop.told(shop.release())
    rights = ", ".join(f"{verb} applications.argoproj.io" for verb in ("get", "list", "patch", "watch"))
    assert list(told) == ["workload.cluster"]
    assert f"may not {rights} in namespace default of cluster local; " in told["workload.cluster"]
    assert told["workload.cluster"].endswith("as the Helm chart does for inCluster.argoCd.namespace")


async def test_without_any_right_only_the_rights_are_told(shop: Shop, tmp_path: Path) -> None:
    await shop.stock()
    await shop.clusters.close()
    shop.join(shop.sign_in(tmp_path))
    assert list(await shop.told(shop.release())) == ["workload.cluster"]


async def test_what_selects_the_pods_is_listed_with_what_becomes_of_it(shop: Shop) -> None:
    await shop.stock()
    own = {"matchLabels": {"app": "trip"}}
    shop.namespace.apply("policy/v1", "PodDisruptionBudget", "trip", spec={"selector": own, "maxUnavailable": 1})
    shop.namespace.apply("security.istio.io/v1", "AuthorizationPolicy", "allow", spec={"selector": own})
    shop.namespace.apply("v1", "Service", "admin", spec={"selector": {"app": "trip"}, "ports": [{"port": 80}]})
    others = {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["trip"]}]}
    shop.namespace.apply("networking.k8s.io/v1", "NetworkPolicy", "deny", spec={"podSelector": others})
    checked = await shop.check(shop.release())
    [seen] = checked.seen
    assert seen.notes == (
        "the pods of trip-canary are labelled app=trip-canary instead of app=trip",
        "copied for the pods of trip-canary while they are there: PodDisruptionBudget trip, AuthorizationPolicy allow",
    )
    assert not any(problem.is_certain for problem in checked.problems)
    missed, gained = sorted(problem.message for problem in checked.problems)[::-1]
    assert missed.startswith("Service admin: meant for pods with app=trip, so the new version's pods beside them")
    assert gained.startswith("NetworkPolicy deny: not meant for pods with app=trip, but the new version's pods")
    assert missed.endswith("where that matters, give the pod template another label and select by that")
    rolling = await shop.check(shop.release().rolling())
    assert (rolling.problems, rolling.seen[0].notes) == ((), ())


async def test_rules_of_the_scheduler_are_listed_whosever_they_are(shop: Shop) -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "trip"}}}
    rules = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}
    await shop.stock(affinity={"podAffinity": rules})
    pod = {"containers": [{"name": "app", "image": "registry.test/cache:v1"}], "affinity": {"podAffinity": rules}}
    template = {"metadata": {"labels": {"app": "cache"}}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "cache"}}, "template": template}
    shop.namespace.apply("apps/v1", "Deployment", "cache", spec=spec)
    assert await shop.until_available("cache", 2)
    checked = await shop.check(shop.release())
    assert checked.seen[0].notes[-1].startswith("affinity and spread of the pods of trip-canary mean these pods")
    [problem] = checked.problems
    assert problem.message.startswith("the affinity of cache: meant for pods with app=trip")


async def test_a_workload_that_cannot_run_twice_is_told_before_anything_is_touched(shop: Shop) -> None:
    await shop.stock()
    shop.namespace.api.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{shop.namespace.name}/deployments/trip",
        {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}},
        kind="application/merge-patch+json",
    )
    told = await shop.told(shop.release())
    assert told["strategy"].endswith("two versions at the same time: its own strategy is Recreate; use recreate")


async def quota(shop: Shop, **hard: str) -> None:
    """One that the controller has counted."""
    shop.namespace.apply(
        "v1", "ResourceQuota", "small", spec={"hard": {k.replace("_", "."): v for k, v in hard.items()}}
    )
    assert await until(lambda: (shop.namespace.get("v1/resourcequotas/small").get("status") or {}).get("used"))


async def test_the_peak_must_have_room(shop: Shop) -> None:
    await shop.stock(replicas=4, requests={"cpu": "100m"})
    await quota(shop, pods="5", requests_cpu="500m")
    told = await shop.told(shop.release())
    assert "ResourceQuota small leaves 1 of 5 pods, and the release takes 5 more at its peak" in told["capacity"]
    assert "leaves 100m of 500m requests.cpu, and the release takes 500m more" in told["capacity"]
    assert await shop.told(shop.release().rolling()) == {}


async def test_components_of_one_release_need_their_room_together(shop: Shop) -> None:
    await shop.stock(replicas=2)
    await quota(shop, pods="7")
    shop.namespace.deployment("user", replicas=2, image="v1")
    user = shop.release(workload={"kind": "kubernetes", "deployment": "user"}, name="user", traffic={"kind": "none"})
    user = user.rolling(surge=2)
    assert await shop.until_available("user", 2)
    assert await shop.told(shop.release()) == {}
    assert await shop.told(user) == {}
    told = await shop.told(shop.release(), user)
    assert "leaves 3 of 7 pods, and the release takes 5 more at its peak" in told["capacity"]


async def test_a_quota_with_a_scope_counts_the_components_in_it_alone(shop: Shop) -> None:
    await shop.stock(replicas=2, requests={"cpu": "100m"})
    shop.namespace.deployment("user", replicas=2, image="v1")
    user = shop.release(workload={"kind": "kubernetes", "deployment": "user"}, name="user", traffic={"kind": "none"})
    user = user.rolling(surge=2)
    assert await shop.until_available("user", 2)
    shop.namespace.apply("v1", "ResourceQuota", "small", spec={"hard": {"pods": "3"}, "scopes": ["BestEffort"]})
    assert await until(lambda: (shop.namespace.get("v1/resourcequotas/small").get("status") or {}).get("used"))

    for order in ((shop.release(), user), (user, shop.release())):
        [problem] = [found for found in (await shop.check(*order)).problems if found.field == "capacity"]
        assert problem.component == "user"
        assert "leaves 1 of 3 pods, and the release takes 2 more at its peak" in problem.message


async def test_a_tag_becomes_the_digest_that_its_registry_answers(pulling: Shop, registry: LoopbackRegistry) -> None:
    digest = registry.push("trip:v2")
    image = f"{registry.address}/trip"
    await pulling.stock(f"{image}:v1")
    checked = await pulling.check(pulling.release(image))
    assert checked.problems == ()
    [seen] = checked.seen
    assert seen.template.body == {"images": {"": f"{image}:v2@{digest}"}}
    assert seen.template.digest != pulling.release(image).component(_anywhere(pulling.namespace.name)).template.digest


async def test_an_image_that_is_not_there_is_refused(pulling: Shop, registry: LoopbackRegistry) -> None:
    await pulling.stock()
    image = f"{registry.address}/trip"
    assert await pulling.told(pulling.release(image)) == {
        "artifact.image": f"{registry.address} has no image {image}:v2; push it, or correct its name, tag or version"
    }


async def test_a_registry_that_does_not_answer_is_only_warned_of(pulling: Shop) -> None:
    await pulling.stock()
    checked = await pulling.check(pulling.release("127.0.0.1:1/trip"))
    [problem] = checked.problems
    assert (problem.is_certain, problem.field) == (False, "artifact.image")
    assert "so whether 127.0.0.1:1/trip:v2 can be pulled is not known" in problem.message
    assert checked.seen[0].template.body == {"images": {"": "127.0.0.1:1/trip:v2"}}


async def test_the_pull_secrets_of_the_workload_and_of_its_service_account_sign_in(
    routing_kubeconfig: Path, pulling: Shop
) -> None:
    async with a_registry(sign_in="token", users={"ann": "s3cret"}) as private:
        private.push("trip:v2")
        image = f"{private.address}/trip"
        pulling.namespace.apply("v1", "Secret", "pull", **private.secret("ann", "s3cret"))
        pulling.namespace.apply("v1", "ServiceAccount", "default", imagePullSecrets=[{"name": "pull"}])
        await pulling.stock(f"{image}:v1")
        assert await pulling.told(pulling.release(image)) == {}
        pulling.namespace.apply("v1", "Secret", "pull", **private.secret("ann", "old"))
        told = await pulling.told(pulling.release(image))
        assert "answered 401" in told["artifact.image"]
        assert "with the pull secrets of the workload; renew them" in told["artifact.image"]


async def describe(shop: Shop, deployment: str = "trip", sort: str = "deployment") -> Described:
    request = DescribeRequest(cluster="local", namespace=shop.namespace.name, deployment=deployment, sort=sort)
    return await shop.references.describe(request)


async def test_a_deployment_is_described_with_all_that_leads_to_it(shop: Shop) -> None:
    await shop.stock(replicas=1)
    probe = {"httpGet": {"path": "/ready", "port": 8080}}
    container = {"name": "trip", "image": "registry.test/trip:v1", "readinessProbe": probe}
    shop.namespace.api.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{shop.namespace.name}/deployments/trip",
        {"spec": {"template": {"spec": {"containers": [container]}}}},
        kind="application/strategic-merge-patch+json",
    )
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "trip", "port": {"number": 80}}}}]
    shop.namespace.apply("networking.k8s.io/v1", "Ingress", "old", spec={"rules": [{"http": {"paths": paths}}]})
    shop.namespace.apply("v1", "Service", "other", spec={"selector": {"app": "other"}, "ports": [{"port": 80}]})
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "trip"}
    spec = {"scaleTargetRef": scaled, "maxReplicas": 3}
    shop.namespace.apply("autoscaling/v2", "HorizontalPodAutoscaler", "trip", spec=spec)
    assert await describe(shop) == Described(
        containers=(ContainerSeen(name="trip", image="registry.test/trip:v1", ports=(8080,)),),
        replicas=1,
        services=("trip",),
        routes=(ROUTE, {"kind": "ingress", "ingress": "old", "service": "trip"}),
        check_path="/ready",
        autoscalers=("trip",),
    )


async def test_a_deployment_that_cannot_run_twice_is_described_so(shop: Shop) -> None:
    shop.namespace.deployment("lone", strategy={"type": "Recreate"})
    found = await describe(shop, "lone")
    assert found.alone == (
        "Deployment lone cannot run two versions at the same time: its own strategy is Recreate; use recreate"
    )
    assert (found.services, found.routes) == ((), ())


async def test_what_may_not_be_looked_at_is_unseen_and_not_absent(shop: Shop, tmp_path: Path) -> None:
    await shop.stock(replicas=1)
    await shop.clusters.close()
    right = {"apiGroups": ["", "apps"], "resources": ["deployments", "services"], "verbs": ["get", "list"]}
    shop.join(shop.sign_in(tmp_path, right))
    found = await describe(shop)
    assert (found.services, found.routes) == (("trip",), ())
    assert {"objects of gatewayApi", "objects of ingress", "autoscalers"} <= set(found.unseen)


@pytest.mark.parametrize(("sort", "kind"), [("statefulSet", "StatefulSet"), ("daemonSet", "DaemonSet")])
async def test_what_is_replaced_in_place_is_described_too(shop: Shop, sort: str, kind: str) -> None:
    sized: dict[str, Any] = {"replicas": 2, "serviceName": "cart"} if sort == "statefulSet" else {}
    shop.namespace.workload(kind, "cart", image="v1", **sized)
    assert await until(
        lambda: (shop.namespace.get(f"apps/v1/{kind.lower()}s/cart").get("status") or {}).get("observedGeneration")
    )
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": "cart"}
    spec = {"scaleTargetRef": reference, "maxReplicas": 4}
    shop.namespace.apply("autoscaling/v2", "HorizontalPodAutoscaler", "cart", spec=spec)
    found = await describe(shop, "cart", sort)
    assert (found.replicas, found.containers[0].name, found.autoscalers, found.alone) == (2, "cart", ("cart",), "")
    with pytest.raises(NotFound, match=f"{kind} .*/trap does not exist"):
        await describe(shop, "trap", sort)


async def test_what_is_not_there_is_not_described(shop: Shop) -> None:
    with pytest.raises(NotFound, match="Deployment .*/trap does not exist in cluster local"):
        await describe(shop, "trap")


def _anywhere(namespace: str, cluster: str = "local") -> PolicyBuilder:
    return a_policy().places(**{cluster: [namespace]})


def _request(component: ComponentPlan) -> ReferencesRequest:
    return ReferencesRequest(components=(component,))
