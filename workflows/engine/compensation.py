"""Run an undo to its end, whatever happens to the workflow around it.

A cancel raises `asyncio.CancelledError` at whatever the workflow awaits. `except Exception` misses it, and an awaited
undo would be cancelled with it; so the undo runs in a task of its own behind a shield, and only that task's own
cancellation (the worker evicts the workflow) ends the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def complete(undo: Coroutine[Any, Any, T]) -> T:
    """Awaits the coroutine to its end through any number of cancels and returns what it returns."""
    task = asyncio.create_task(undo)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
