"""The `headgate` command: puts the commands together and leaves with the right status.

Command modules import their weight inside their functions, so that `headgate --help` stays under half a second.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import typer

from cli.commands import analyze, answer, demo, documents, imports, look, plan, platform, start, steer, worker
from cli.session import common_options

app = typer.Typer(
    name="headgate",
    help="Release software progressively and durably: staged traffic, observation, approvals, and an undo for every "
    "change.",
    epilog="Exit codes: 0 succeeded, 1 failed, 2 bad input, 3 rolled back, 4 aborted or rejected, 5 unreachable or "
    "timed out, 6 another release is running, 7 undo incomplete.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.callback()(common_options)
for module in (documents, imports, plan, analyze, start, look, answer, steer, platform, worker, demo):
    module.register(app)


def main() -> None:
    """Runs the command line and exits with its code, even where native code crashes afterwards."""
    _leave(_status())


def _status() -> int:
    try:
        app(prog_name="headgate")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except KeyboardInterrupt:
        return 130
    return 0


def _leave(status: int) -> None:
    """Skips the interpreter's exit where Temporal's native runtime is loaded: it can crash there after all is done."""
    if "temporalio.bridge.temporal_sdk_bridge" not in sys.modules:
        sys.exit(status)
    with suppress(BrokenPipeError):  # `headgate list | head`
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
