"""Messages as JSON to an HTTP endpoint, signed when it shares a secret with us."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Literal

import aiohttp
from pydantic import Field, SecretStr, field_validator

from activities.notifications.protocol import Severity, is_wanted
from activities.settings import SettingsModel
from workflows.contracts.notifications import Notification
from workflows.errors import Denied, ProviderError, RateLimited, Rejected, Unavailable

SIGNATURE = "X-Headgate-Signature-256"
"""`sha256=` and the hexadecimal HMAC of the body."""

IDEMPOTENCY = "Idempotency-Key"
"""Equal for every delivery of one message: they come at least once."""


class WebhookSettings(SettingsModel):
    """Settings of a channel that posts JSON."""

    kind: Literal["webhook"] = "webhook"
    url: SecretStr
    """Where to post; kept secret, because such addresses often carry a token."""
    secret: SecretStr | None = None
    """Signs the body as HMAC-SHA256 in the header X-Headgate-Signature-256."""
    severity: Severity = "info"
    """The least severity that is sent."""
    timeout: Annotated[float, Field(gt=0, le=60)] = 10
    """Seconds that the endpoint may take."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("the address must start with https:// or http://")
        return url


class WebhookChannel:
    """Posts each message once per call."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def send(self, notification: Notification) -> None:
        if not is_wanted(notification, self._settings.severity):
            return
        body = notification.model_dump_json(by_alias=True, exclude={"delivered"}).encode()
        status, retry_after = await self._post(body)
        if problem := _problem(status, retry_after):
            raise problem

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, body: bytes) -> tuple[int, float | None]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._settings.timeout))
        url = self._settings.url.get_secret_value()
        try:
            async with self._session.post(url, data=body, headers=self._headers(body), allow_redirects=False) as answer:
                wait = answer.headers.get("Retry-After", "")
                return answer.status, float(wait) if wait.isdecimal() else None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The library's message holds the address; only its kind may be told.
            raise Unavailable(
                f"the webhook cannot be reached: {type(error).__name__}", provider="webhook", operation="send"
            ) from None

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", IDEMPOTENCY: hashlib.sha256(body).hexdigest()[:32]}
        if self._settings.secret is not None:
            key = self._settings.secret.get_secret_value().encode()
            headers[SIGNATURE] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
        return headers


def _problem(status: int, retry_after: float | None) -> ProviderError | None:
    if status < 300:
        return None
    where = {"provider": "webhook", "operation": "send"}
    if status == 429:
        return RateLimited("the webhook asks for fewer messages (429)", retry_after=retry_after, **where)
    if status in {401, 403}:
        return Denied(f"the webhook refuses us ({status}); check its address and secret", **where)
    if status < 500 and status not in {408, 425}:
        return Rejected(f"the webhook answers {status}; check its address", **where)
    return Unavailable(f"the webhook answers {status}", retry_after=retry_after, **where)
