"""The demo's users on a route, and what became of their requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cli.demo.load import users_command
from cli.demo.programs import Program
from cli.demo.traffic import Record
from tests.bench.ground import Ground

SETTLED = 1.0
"""Seconds after which the last answers have been written down."""


@asynccontextmanager
async def users(ground: Ground, route: str, rate: float) -> AsyncIterator[Record]:
    """Sends requests while the block runs, from a process of its own."""
    file = ground.directory / f"requests-{route}.txt"
    program = Program(f"users-{route}", users_command(ground.users_url(route), rate, file), directory=ground.directory)
    await ground.run(program, lambda: _exists(file))
    try:
        yield Record(file)
    finally:
        await program.stop()


async def _exists(file: Path) -> bool:
    return await asyncio.to_thread(file.exists)
