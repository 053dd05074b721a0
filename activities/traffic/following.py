"""What every router does alike: it takes only weights that add up, and asks until they are followed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from activities.traffic.protocol import Verified
from workflows.errors import Rejected
from workflows.model.target import Backend, Target


def refuse_unbalanced(target: Target, weights: Mapping[Backend, float], *, provider: str) -> None:
    """Errors: Rejected when the weights are no shares of a whole."""
    total = sum(weights.values())
    if abs(total - 100) > 0.001 or any(weight < 0 for weight in weights.values()):
        raise Rejected(f"the weights of {target.component} sum to {total:g}, not to 100", provider=provider)


async def until_followed(difference: Callable[[], Awaitable[str]], *, patience: float, pause: float) -> Verified:
    """Asks what still differs, at least once, until nothing does or `patience` seconds are over."""
    deadline = time.monotonic() + patience
    while message := await difference():
        if time.monotonic() >= deadline:
            return Verified("notYet", message)
        await asyncio.sleep(pause)
    return Verified("verified")


async def until_written(
    difference: Callable[[], Awaitable[str]], *, patience: float, pause: float, lead: float, unheard: str
) -> Verified:
    """As `until_followed`, where nothing tells what the data plane does: it gets `lead` seconds to follow."""
    found = await until_followed(difference, patience=patience, pause=pause)
    if found.verification != "verified":
        return found
    await asyncio.sleep(min(patience, lead))
    return Verified("unsupported", unheard)


def nonzero(weights: Mapping[Backend, float]) -> dict[Backend, float]:
    """Who gets users at all, in hundredths of a percent."""
    return {backend: round(weight, 2) for backend, weight in weights.items() if weight}


def words(weights: Mapping[Backend, float]) -> str:
    """Weights, for sentences."""
    return ", ".join(f"{backend} {weight:g}%" for backend, weight in sorted(weights.items())) or "nothing"
