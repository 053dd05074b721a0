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
from worker.service import serve
from worker.settings import Settings, load
from workflows.errors import HeadgateError, SpecError

logger = logging.getLogger(__name__)

ECHO = 0.5
"""Seconds in which a repeated signal is the same wish: `timeout`, shells and supervisors signal process and group."""


def run(file: Path | None = None) -> int:
    """Runs a worker until SIGTERM or SIGINT and ends the process; returns the status only of what could not start."""
    try:
        settings, config = load(file), profile()
    except SpecError as error:
        return _refuse(error)
    logs.configure(settings.log)
    try:
        status = asyncio.run(_serve(settings, config))
    except SpecError as error:
        status = _refuse(error)
    except HeadgateError as error:
        logger.error("%s", error)  # noqa: TRY400 - the sentence says it all.
        status = 1
    except Exception:
        logger.exception("the worker failed")
        status = 1
    return leave(status)


def _refuse(error: SpecError) -> int:
    for problem in error.problems:
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201 - logging may not be configured yet.
    return 2


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
