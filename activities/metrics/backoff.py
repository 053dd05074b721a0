"""Silence after a refusal: whoever is asked too often, or breaks under it, is asked less and less."""

from __future__ import annotations

from workflows.errors import RateLimited, TemporaryError, Unavailable

_FIRST, _MOST = 1.0, 60.0


class Backoff:
    """How long one other side is left alone."""

    def __init__(self) -> None:
        self._refused = 0
        self._until = float("-inf")
        self._error: TemporaryError | None = None

    def check(self, now: float) -> None:
        """Raises the last refusal again while it stands."""
        if self._error is not None and now < self._until:
            raise self._error

    def answered(self) -> None:
        """The other side is well."""
        self._refused = 0
        self._error = None

    def refused(self, error: TemporaryError, now: float) -> None:
        """Notes a refusal. Who does not answer at all is asked again at every tick."""
        self._error = error
        if error.retry_after is None:
            self._until = now
            return
        if now >= self._until:  # Questions that were under way together are refused once.
            self._refused += 1
        doubled = _FIRST * 2.0 ** min(self._refused - 1, 10)
        self._until = now + min(max(error.retry_after, doubled), _MOST)


def refusal(where: str, status: int, retry_after: str | None, *, provider: str = "") -> TemporaryError:
    """What a status means that is no answer; a `Retry-After` that is a date counts as none."""
    wait = float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
    if status == 429:
        return RateLimited(f"{where} asks for fewer questions (429)", provider=provider, retry_after=wait)
    again = wait if status >= 500 else None
    return Unavailable(f"{where} answers {status}", provider=provider, retry_after=again)
