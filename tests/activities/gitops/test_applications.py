"""What an Application says of a release's objects, decided from the Application alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from activities.gitops.applications import RESPECT, Moved, automated, is_syncing, manager, remedy, routed, uncovered
from activities.traffic.contour import CONTOUR
from activities.traffic.gateway_api import GATEWAY_API, GRPC
from activities.traffic.istio import ISTIO
from activities.traffic.traefik import TRAEFIK
from activities.traffic.weighted.shapes import Shape

IMAGE, REPLICAS = "/spec/template/spec/containers/0/image", "/spec/replicas"
TRIP = Moved("apps", "Deployment", "shop", "trip", (REPLICAS, IMAGE))


def an_application(name: str = "shop", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "argocd"}, "spec": spec}


def ignoring(*options: str, **rule: Any) -> dict[str, Any]:
    rule = {"group": "apps", "kind": "Deployment", **rule}
    return an_application(ignoreDifferences=[rule], syncPolicy={"automated": {}, "syncOptions": list(options)})


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ({"jsonPointers": [REPLICAS, IMAGE]}, ()),
        ({"jsonPointers": [REPLICAS, "/spec/template"]}, ()),
        ({"jsonPointers": ["/spec"]}, ()),
        ({"jqPathExpressions": [".spec.replicas", ".spec.template.spec.containers[].image"]}, ()),
        ({"jqPathExpressions": [".spec.replicas", '.spec["template"].spec.containers[0]?.image']}, ()),
        ({"jsonPointers": [REPLICAS]}, (IMAGE,)),
        ({"jsonPointers": [REPLICAS, "/spec/template/spec/containers/1/image"]}, (IMAGE,)),
        (
            {"jqPathExpressions": [".spec.replicas", '.spec.template.spec.containers[] | select(.name == "x")']},
            (IMAGE,),
        ),
        ({"name": "other", "jsonPointers": ["/spec"]}, (REPLICAS, IMAGE)),
        ({"namespace": "other", "jsonPointers": ["/spec"]}, (REPLICAS, IMAGE)),
        ({"kind": "StatefulSet", "jsonPointers": ["/spec"]}, (REPLICAS, IMAGE)),
        ({"kind": "*", "group": "*", "jsonPointers": ["/spec"]}, ()),
    ],
)
def test_only_what_is_surely_left_alone_counts(rule: dict[str, Any], left: tuple[str, ...]) -> None:
    found = uncovered(ignoring(RESPECT, **rule), [TRIP])

    assert found == ([TRIP._replace(fields=left)] if left else [])


def test_differences_that_are_ignored_and_not_respected_are_synced_all_the_same() -> None:
    assert uncovered(ignoring(jsonPointers=["/spec"]), [TRIP]) == [TRIP]


@pytest.mark.parametrize(
    ("kind", "spec", "fields"),
    [
        ("VirtualService", {"hosts": [], "http": []}, ("/spec/http",)),
        ("VirtualService", {"http": [], "tcp": [], "tls": []}, ("/spec/http", "/spec/tcp", "/spec/tls")),
        ("HTTPProxy", {"virtualhost": {}, "tcpproxy": {}}, ("/spec/tcpproxy",)),
        ("Ingress", {"rules": []}, ("/spec",)),
    ],
)
def test_what_a_router_moves_are_the_fields_that_the_object_has(
    kind: str, spec: dict[str, Any], fields: tuple[str, ...]
) -> None:
    assert routed(kind, spec) == fields


@pytest.mark.parametrize("shape", [CONTOUR, GATEWAY_API, GRPC, ISTIO, TRAEFIK], ids=lambda shape: shape.kind.name)
def test_everything_that_a_router_writes_counts_as_moved(shape: Shape) -> None:
    written = [str(name) for (_, name), _ in shape.lists]

    assert routed(shape.kind.name, dict.fromkeys(written)) == tuple(f"/spec/{name}" for name in written)


def test_the_remedy_is_what_makes_the_truce() -> None:
    spec = yaml.safe_load(remedy([TRIP]))["spec"]

    assert uncovered(an_application(**spec), [TRIP]) == []


def test_the_truce_of_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/gitops.md").read_text(encoding="utf-8")
    [spec] = [yaml.safe_load(block)["spec"] for block in re.findall(r"```yaml\n(spec:.*?)```", page, re.DOTALL)]
    trip = Moved("apps", "Deployment", "shop", "trip-service", TRIP.fields)
    route = Moved("gateway.networking.k8s.io", "HTTPRoute", "shop", "trip-service", ("/spec/rules",))

    assert uncovered(an_application(**spec), [trip, route]) == []


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [(None, None), ({}, {}), ({"enabled": False, "prune": True}, None), ({"selfHeal": True}, {"selfHeal": True})],
)
def test_automated_sync_is_on_unless_it_is_said_to_be_off(policy: Any, wanted: Any) -> None:
    assert automated(an_application(syncPolicy={"automated": policy})) == wanted


def test_who_writes_an_application_is_known_by_three_signs() -> None:
    child, tracked, alone = an_application("child"), an_application("tracked"), an_application("alone")
    child["metadata"]["ownerReferences"] = [{"kind": "ApplicationSet", "name": "all"}]
    tracked["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "root:argoproj.io/Application:argocd/tracked"
    }
    listed = {"group": "argoproj.io", "kind": "Application", "namespace": "argocd", "name": "alone"}
    root = an_application("root") | {"status": {"resources": [listed]}}

    assert manager(child, []) == "ApplicationSet all"
    assert manager(tracked, []) == "Application root"
    assert manager(alone, [root]) == "Application root"
    assert manager(alone, [child]) == ""


def test_a_sync_is_under_way_from_the_moment_it_is_asked_for() -> None:
    assert is_syncing(an_application() | {"operation": {"sync": {}}})
    assert is_syncing(an_application() | {"status": {"operationState": {"phase": "Running"}}})
    assert not is_syncing(an_application() | {"status": {"operationState": {"phase": "Succeeded"}}})
