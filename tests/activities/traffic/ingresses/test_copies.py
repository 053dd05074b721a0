"""Ingresses beside the user's: what is copied of it, and what must never be."""

from __future__ import annotations

from typing import Any

import pytest

from activities.traffic.ingresses import copies
from activities.traffic.ingresses.places import choice
from tests.activities.traffic.ingresses.objects import SERVICES, SHOP, backend, ingress, path, rule, target

OWNERS = {"ownerReferences": [{"name": "trip-canary"}]}


def preview(there: Any, host: str = "next.example.com", **traffic: Any) -> Any:
    mine = choice(target(**traffic), ["trip"]).of(there)
    return copies.preview(there, mine, host=host, services=SERVICES)


def asked(made: Any) -> Any:
    """The paths of a preview that somebody asks for."""
    asked, known = made["spec"]["rules"]
    assert asked["host"] == known["host"] == "next.example.com"
    (path,) = known["http"]["paths"]
    assert (path["path"], path["backend"]["service"]["name"]) == (copies.KNOWN, "trip")
    return asked["http"]["paths"]


def test_a_preview_leads_its_host_to_the_new_version_by_the_components_paths() -> None:
    made = preview(ingress(*SHOP["spec"]["rules"]))
    assert asked(made) == [path("/api/trips", "trip-canary"), path("/trips", "trip-canary", "Exact")]
    assert made["spec"]["ingressClassName"] == "azure"
    assert made["metadata"] == {"annotations": {}}


def test_a_default_backend_is_every_path_of_the_preview() -> None:
    made = preview(ingress(defaultBackend=backend("trip", "http")))
    every = {"path": "/", "pathType": "Prefix", "backend": backend("trip-canary", "http")}
    assert asked(made) == [every]


def test_one_path_is_all_that_a_preview_of_it_has() -> None:
    made = preview(SHOP, path="/api/trips")
    assert asked(made) == [path("/api/trips", "trip-canary")]


def test_what_a_controller_must_know_is_copied_and_nothing_else() -> None:
    kept = {
        "kubernetes.io/ingress.class": "azure/application-gateway",
        "appgw.ingress.kubernetes.io/backend-path-prefix": "/",
        "appgw.ingress.kubernetes.io/appgw-ssl-certificate": "shop",
        "nginx.ingress.kubernetes.io/rewrite-target": "/$1",
    }
    left = {
        "nginx.ingress.kubernetes.io/canary": "true",
        "nginx.ingress.kubernetes.io/canary-weight": "10",
        "nginx.ingress.kubernetes.io/server-alias": "www.example.com",
        "cert-manager.io/cluster-issuer": "letsencrypt",
        "external-dns.alpha.kubernetes.io/hostname": "shop.example.com",
        "argocd.argoproj.io/tracking-id": "shop",
        "meta.helm.sh/release-name": "shop",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "traffic.headgate.dev/0123456789abcdef": "{}",
    }
    made = preview(ingress(rule(path("/", "trip")), annotations=kept | left))
    assert made["metadata"]["annotations"] == kept


THEIRS = {"hosts": ["users.example.com"], "secretName": "users-tls"}
OURS = {"hosts": ["shop.example.com"], "secretName": "shop-tls"}
WILD = {"hosts": ["*.example.com"], "secretName": "wild-tls"}
EXACT = {"hosts": ["next.example.com"], "secretName": "next-tls"}


@pytest.mark.parametrize(
    ("entries", "secret"),
    [
        ([THEIRS, OURS], "shop-tls"),
        ([OURS, WILD], "wild-tls"),
        ([OURS, EXACT], "next-tls"),
        ([THEIRS], None),
        ([{"secretName": "any-tls"}], "any-tls"),
        ([{"hosts": ["*.more.example.com"], "secretName": "more-tls"}], None),
    ],
    ids=["that of our host", "a wildcard", "its own", "somebody else's", "one for every host", "another domain's"],
)
def test_a_preview_has_the_certificate_that_is_nearest(entries: list[Any], secret: str | None) -> None:
    made = preview(ingress(rule(path("/", "trip")), tls=entries))
    wanted = [{"hosts": ["next.example.com"], "secretName": secret}] if secret else None
    assert made["spec"].get("tls") == wanted


def test_an_ingress_beside_has_the_same_hosts_and_paths_of_the_component_alone() -> None:
    mine = choice(target(), ["trip"]).of(SHOP)
    made = copies.beside(SHOP, mine, service="trip-canary", metadata=OWNERS)
    assert made["spec"] == {
        "ingressClassName": "azure",
        "defaultBackend": backend("trip-canary", "http"),
        "rules": [
            rule(path("/api/trips", "trip-canary"), path("/trips", "trip-canary", "Exact")),
            rule(path("/api/trips", "trip-canary"), host="*.example.org"),
        ],
    }
