"""A provider that is listened to, as far as what listens can feel it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self


class Listened:
    """Counts who listens; it says once when somebody begins, and then when the test says that something moved."""

    def __init__(self) -> None:
        self.listeners = 0
        self.moved = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """For as long as somebody listens."""
        self.listeners += 1
        self.moved.set()
        try:
            yield self
        finally:
            self.listeners -= 1
