"""What a registry is asked and how its answers are understood, over real HTTP."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from yarl import URL

from activities.references.images import Credential, parsed
from activities.references.registries import Answer, Registries, _Question
from activities.references.settings import RegistrySettings
from tests.activities.metrics.pages import Page, served
from tests.activities.references.registry import LoopbackRegistry, a_registry

ANN = {"ann": "s3cret"}


async def ask(registry: LoopbackRegistry, *held: Credential, image: str = "trip:v1", **settings: Any) -> Answer:
    registries = Registries(RegistrySettings(**settings))
    return await registries.ask(parsed(f"{registry.address}/{image}"), held)


async def test_an_image_that_is_there_answers_its_digest() -> None:
    async with a_registry() as registry:
        digest = registry.push("trip:v1")
        assert await ask(registry) == Answer("there", digest)
        assert await ask(registry, image=f"trip@{digest}") == Answer("there", digest)
        assert registry.asked == ["HEAD /v2/trip/manifests/v1", f"HEAD /v2/trip/manifests/{digest}"]


async def test_an_image_that_is_not_there_is_missing() -> None:
    async with a_registry() as registry:
        registry.push("trip:v1")
        assert (await ask(registry, image="trip:v2")).state == "missing"
        assert (await ask(registry, image="tripp:v1")).state == "missing"


@pytest.mark.parametrize("sign_in", ["basic", "token"])
async def test_a_pull_secret_signs_in(sign_in: Any) -> None:
    async with a_registry(sign_in=sign_in, users=ANN) as registry:
        digest = registry.push("team/trip:v1")
        good = Credential(registry.address, "ann", "s3cret")
        assert await ask(registry, good, image="team/trip:v1") == Answer("there", digest)
        wrong = await ask(registry, Credential(registry.address, "ann", "old"), image="team/trip:v1")
        assert (wrong.state, wrong.message, wrong.is_signed_in) == ("denied", "answered 401", True)


async def test_credentials_are_tried_in_turn() -> None:
    async with a_registry(sign_in="token", users=ANN) as registry:
        registry.push("team/trip:v1")
        held = (Credential(f"{registry.address}/team", "bob", "pw"), Credential(registry.address, "ann", "s3cret"))
        assert (await ask(registry, *held, image="team/trip:v1")).state == "there"


async def test_a_refusal_without_a_pull_secret_says_so() -> None:
    async with a_registry(sign_in="token", users=ANN) as registry:
        registry.push("trip:v1")
        answer = await ask(registry, Credential("elsewhere.example", "ann", "s3cret"))
        assert (answer.state, answer.is_signed_in) == ("denied", False)


async def test_a_refresh_token_is_exchanged() -> None:
    async with a_registry(sign_in="token") as registry:
        registry.push("trip:v1")
        assert (await ask(registry, Credential(registry.address, identity="refresh-me"))).state == "there"
        assert registry.refreshed == ["refresh-me"]


async def test_a_registry_that_is_ill_or_away_is_silent() -> None:
    async with a_registry(broken=503) as registry:
        assert await ask(registry) == Answer("silent", message="answered 503")
    answer = await ask(registry)
    assert (answer.state, answer.message) == ("silent", "could not be asked: ClientConnectorError")


async def test_no_image_takes_longer_than_it_may() -> None:
    async with served(Page(hang=asyncio.Event())) as page:
        registry = LoopbackRegistry(address=page.address)
        answer = await asyncio.wait_for(ask(registry, timeout=timedelta(milliseconds=200)), 5)
        assert answer == Answer("silent", message="gave no answer in 0.2 s")


@pytest.mark.parametrize(
    ("registry", "scheme"),
    [
        ("registry.example", "https"),
        ("plain.example:5000", "http"),
        ("127.0.0.1:5000", "http"),
        ("localhost", "http"),
        ("[::1]:5000", "http"),
        ("10.0.0.1:5000", "https"),
    ],
)
def test_only_named_registries_and_this_machine_are_asked_without_tls(registry: str, scheme: str) -> None:
    assert Registries(RegistrySettings(plain_http=("plain.example:5000",)))._root(registry).scheme == scheme


async def test_a_password_never_goes_from_a_registry_with_tls_to_a_place_without() -> None:
    async with a_registry(sign_in="token", users=ANN) as registry, aiohttp.ClientSession() as session:
        ann, realm = Credential(registry.address, "ann", "s3cret"), URL(f"http://{registry.address}/token")
        for scheme, token in (("http", "ann"), ("https", "")):
            question = _Question(session, parsed("trip:v1"), ann, URL(f"{scheme}://{registry.address}"))
            assert await question._token(realm, {}) == token
