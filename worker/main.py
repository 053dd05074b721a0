"""The worker as a program: settings in, exit status out.

Status: 0 after a clean drain, 1 when something failed or the namespace is not set up, 2 when the settings are wrong,
128 plus the signal's number after a second signal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from temporalio.envconfig import ClientConnectConfig

from worker import logs
from worker.connection import profile
from worker.service import NotSetUp, serve
from worker.settings import Settings, load
from workflows.errors import SpecError

logger = logging.getLogger(__name__)

ECHO = 0.5
"""Seconds in which a repeated signal is the same wish: `timeout`, shells and supervisors signal process and group."""


def run(file: Path | None = None) -> int:
    """Runs a worker in this process until SIGTERM or SIGINT and returns its exit status."""
    try:
        settings = load(file)
        logs.configure(settings.log)
        return asyncio.run(_serve(settings, profile()))
    except SpecError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)  # noqa: T201 - logging may not be configured yet.
        return 2
    except NotSetUp as error:
        logger.error("%s", error)  # noqa: TRY400 - the sentence says it all.
        return 1


def leave(status: int) -> NoReturn:
    """Ends the process with this status, whatever native code would do at the interpreter's exit."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


async def _serve(settings: Settings, config: ClientConnectConfig) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    received: list[float] = []

    def on_signal(number: int) -> None:
        received.append(loop.time())
        if received[-1] - received[0] > ECHO:
            leave(128 + number)
        if not stop.is_set():
            logger.info("%s received; a second one ends at once", signal.Signals(number).name)
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return await serve(settings, config, stop)
