"""One question for all who want its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def asked(question: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Asks; everybody who wanted the answer may leave, and its error is not reported as forgotten then."""
    task = asyncio.create_task(question)
    task.add_done_callback(_seen)
    return task


async def answer(task: asyncio.Task[T]) -> T:
    """Waits for the answer: whoever asked first may be cancelled, and the others still want it."""
    return await asyncio.shield(task)


def _seen(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
