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
