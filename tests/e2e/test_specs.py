"""Every example for Kubernetes is released on a real API server: taken back on its way first, then to its end.

No data plane is there and nothing serves in the pods. So checks and analysis are left out, and somebody stands in for
the controllers that say of a route whether it is in use.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any, NamedTuple

import pytest
import yaml

from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import (
    DAEMON_SET,
    DEPLOYMENT,
    DESTINATION_RULE,
    GRPC_ROUTE,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_PROXY,
    HTTP_ROUTE,
    INGRESS,
    SERVICE,
    STATEFUL_SET,
    TRAEFIK_SERVICE,
    VIRTUAL_SERVICE,
    Kind,
)
from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from tests.activities.traffic.kubernetes import accepted, answering, valid
from tests.cluster import Namespace
from tests.e2e.land import Land, until
from tests.e2e.test_examples import EXAMPLES, RELEASES
from tests.temporal import end_of

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(300)]

Fields = dict[str, Any]
SCALED = "r2.5/release.yaml"
"""What an autoscaler scales, which no document names."""
ANSWERS = {HTTP_ROUTE: accepted, GRPC_ROUTE: accepted, HTTP_PROXY: valid}
"""Routes whose controller says that it follows."""


class Workload(NamedTuple):
    """What a field of `workload` names, and how many of its pods the API server must call available."""

    kind: Kind
    spec: Fields
    available: str
    pods: int


WORKLOADS = {
    "deployment": Workload(DEPLOYMENT, {"replicas": 5}, "availableReplicas", 5),
    "statefulSet": Workload(STATEFUL_SET, {"replicas": 5}, "availableReplicas", 5),
    "daemonSet": Workload(DAEMON_SET, {}, "numberAvailable", 2),
}


def routes(traffic: Fields) -> dict[str, tuple[Kind, Fields]]:
    """What each field of `traffic` names: an object that leads users to the Service."""
    name, subsets = traffic.get("service", ""), traffic.get("subsets", {})
    backend, host = {"name": name, "port": 80}, f"{name}.example.com"
    route = {"parentRefs": [{"name": "web"}], "hostnames": [host], "rules": [{"backendRefs": [backend]}]}
    path = {"path": traffic.get("path", "/"), "pathType": "Prefix"}
    path["backend"] = {"service": {"name": name, "port": {"number": 80}}}
    destination = {"host": name} | ({"subset": subsets["stable"]} if subsets else {})
    own = {"subsets": [{"name": subset, "labels": {"version": subset}} for subset in subsets.values()]}
    return {
        "service": (SERVICE, {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}),
        "httpRoute": (HTTP_ROUTE, route),
        "grpcRoute": (GRPC_ROUTE, route),
        "httpProxy": (HTTP_PROXY, {"virtualhost": {"fqdn": host}, "routes": [{"services": [backend]}]}),
        "virtualService": (VIRTUAL_SERVICE, {"hosts": [name], "http": [{"route": [{"destination": destination}]}]}),
        "destinationRule": (DESTINATION_RULE, {"host": name} | (own if subsets else {})),
        "traefikService": (TRAEFIK_SERVICE, {"weighted": {"services": [backend]}}),
        "ingress": (INGRESS, {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": [path]}}]}),
    }


KINDS = (
    *(workload.kind for workload in WORKLOADS.values()),
    *(kind for kind, _ in routes({}).values()),
    HORIZONTAL_POD_AUTOSCALER,
)
"""Everything that a release may change or make."""


def component_of(document: Fields) -> Fields:
    (component,) = document["spec"]["components"]
    return dict(component)


def written(name: str) -> Fields:
    """An example without what pods would have to answer."""
    document: Fields = yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))
    component = {key: value for key, value in component_of(document).items() if key not in ("checks", "analysis")}
    if component.get("traffic", {}).get("kind") != "replicas":
        component["drain"] = "1s"
    return document | {"spec": document["spec"] | {"environment": "test", "components": [component]}}


def hurried(document: Fields) -> Fields:
    """The same with windows of a second."""
    quick = deepcopy(document)
    strategy = quick["spec"]["components"][0]["strategy"]
    strategy["watch"] = "1s"
    for stage in strategy.get("stages", ()):
        stage["observe"] = "1s"
    return quick


NAMES = [name for name in RELEASES if component_of(written(name))["workload"]["kind"] == "kubernetes"]


def objects(name: str, component: Fields) -> Iterator[tuple[Kind, str, Fields]]:
    """What an example needs beside its workload: kind, name and spec."""
    traffic, workload = component.get("traffic", {}), component["workload"]
    yield from ((kind, traffic[field], spec) for field, (kind, spec) in routes(traffic).items() if field in traffic)
    if name == SCALED:
        target = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.name, "name": workload["deployment"]}
        cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
        bounds = {"minReplicas": 2, "maxReplicas": 8, "metrics": [{"type": "Resource", "resource": cpu}]}
        yield HORIZONTAL_POD_AUTOSCALER, target["name"], {"scaleTargetRef": target, **bounds}


@asynccontextmanager
async def opened(namespace: Namespace, name: str, component: Fields) -> AsyncIterator[None]:
    """An example's objects, and whoever answers for its routes."""
    made = list(objects(name, component))
    for kind, called, spec in made:
        namespace.apply(kind.api_version, kind.name, called, spec=spec)
    settings = KubernetesCluster(kubeconfig=namespace.kubeconfig, calls_per_second=500)
    clusters = Clusters(KubernetesSettings(clusters={"bed": settings}))
    answered = [(kind, ANSWERS[kind]) for kind, *_ in made if kind in ANSWERS]
    tasks = [asyncio.create_task(answering(clusters.get("bed"), namespace.name, *each)) for each in answered]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await clusters.close()


def specs(namespace: Namespace) -> dict[tuple[Kind, str], Any]:
    """Of everything that a release may change or make."""
    return {
        (kind, found["metadata"]["name"]): found["spec"]
        for kind in KINDS
        for found in namespace.api.get(kind.path(namespace.name))["items"]
    }


@pytest.mark.parametrize("name", NAMES)
async def test_an_aborted_example_leaves_nothing_and_a_finished_one_nothing_but_its_version(
    land: Land, name: str
) -> None:
    document = written(name) | {"metadata": {"name": land.queue}}
    component, version = component_of(document), document["spec"]["version"]
    field, called = next(item for item in component["workload"].items() if item[0] in WORKLOADS)
    kind, spec, available, pods = WORKLOADS[field]
    land.namespace.workload(kind.name, called, **spec)
    await land.until_available(f"{kind.api_version}/{kind.plural}/{called}", pods, field=available)
    async with opened(land.namespace, name, component), land.worker():
        before = specs(land.namespace)
        aborted = await land.start(document)
        await until(aborted, lambda status: status["phase"] in ("Observing", "Watching"))
        assert specs(land.namespace) != before
        await land.abort(aborted)
        outcome, message = await end_of(aborted)
        assert outcome == "Aborted", message
        assert specs(land.namespace) == before
        finished = await land.start(hurried(document))
        assert await end_of(finished) == ("Succeeded", f"{version} takes all traffic")
    (container,) = before[kind, called]["template"]["spec"]["containers"]
    container["image"] = f"{component['artifact']['image']}:{version}"
    assert specs(land.namespace) == before
