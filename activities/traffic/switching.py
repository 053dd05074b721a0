"""What routers share that send all users to one backend and can never divide them."""

from __future__ import annotations

from collections.abc import Mapping

from activities.traffic.following import nonzero, words
from workflows.errors import Unsupported
from workflows.model.target import Backend


def only(weights: Mapping[Backend, float], *, label: str, provider: str) -> Backend:
    """The backend that gets everything. Errors: Unsupported."""
    given = nonzero(weights)
    if len(given) != 1:
        raise Unsupported(
            f"{label} switches all users at once; it cannot give {words(given)}, so use stages of 100 only, or a "
            "router with weights",
            provider=provider,
        )
    return next(iter(given))


def leading(weights: Mapping[Backend, float]) -> Backend | None:
    """Where everybody goes, or None."""
    return next((backend for backend, weight in weights.items() if weight >= 100), None)
