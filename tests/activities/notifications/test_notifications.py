"""Every channel gets every message, one that fails stops no other, and no secret is ever told."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr, TypeAdapter, ValidationError
from temporalio.testing import ActivityEnvironment

from activities.boundary import implement
from activities.notifications.activities import Notifications
from activities.notifications.apprise import AppriseChannel, AppriseSettings
from activities.notifications.log import LogChannel, LogSettings
from activities.notifications.null import NullChannel, NullChannelSettings
from activities.notifications.protocol import Channel
from activities.notifications.registry import ChannelSettings, channels
from activities.notifications.webhook import IDEMPOTENCY, SIGNATURE, WebhookChannel, WebhookSettings
from activities.registry import Registry
from tests.activities.metrics.pages import Page, served
from workflows.contracts.notifications import Notification, NotificationActivities
from workflows.errors import Denied, ProviderError, RateLimited, Rejected, Unavailable
from workflows.model.target import ReleaseRef

TOKEN = "T0K3N"


def a_message(**fields: Any) -> Notification:
    release = ReleaseRef(
        workflow_id="release/production/trip", first_run_id="r", environment="production", name="trip", version="v2"
    )
    given = {"release": release, "event": "rolled_back", "title": "trip v2 was rolled back", "message": "errors: 6%"}
    return Notification.model_validate({**given, **fields})


class Hook(Page):
    """An endpoint that keeps what was posted."""

    def __init__(self) -> None:
        super().__init__(text="ok")
        self.posts: list[tuple[Mapping[str, str], bytes]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.posts.append((request.headers, await request.read()))
        return await super().answer(request)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with served(Hook()) as page:
        assert isinstance(page, Hook)
        yield page


def a_webhook(hook: Hook, **fields: Any) -> WebhookChannel:
    url = f"http://{hook.address}/{TOKEN}"
    return WebhookChannel(WebhookSettings.model_validate({"url": url, "timeout": 0.5, **fields}))


async def posted(hook: Hook, *messages: Notification, **fields: Any) -> None:
    """Sends through a webhook that is closed whatever happens."""
    channel = a_webhook(hook, **fields)
    try:
        for message in messages:
            await channel.send(message)
    finally:
        await channel.close()


def an_apprise(hook: Hook, **fields: Any) -> AppriseChannel:
    url = f"json://user:{TOKEN}@{hook.address}/{TOKEN}"
    return AppriseChannel(AppriseSettings.model_validate({"urls": [url], **fields}))


class TestEveryChannel:
    """The contract, on each member of the family."""

    @pytest.fixture(params=["log", "webhook", "apprise", "null"])
    async def channel(self, request: pytest.FixtureRequest, hook: Hook) -> AsyncIterator[Channel]:
        made: dict[str, Channel] = {
            "log": LogChannel(LogSettings()),
            "webhook": a_webhook(hook),
            "apprise": an_apprise(hook),
            "null": NullChannel(),
        }
        yield made[request.param]
        for one in made.values():
            await one.close()
            await one.close()

    async def test_message_is_sent(self, channel: Channel) -> None:
        await channel.send(a_message())

    async def test_message_without_a_body_is_sent(self, channel: Channel) -> None:
        await channel.send(a_message(message="", severity="critical"))

    async def test_large_and_odd_messages_are_sent(self, channel: Channel) -> None:
        await channel.send(a_message(title="é\n\x00 %s {}", message="x" * 100_000))


class TestLog:
    async def test_line_is_structured(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        await LogChannel(LogSettings()).send(a_message(severity="warning"))
        record = caplog.records[0]
        assert record.getMessage() == "production/trip v2: trip v2 was rolled back - errors: 6%"
        assert (record.levelname, record.__dict__["event"]) == ("WARNING", "rolled_back")

    async def test_less_severe_messages_are_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        await LogChannel(LogSettings(severity="critical")).send(a_message(severity="warning"))
        assert not caplog.records


class TestWebhook:
    async def test_body_is_the_message_as_json(self, hook: Hook) -> None:
        await posted(hook, a_message())
        headers, body = hook.posts[0]
        sent = json.loads(body)
        assert (sent["event"], sent["release"]["environment"]) == ("rolled_back", "production")
        assert headers["Content-Type"] == "application/json"
        assert SIGNATURE not in headers

    async def test_body_is_signed_with_the_shared_secret(self, hook: Hook) -> None:
        await posted(hook, a_message(), secret="shared")
        headers, body = hook.posts[0]
        assert headers[SIGNATURE] == "sha256=" + hmac.new(b"shared", body, hashlib.sha256).hexdigest()

    async def test_repetition_has_the_same_key(self, hook: Hook) -> None:
        await posted(hook, a_message(), a_message(), a_message(event="other"))
        keys = [headers[IDEMPOTENCY] for headers, _ in hook.posts]
        assert keys[0] == keys[1] != keys[2]

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            *[(status, Rejected) for status in (301, 400, 404)],
            *[(status, Denied) for status in (401, 403)],
            *[(status, Unavailable) for status in (408, 500, 503)],
            (429, RateLimited),
        ],
    )
    async def test_refusals_are_sorted_into_temporary_and_permanent(
        self, hook: Hook, status: int, error: type[ProviderError]
    ) -> None:
        hook.status = status
        with pytest.raises(error) as caught:
            await posted(hook, a_message())
        assert TOKEN not in str(caught.value)

    async def test_address_is_in_no_error(self) -> None:
        async with served(Hook()) as gone:
            assert isinstance(gone, Hook)
        with pytest.raises(Unavailable) as caught:
            await posted(gone, a_message())
        assert TOKEN not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_secrets_are_not_shown_with_the_settings(self) -> None:
        settings = WebhookSettings(url=SecretStr(f"https://x/{TOKEN}"), secret=SecretStr(TOKEN))
        assert TOKEN not in repr(settings) + settings.model_dump_json()

    def test_address_that_is_not_http_is_refused_without_showing_it(self) -> None:
        with pytest.raises(ValidationError) as caught:
            WebhookSettings(url=SecretStr(f"ftp://x/{TOKEN}"))
        assert TOKEN not in str(caught.value)


class TestApprise:
    async def test_message_reaches_the_service(self, hook: Hook) -> None:
        channel = an_apprise(hook)
        await channel.send(a_message(severity="critical"))
        await channel.close()
        sent = json.loads(hook.posts[0][1])
        assert (sent["title"], sent["message"], sent["type"]) == ("trip v2 was rolled back", "errors: 6%", "failure")

    async def test_failure_names_the_address_by_number_and_tells_nothing(
        self, hook: Hook, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        hook.status = 500
        channel = an_apprise(hook)
        with pytest.raises(Unavailable, match="address 1 of 1") as caught:
            await channel.send(a_message())
        await channel.close()
        assert TOKEN not in str(caught.value) + caplog.text

    def test_address_that_apprise_does_not_know_is_refused_without_showing_it(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        settings = AppriseSettings(urls=(SecretStr("json://ok"), SecretStr(f"nonsense://{TOKEN}")))
        with pytest.raises(Rejected, match="address 2") as caught:
            AppriseChannel(settings)
        assert TOKEN not in str(caught.value) + caplog.text + repr(settings)


class Fake:
    """A channel that does what a test wants."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent = 0

    async def send(self, notification: Notification) -> None:
        self.sent += 1
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        return None


async def send(beats: list[Any] | None = None, **members: Fake) -> list[Any]:
    """One attempt; answers what its heartbeat said."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, heartbeat_details=beats or [])
    said: list[Any] = []
    environment.on_heartbeat = lambda *details: said.extend(details)
    made: dict[str, Any] = {name: lambda one=one: one for name, one in members.items()}
    try:
        await environment.run(Notifications(Registry("notifications", made)).send, a_message())
    finally:
        if beats is not None:
            beats[:] = said
    return said


class TestFanOut:
    async def test_failing_channel_stops_no_other(self) -> None:
        good, bad, broken = Fake(), Fake(Unavailable("down")), Fake(KeyError(TOKEN))
        with pytest.raises(Unavailable, match="channel bad: down"):
            await send(bad=bad, broken=broken, good=good)
        assert good.sent == bad.sent == broken.sent == 1

    async def test_later_attempt_asks_only_those_that_may_still_succeed(self) -> None:
        good, bad, denied = Fake(), Fake(Unavailable("down")), Fake(Denied("no"))
        beats: list[Any] = []
        with pytest.raises(Unavailable):
            await send(beats, bad=bad, denied=denied, good=good)
        bad.error = None
        await send(beats, bad=bad, denied=denied, good=good)
        assert (good.sent, denied.sent, bad.sent) == (1, 1, 2)

    async def test_failure_for_good_is_said_once_and_not_tried_again(self) -> None:
        with pytest.raises(Rejected, match="channel denied: no"):
            await send(denied=Fake(Denied("no")), good=Fake())

    async def test_broken_channel_tells_its_kind_of_error_only(self, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(Rejected) as caught:
            await send(broken=Fake(KeyError(TOKEN)))
        assert "KeyError" in str(caught.value)
        assert TOKEN not in str(caught.value) + caplog.text

    async def test_longest_wish_to_wait_is_kept(self) -> None:
        with pytest.raises(Unavailable) as caught:
            await send(a=Fake(RateLimited("slow", retry_after=7)), b=Fake(RateLimited("slow", retry_after=30)))
        assert caught.value.retry_after == 30

    def test_send_is_the_whole_contract(self) -> None:
        assert len(implement(NotificationActivities, Notifications(channels({})))) == 1


class TestRegistry:
    def test_without_settings_there_is_the_log(self) -> None:
        assert isinstance(channels({}).get("log"), LogChannel)

    def test_settings_are_told_apart_by_kind(self) -> None:
        adapter: TypeAdapter[dict[str, ChannelSettings]] = TypeAdapter(dict[str, ChannelSettings])
        settings = adapter.validate_python({"ops": {"kind": "webhook", "url": "https://x"}, "off": {"kind": "null"}})
        assert channels(settings).kinds == ("off", "ops")
        assert isinstance(settings["off"], NullChannelSettings)

    def test_unknown_kind_is_refused_with_the_known_ones(self) -> None:
        adapter: TypeAdapter[ChannelSettings] = TypeAdapter(ChannelSettings)
        with pytest.raises(ValidationError, match="'log', 'webhook', 'apprise', 'null'"):
            adapter.validate_python({"kind": "pigeon"})
