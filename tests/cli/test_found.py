"""What `init deployment/NAME` writes is right as it stands, whatever is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from cli.found import Place, notes, release
from workflows.contracts.references import ContainerSeen, Described
from workflows.model.documents import parse_release
from workflows.model.release import Component, Release

TRIP = ContainerSeen(name="trip", image="registry.example:5000/shop/trip:v1.2", ports=(8080,))
PROXY = ContainerSeen(name="proxy", image="proxy@sha256:0", ports=(15000,))
ROUTE = {"kind": "gatewayApi", "httpRoute": "trips", "service": "trip"}
PLACE = Place("prod", "shop", "trip", "trip", "production")
INGRESS = {"kind": "ingress", "ingress": "shop", "service": "trip"}


def found(**fields: Any) -> Described:
    given: dict[str, Any] = {
        "containers": (TRIP,),
        "replicas": 3,
        "services": ("trip",),
        "routes": (ROUTE,),
        "check_path": "/ready",
    }
    return Described(**(given | fields))


def written(described: Described, environment: str = "production") -> tuple[str, Release]:
    text = release(replace(PLACE, environment=environment), described)
    return text, parse_release(yaml.safe_load(text))


def component(described: Described, environment: str = "production") -> Component:
    return written(described, environment)[1].spec.components[0]


def test_a_deployment_behind_a_route_gets_a_canary() -> None:
    text, document = written(found())
    (one,) = document.spec.components
    assert (document.metadata.name, document.spec.version) == ("trip", "v1.2")
    assert one.artifact.image == "registry.example:5000/shop/trip"
    assert (one.workload.name, one.workload.cluster, one.workload.namespace) == ("trip", "prod", "shop")
    assert one.traffic.model_dump(by_alias=True, exclude_defaults=True) == ROUTE
    assert one.strategy.kind == "canary"
    assert one.checks[0].path == "/ready"
    assert "# gatewayApi can give the new version a part of the users" in text
    assert list(notes(PLACE, found())) == []


@pytest.mark.parametrize("sort", ["statefulSet", "daemonSet"])
def test_what_has_pods_of_its_own_names_is_replaced_in_place(sort: str) -> None:
    place = replace(PLACE, sort=sort)
    text = release(place, found(services=(), autoscalers=("trip",)))
    (one,) = parse_release(yaml.safe_load(text)).spec.components
    assert (getattr(one.workload, "sort", sort), one.workload.name, one.strategy.kind) == (sort, "trip", "rolling")
    assert one.traffic.kind == "none"
    assert text.startswith(f"# Written by headgate init from {sort[0].upper()}{sort[1:]} shop/trip in prod, 3 pods")
    assert list(notes(place, found(services=(), routes=(ROUTE, INGRESS)))) == []


@pytest.mark.parametrize(
    ("environment", "fields", "strategy"),
    [
        ("production", {"routes": (INGRESS,)}, "blueGreen"),
        ("production", {"routes": ()}, "blueGreen"),
        ("production", {"routes": (), "services": ()}, "rolling"),
        ("production", {"alone": "Deployment trip cannot run two versions: its volume x; use recreate"}, "recreate"),
        ("staging", {}, "rolling"),
        ("development", {}, "recreate"),
    ],
)
def test_the_strategy_suits_what_is_there_and_where(environment: str, fields: dict[str, Any], strategy: str) -> None:
    assert component(found(**fields), environment).strategy.kind == strategy


def test_several_containers_are_named_and_only_the_first_is_released() -> None:
    text, document = written(found(containers=(PROXY, TRIP)))
    (one,) = document.spec.components
    assert one.artifact.images == {"trip": "registry.example:5000/shop/trip"}
    assert "          # proxy: proxy  # proxy@sha256:0 runs now\n" in text
    assert getattr(one.workload, "port", None) == 8080


def test_what_is_missing_is_written_as_a_comment_or_a_guess() -> None:
    bare = ContainerSeen(name="x", image="trip:1.10")
    text, document = written(found(containers=(bare,), check_path=""))
    (one,) = document.spec.components
    assert (document.spec.version, one.checks) == ("1.10", ())
    assert getattr(one.workload, "port", None) == 8080
    assert "its containers declare none" in text
    assert "      # checks: " in text


def test_what_a_person_must_know_is_said() -> None:
    other = {"kind": "contour", "httpProxy": "old", "service": "trip"}
    seen = found(routes=(ROUTE, other), services=("trip", "trip2"), autoscalers=("trip",), unseen=("objects of istio",))
    text, _ = written(seen)
    assert "# {kind: contour, httpProxy: old, service: trip} leads to it too:" in text
    assert "3 pods, scaled by trip." in text
    assert list(notes(PLACE, seen)) == [
        "httpProxy old leads to it too: users who come that way stay on the old version until promotion",
        "several Services select its pods: trip, trip2",
        "HorizontalPodAutoscaler trip scales it",
        "the worker may not look at objects of istio, so whatever there is of them is missing here",
    ]
