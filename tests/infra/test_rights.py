"""What the workers' service account may do: all that releases do, and nothing else.

RBAC knows kinds and not objects, so that a worker leaves other people's Deployments alone is not shown here but in the
tests of the providers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from activities.clusters.kubernetes import api as kubernetes_api
from activities.clusters.kubernetes import kinds
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import Kind
from activities.clusters.kubernetes.patch import put
from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from activities.references.activities import References
from activities.references.kubernetes import needed
from activities.references.protocol import Look
from activities.references.registry import reference_checks
from activities.references.settings import RegistrySettings
from activities.targets.activities import Targets
from activities.traffic.activities import Traffic
from activities.traffic.keeping import Keeping
from activities.traffic.registry import traffic_routers
from activities.workloads.activities import Workloads
from activities.workloads.registry import workload_providers
from infra.testbed import crds
from infra.testbed.api import Api
from tests.activities.traffic.conftest import INGRESSES, SETUPS
from tests.activities.traffic.kubernetes import KubernetesWorld, noticing
from tests.activities.workloads.selecting import CRDS, SELECTING, select
from tests.activities.world import a_release, a_template
from tests.cluster import Namespace
from tests.infra.chart import ADD_ONS, ALL, Helm
from tests.infra.cluster import Account, Server
from tests.temporal import unique
from workflows.contracts.references import DescribeRequest, ReferencesChecked, ReferencesRequest
from workflows.contracts.targets import AcquireRequest, SettleRequest, TakeOverRequest
from workflows.contracts.workloads import DeployRequest, GatherRequest, WaitReadyRequest
from workflows.errors import Denied
from workflows.model.plan import ComponentPlan
from workflows.model.target import Target

pytestmark = pytest.mark.cluster

VERBS = {"GET": "get", "LIST": "list", "WATCH": "watch", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
GROUPS = {
    found.plural: found.api_version.rpartition("/")[0] for found in vars(kinds).values() if isinstance(found, Kind)
}
WITHOUT_PREVIEW = ("none", "service", "replicas", "traefik", "nginx")
VERBS_OF_COPIES = ("get", "create", "patch")
MONITORS = [("servicemonitors", verb) for verb in VERBS_OF_COPIES]
IDLE = {
    "none": MONITORS,
    "service": MONITORS,
    "replicas": [(one.kind.plural, verb) for one in SELECTING for verb in ("list", *VERBS_OF_COPIES)],
}
"""What is asked for and not copied: monitors without a Service for the canary, anything where no label differs."""
OTHER_ROUTE = {"gatewayApi": "grpcroutes", "grpc": "httproutes"}
"""Routes of the same router that a document names in place of the one that is tried."""


@pytest.fixture
def server(routing_kubeconfig: Path) -> Server:
    crds.install(Api(routing_kubeconfig), ("keda", *CRDS))
    return Server(routing_kubeconfig)


@pytest.fixture
def denied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the API server refused, also where a provider takes it as a courtesy that failed."""
    refused: list[str] = []
    translated = kubernetes_api._error

    def noting(*arguments: Any) -> Exception:
        error = translated(*arguments)
        if isinstance(error, Denied):
            refused.append(str(error))
        return error

    monkeypatch.setattr(kubernetes_api, "_error", noting)
    return refused


@dataclass
class Shop:
    """A namespace with a Deployment, and a worker that may release in it with the chart's rights alone."""

    world: KubernetesWorld
    account: Account
    clusters: Clusters
    target: Target

    async def release(self, run_id: str = "run-1") -> None:
        """A release that goes through all that its router can do, and back."""
        world, run = self.world, self.world.run(run_id)
        claim = await world.capture(run, self.target, restart=True)
        async with noticing(world, self.target):
            await run.call(world.targets.take_over, TakeOverRequest(target=self.target, claim=claim))
        for is_edited in (False, True):  # What selects the pods is edited while its copy is there.
            for one in SELECTING:
                value = one.value if is_edited else one.spec.get(one.field)
                change = [put(("spec", one.field), value)] if value is not None else []
                await world.api.patch(one.kind, world.place, "trip", change)
            ready = await world.deploy(run, self.target, claim, slot="canary", template=a_template("v2"), replicas=2)
            assert ready.ready, ready.message
        if self.target.is_counted:
            await world.shift(run, self.target, claim, {"stable": 50, "canary": 50})
        if self.target.is_routed:
            preview = {"preview_to": "canary"} if self.target.traffic.get("preview") else {}
            await world.shift(run, self.target, claim, {"stable": 100}, **preview)
            await world.shift(run, self.target, claim, {"canary": 100}, **preview)
            if world.maintains:
                await world.shift(run, self.target, claim, {"maintenance": 100})
            claim = await world.capture_undo(run, self.target)
            for _ in range(2):  # The second time nothing leads to the canary any more.
                await world.shift(run, self.target, claim, {"stable": 100})
        await world.deploy(run, self.target, claim, slot="stable", template=a_template("v2"), replicas=2)
        await world.retire(run, self.target, claim)
        if self.target.is_routed:
            await world.shift(run, self.target, claim, {"stable": 100})
        await run.call(world.targets.settle, SettleRequest(target=self.target, claim=claim))

    def divide(self) -> None:
        """From now on by subsets of one Service."""
        divided = self.target.traffic | {"destinationRule": "shop"}
        self.target = self.target.model_copy(update={"traffic": divided})

    async def replace(self) -> None:
        """A version that does not come up, in place, and back."""
        world, run = self.world, self.world.run(f"run-{self.target.sort}", self.target.rollout_id)
        claim = await world.capture(run, self.target, "v2")
        pace: Any = {"slot": "stable", "replicas": 1, "max_surge": 0, "max_unavailable": 1}
        deploy = DeployRequest(target=self.target, claim=claim, template=a_template("v3-unready"), **pace)
        await run.call(world.workloads.deploy, deploy)
        wait = WaitReadyRequest(target=self.target, claim=claim, slot="stable", replicas=1, timeout_seconds=3)
        await run.call(world.workloads.wait_ready, wait)
        undone = await run.call(world.targets.acquire, AcquireRequest(target=self.target))
        assert undone.claim
        assert undone.mark
        old = undone.mark.baseline.slot("stable").template
        assert old
        ready = await world.deploy(run, self.target, undone.claim, template=old, **pace)
        assert ready.ready, ready.message
        await run.call(world.targets.settle, SettleRequest(target=self.target, claim=undone.claim))

    async def failure(self, tag: str) -> str:
        """A release of a version that does not come up; what was said about it."""
        world, run = self.world, self.world.run(f"run-{tag}")
        claim = await world.capture(run, self.target, tag)
        deploy = DeployRequest(
            target=self.target, claim=claim, slot="canary", template=a_template(f"v3-{tag}"), replicas=1
        )
        await run.call(world.workloads.deploy, deploy)
        wait = WaitReadyRequest(target=self.target, claim=claim, slot="canary", replicas=1, timeout_seconds=3)
        said = (await run.call(world.workloads.wait_ready, wait)).message
        gather = GatherRequest(target=self.target, release=a_release(tag), template=deploy.template)
        assert (await run.call(world.workloads.gather, gather)).command
        await world.retire(run, self.target, claim)
        await run.call(world.targets.settle, SettleRequest(target=self.target, claim=claim))
        return said

    async def check(self) -> ReferencesChecked:
        """What a release asks before it begins."""
        return await self.references.check(ReferencesRequest(components=(self.component,)))

    async def describe(self) -> None:
        """What `headgate init` asks."""
        target = self.target
        request = DescribeRequest(cluster=target.cluster, namespace=target.namespace, deployment="trip")
        await self.references.describe(request)

    @property
    def references(self) -> References:
        checks = reference_checks(self.clusters, RegistrySettings(check=False))
        return References(self.world.providers, self.world.routers, checks, self.world.targets.find_marks)

    @property
    def component(self) -> ComponentPlan:
        written = {"name": "trip", "workload": self.target.workload, "traffic": self.target.traffic}
        strategy = {"kind": "canary", "stages": [{"weight": 50}]}
        component = {**written, "strategy": strategy}
        return ComponentPlan(name="trip", target=self.target, template=a_template("v2"), component=component)

    async def asked(self) -> set[tuple[str, str, str]]:
        """Every right that the check asks for."""
        [api] = self.clusters
        router = self.world.routers.get(self.target.traffic["kind"])
        workload = self.world.providers.get("kubernetes")
        objects = (*workload.objects(self.target), *router.objects(self.target))
        found = await needed(Look(self.component, objects), api)
        return {(right.group, right.resource, right.verb) for right in found}

    def used(self) -> set[tuple[str, str, str]]:
        """Every right that was needed so far."""
        [api] = self.clusters
        calls = (call.split(" ") for call in api.calls if "selfsubject" not in call and "apigroups" not in call)
        rights = {(GROUPS[plural], plural, VERBS[verb]) for verb, plural in calls}
        # A pod is never read alone, its log is.
        return {("", "pods/log", "get") if right == ("", "pods", "get") else right for right in rights}


class Found(Namespace):
    """A namespace that is there already."""

    def __init__(self, kubeconfig: Path, name: str) -> None:
        self.kubeconfig, self.api, self.name = kubeconfig, Api(kubeconfig), name


@asynccontextmanager
async def opened(server: Server, helm: Helm, folder: Path, router: str, **own: Any) -> AsyncIterator[Shop]:
    world = KubernetesWorld(folder, server.kubeconfig, router)
    await (SETUPS | INGRESSES).get(router, KubernetesWorld.open)(world)
    namespace = Found(server.kubeconfig, world.place)
    volume(namespace)
    namespace.deployment(replicas=2)
    with_volume(namespace)
    select(namespace)
    autoscalers(namespace)
    routers = [] if router == "none" else [world.kinds[1]]
    account = server.join(helm, folder, namespaces=[world.place], routers=routers, addOns=ADD_ONS, **own)
    cluster = KubernetesCluster(kubeconfig=account.kubeconfig, namespaces=(world.place,), calls_per_second=1000)
    clusters = Clusters(KubernetesSettings(clusters={"test": cluster}))
    world.providers = workload_providers(world.process, clusters)
    world.routers = traffic_routers(None, clusters)
    world.workloads = Workloads(world.providers, Keeping(world.routers))
    world.traffic = Traffic(world.routers, world.providers)
    world.targets = Targets(world.providers, world.routers, world.runs)
    preview: Any = {} if router in WITHOUT_PREVIEW else {"preview": {"host": "preview.example.com"}}
    try:
        await until_rolled_out(world)
        yield Shop(world, account, clusters, world.target(traffic=world.kinds[1], **preview))
    finally:
        await clusters.close()
        await world.finish()


async def until_rolled_out(world: KubernetesWorld) -> None:
    """Nothing is left of the pods without the volume."""
    async with asyncio.timeout(60):
        while True:
            found = await world.api.get(kinds.DEPLOYMENT, world.place, "trip")
            status, size = found.get("status") or {}, found["spec"]["replicas"]
            counts = [status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")]
            if status.get("observedGeneration") == found["metadata"]["generation"] and counts == [size] * 3:
                return
            await asyncio.sleep(0.1)


def volume(namespace: Namespace) -> None:
    """A claim that is bound at once."""
    name = unique("menu")
    modes = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    spec = {**modes, "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/nowhere"}}
    namespace.api.apply_object(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
    )
    claim = {**modes, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}
    namespace.apply("v1", "PersistentVolumeClaim", "menu", spec=claim)


def autoscalers(namespace: Namespace) -> None:
    """One of each kind, with minimums below what runs."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "trip"}
    spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 4}
    namespace.apply("autoscaling/v2", "HorizontalPodAutoscaler", "trip", spec=spec)
    trigger = {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 6 * * *", "end": "0 8 * * *"}}
    spec = {"scaleTargetRef": {"name": "trip"}, "maxReplicaCount": 4, "triggers": [trigger]}
    namespace.apply("keda.sh/v1alpha1", "ScaledObject", "trip", spec=spec)


def with_volume(namespace: Namespace) -> None:
    volume = {"name": "menu", "persistentVolumeClaim": {"claimName": "menu", "readOnly": True}}
    sources = [{kind: {"name": "menu", "optional": True}} for kind in ("configMapRef", "secretRef")]
    pod = {"spec": {"volumes": [volume], "containers": [{"name": "trip", "envFrom": sources}]}}
    path = f"/apis/apps/v1/namespaces/{namespace.name}/deployments/trip"
    kind = "application/strategic-merge-patch+json"
    namespace.api.request("PATCH", path, {"spec": {"template": pod}}, kind=kind)


@pytest.fixture
async def shop(server: Server, helm: Helm, tmp_path: Path, router: str, denied: list[str]) -> AsyncIterator[Shop]:
    async with opened(server, helm, tmp_path, router) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("router", ["none", "service", "replicas", *SETUPS, *INGRESSES])
async def test_a_release_may_do_all_that_it_does_and_nothing_else(shop: Shop, router: str, denied: list[str]) -> None:
    refused = [problem.message for problem in (await shop.check()).problems if problem.is_certain]
    # Where the number of pods is the weight, an autoscaler is refused, and never for want of a right.
    assert [sentence for sentence in refused if "changes the number of pods" not in sentence] == []
    await shop.release()
    if router == "istio":
        shop.divide()
        await shop.release("run-2")
    assert "v3-crash" in await shop.failure("crash")
    assert "v3-unready" in await shop.failure("unready")
    assert await shop.world.providers.get("kubernetes").records()

    assert denied == []
    asked = await shop.asked()
    assert shop.used() <= asked
    assert asked - shop.used() == {right for right in asked if right[1:] in IDLE.get(router, ())}

    await shop.describe()
    given = {right for right in shop.account.rights(shop.world.place) if right[1:] not in IDLE.get(router, ())}
    # Other kinds of routes are looked for too, and whether that is allowed or not does not matter.
    other = OTHER_ROUTE.get(router)
    assert shop.used() & given == {right for right in given if right[1] != other or right[2] == "list"}


REFUSED = [
    # Within the namespace: pods and rights come from others.
    *[(verb, "", "pods", True) for verb in ("get", "create", "patch", "deletecollection")],
    *[("create", "", f"pods/{sub}", True) for sub in ("exec", "attach", "portforward", "eviction")],
    *[(verb, "", "secrets", True) for verb in ("update", "delete", "deletecollection")],
    *[(verb, "", "configmaps", True) for verb in ("list", "create", "patch")],
    *[(verb, "", "services", True) for verb in ("update", "deletecollection")],
    *[(verb, "apps", "deployments", True) for verb in ("list", "update", "deletecollection")],
    *[("patch", "apps", kind, True) for kind in ("deployments/status", "deployments/scale", "replicasets")],
    *[(verb, "apps", kind, True) for kind in ("statefulsets", "daemonsets") for verb in ("list", "create", "delete")],
    *[(verb, "autoscaling", "horizontalpodautoscalers", True) for verb in ("create", "update", "delete")],
    *[("create", "", kind, True) for kind in ("serviceaccounts", "serviceaccounts/token", "events")],
    *[
        (verb, "rbac.authorization.k8s.io", kind, True)
        for verb in ("get", "create", "patch", "bind", "escalate")
        for kind in ("roles", "rolebindings")
    ],
    *[(verb, "networking.k8s.io", "networkpolicies", True) for verb in ("update", "delete", "deletecollection")],
    *[(verb, "policy", "poddisruptionbudgets", True) for verb in ("update", "delete", "deletecollection")],
    *[(verb, "security.istio.io", "authorizationpolicies", True) for verb in ("update", "delete")],
    # Beyond it: nothing at all.
    *[(verb, "", "secrets", False) for verb in ("get", "list", "create", "patch")],
    *[(verb, "apps", "deployments", False) for verb in ("get", "watch", "create", "patch", "delete")],
    *[(verb, "", "services", False) for verb in ("get", "list", "create", "patch", "delete")],
    *[(verb, "", "pods", False) for verb in ("get", "list", "watch")],
    *[(verb, "", kind, False) for verb in ("get", "list", "patch") for kind in ("nodes", "namespaces")],
    *[("get", "", kind, False) for kind in ("nodes/proxy", "persistentvolumes")],
    *[
        (verb, "rbac.authorization.k8s.io", kind, False)
        for verb in ("get", "create", "bind")
        for kind in ("clusterroles", "clusterrolebindings")
    ],
    ("create", "admissionregistration.k8s.io", "validatingwebhookconfigurations", False),
    ("get", "apiextensions.k8s.io", "customresourcedefinitions", False),
    *[("impersonate", "", kind, False) for kind in ("users", "groups", "serviceaccounts")],
]


def test_everything_else_is_refused(server: Server, helm: Helm, tmp_path: Path) -> None:
    shop = server.namespace()
    account = server.join(helm, tmp_path, namespaces=[shop], **ALL)

    allowed = [
        (verb, group, resource, where)
        for verb, group, resource, is_ours in REFUSED
        for where in ([shop] if is_ours else ["", account.home, "kube-system"])
        if account.may(verb, resource, where, group=group)
    ]

    assert allowed == []


def test_a_namespace_that_is_not_listed_gives_no_rights_at_all(server: Server, helm: Helm, tmp_path: Path) -> None:
    account = server.join(helm, tmp_path, namespaces=[server.namespace()], **ALL)

    for other in (account.home, server.namespace(), "kube-system", "default"):
        assert account.rights(other) == set()


async def test_a_statefulset_and_a_daemonset_take_a_few_rights_more(
    server: Server, helm: Helm, tmp_path: Path, denied: list[str]
) -> None:
    async with opened(server, helm, tmp_path, "none", workloads=["statefulSet", "daemonSet"]) as shop:
        own: dict[str, Any] = {"replicas": 2, "serviceName": "trip"}
        for kind, field, spec in (("StatefulSet", "statefulSet", own), ("DaemonSet", "daemonSet", {})):
            Found(server.kubeconfig, shop.world.place).workload(kind, **spec)
            shop.target = shop.target.model_copy(update={"workload": {"kind": "kubernetes", field: "trip"}})
            await shop.replace()
        more = {
            *[("apps", kind, verb) for kind in ("statefulsets", "daemonsets") for verb in ("get", "watch", "patch")],
            ("apps", "controllerrevisions", "list"),
            ("", "pods", "delete"),
        }

        assert denied == []
        assert shop.used() >= more
        given = shop.account.rights(shop.world.place)
        assert shop.used() <= given
        # The Role of another installation in the same namespace takes its place.
        plain = server.join(helm, tmp_path, namespaces=[shop.world.place], addOns=ADD_ONS)
        assert given - plain.rights(shop.world.place) == more


def test_without_a_router_no_service_is_written(server: Server, helm: Helm, tmp_path: Path) -> None:
    shop = server.namespace()
    account = server.join(helm, tmp_path, namespaces=[shop])

    assert {verb for group, resource, verb in account.rights(shop) if resource == "services"} == {"list"}


def test_a_request_that_goes_too_far_is_answered_with_403(server: Server, helm: Helm, tmp_path: Path) -> None:
    shop = server.namespace()
    account = server.join(helm, tmp_path, namespaces=[shop], **ALL)
    other = f"/api/v1/namespaces/{account.home}"

    assert account.status("GET", f"/api/v1/namespaces/{shop}/secrets") == 200
    assert account.status("GET", f"{other}/secrets") == 403
    assert account.status("GET", "/api/v1/secrets") == 403
    assert account.status("GET", "/api/v1/nodes") == 403
    assert account.status("DELETE", f"/api/v1/namespaces/{shop}/secrets/any") == 403
    assert account.status("DELETE", f"/apis/apps/v1/namespaces/{account.home}/deployments/any") == 403
    assert account.status("POST", f"/api/v1/namespaces/{shop}/pods/any/exec?command=id") == 403
    role = {"metadata": {"name": "more"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    assert account.status("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{shop}/roles", role) == 403
