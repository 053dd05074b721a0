"""Image references and pull secrets mean here what they mean to a node."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from activities.references.images import Credential, Image, credentials, matching, parsed, pinned
from tests.activities.references.registry import pull_secret

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("registry.example/trip:v1", ("registry.example", "trip", "v1", "")),
        ("registry.example:5000/team/trip", ("registry.example:5000", "team/trip", "latest", "")),
        ("localhost/trip:v1", ("localhost", "trip", "v1", "")),
        ("nginx", ("docker.io", "library/nginx", "latest", "")),
        ("team/trip:v1", ("docker.io", "team/trip", "v1", "")),
        ("index.docker.io/nginx:1", ("docker.io", "library/nginx", "1", "")),
        (f"ghcr.io/team/trip:v1@{DIGEST}", ("ghcr.io", "team/trip", "v1", DIGEST)),
        (f"ghcr.io/team/trip@{DIGEST}", ("ghcr.io", "team/trip", "", DIGEST)),
    ],
)
def test_a_reference_has_four_parts(image: str, parts: tuple[str, ...]) -> None:
    assert parsed(image) == Image(*parts)


def test_a_digest_is_asked_for_before_a_tag() -> None:
    assert parsed(f"a.example/trip:v1@{DIGEST}").reference == DIGEST
    assert parsed("a.example/trip:v1").reference == "v1"


def test_a_tag_stays_readable_beside_its_digest() -> None:
    assert pinned("a.example/trip:v1", DIGEST) == f"a.example/trip:v1@{DIGEST}"
    assert pinned(f"a.example/trip@{DIGEST}", "sha256:b") == f"a.example/trip@{DIGEST}"


@pytest.mark.parametrize(
    ("place", "image", "is_for_it"),
    [
        ("registry.example", "registry.example/trip", True),
        ("https://registry.example/v1/", "registry.example/trip", True),
        ("registry.example/team", "registry.example/team/trip", True),
        ("registry.example/team", "registry.example/teams/trip", False),
        ("*.example", "registry.example/trip", True),
        ("*.example", "a.registry.example/trip", False),
        ("registry.example", "registry.example:5000/trip", False),
        ("https://index.docker.io/v1/", "nginx", True),
        ("docker.io", "registry.example/trip", False),
    ],
)
def test_a_credential_is_for_its_registry_and_path(place: str, image: str, is_for_it: bool) -> None:
    assert bool(matching([Credential(place)], parsed(image))) is is_for_it


def test_the_most_exact_credential_comes_first() -> None:
    held = [Credential("a.example"), Credential("a.example/team/trip"), Credential("a.example/team")]
    found = matching(held, parsed("a.example/team/trip:v1"))
    assert [credential.place for credential in found] == ["a.example/team/trip", "a.example/team", "a.example"]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_pull_secrets_hold_users_tokens_and_nothing_where_they_are_damaged() -> None:
    auths: dict[str, Any] = {
        "a.example": {"auth": encoded("ann:s3:cret")},
        "b.example": {"username": "bob", "password": "pw"},
        "c.example": {"auth": encoded("00000000:"), "identitytoken": "token"},
    }
    old = {"data": {".dockercfg": encoded('{"d.example": {"username": "dan", "password": "pw"}}')}}
    damaged = {"data": {".dockerconfigjson": "no base64!"}}
    assert credentials([pull_secret(auths), old, damaged, {}, pull_secret({"e.example": None})]) == [
        Credential("a.example", "ann", "s3:cret"),
        Credential("b.example", "bob", "pw"),
        Credential("c.example", "00000000", "", "token"),
        Credential("d.example", "dan", "pw"),
    ]
