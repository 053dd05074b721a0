"""What every command shares: its common options, how it prints, how it connects and how it fails.

Commands are registered by `command`, which adds the options to the function's signature, so that they work behind the
command as well as before it, as people write both.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from cli.connection import Connection
from cli.errors import CommandError
from workflows.errors import HeadgateError, PlanRefused, SpecError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from cli.client import Headgate

T = TypeVar("T")
_PANEL = "Connection (as for the temporal CLI)"


class Output(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True)
class Session:
    """One invocation: where Temporal is and how to print."""

    output: Output = Output.TEXT
    connection: Connection = field(default_factory=Connection)

    @property
    def is_json(self) -> bool:
        """Standard output carries exactly one JSON value."""
        return self.output is Output.JSON

    @property
    def console(self) -> Console:
        """Standard output for people."""
        from rich.console import Console

        # A pipe has no width; its reader prefers long lines to broken ones.
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
        return Console(highlight=False, width=width)

    def show(self, data: Any, *text: RenderableType) -> None:
        """Prints the result: `data` as JSON, or the text."""
        if self.is_json:
            print(json.dumps(data, indent=2, ensure_ascii=False))
            return
        console = self.console
        for part in text:
            print(part) if isinstance(part, str) else console.print(part)

    def note(self, sentence: str) -> None:
        """Says something beside the result, on standard error."""
        print(sentence, file=sys.stderr, flush=True)

    def run(self, work: Callable[[Headgate], Awaitable[T]]) -> T:
        """Connects, does the work and returns its answer. Errors: CommandError."""
        from cli.client import Headgate

        async def connected() -> T:
            client = await self.connection.open()
            return await work(Headgate(client, task_queue=self.connection.queue))

        return asyncio.run(connected())

    def fail(self, error: HeadgateError) -> int:
        """Says why the command ends and returns its exit code."""
        ours = _as_command_error(error)
        if self.is_json:
            print(json.dumps(ours.to_json(), indent=2, ensure_ascii=False))
        print(f"error: {ours}", file=sys.stderr)
        for problem in ours.problems:
            print(f"  {problem}", file=sys.stderr)
        return ours.exit_code


def _as_command_error(error: HeadgateError) -> CommandError:
    from cli.errors import BadInput

    if isinstance(error, CommandError):
        return error
    if isinstance(error, SpecError):
        return BadInput("the document is wrong", problems=error.problems)
    if isinstance(error, PlanRefused):
        return BadInput(str(error), reason=error.reason)
    return CommandError(str(error))


_COMMON: dict[str, Any] = {
    "output": Annotated[
        Output | None, typer.Option("--output", "-o", help="How to print the result.", show_default="text")
    ],
}
_CONNECTION: dict[str, Any] = {
    "address": Annotated[
        str | None,
        typer.Option(
            help="Temporal server, host:port. (TEMPORAL_ADDRESS)", metavar="HOST:PORT", rich_help_panel=_PANEL
        ),
    ],
    "namespace": Annotated[
        str | None, typer.Option(help="Temporal namespace. (TEMPORAL_NAMESPACE)", rich_help_panel=_PANEL)
    ],
    "profile": Annotated[
        str | None,
        typer.Option(help="Profile of Temporal's configuration file. (TEMPORAL_PROFILE)", rich_help_panel=_PANEL),
    ],
    "task_queue": Annotated[
        str | None,
        typer.Option(
            help="Task queue of the workers.",
            envvar="HEADGATE_TASK_QUEUE",
            show_default="headgate",
            rich_help_panel=_PANEL,
        ),
    ],
}


def common_options(ctx: typer.Context, **values: Any) -> None:
    """Runs before every command: keeps the options that were given before its name."""
    ctx.obj = _merged(Session(), values)


common_options.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in {**_COMMON, **_CONNECTION}.items()
        ),
    ]
)
common_options.__annotations__ = {"ctx": typer.Context, **_COMMON, **_CONNECTION}


def _merged(session: Session, values: dict[str, Any]) -> Session:
    given = {name: value for name, value in values.items() if value is not None}
    output = given.pop("output", session.output)
    return Session(output, replace(session.connection, **given))


def command(
    app: typer.Typer, name: str, *, example: str, connected: bool = True, panel: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function as a command; its first parameter gets the Session.

    HeadgateError ends the command with a sentence and the exit code of its kind.
    """
    extra = {**_COMMON, **(_CONNECTION if connected else {})}

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(function)
        hints = get_type_hints(function, include_extras=True)
        rest = list(own.parameters)[1:]

        def run(ctx: typer.Context, **values: Any) -> None:
            session = _merged(ctx.obj or Session(), {key: values.pop(key) for key in extra})
            try:
                function(session, **values)
            except HeadgateError as error:
                raise typer.Exit(session.fail(error)) from error

        parameters = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
        parameters += [
            own.parameters[key].replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[key]) for key in rest
        ]
        parameters += [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for key, kind in extra.items()
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        app.command(name, epilog=f"Example:  {example}", rich_help_panel=panel)(run)
        return function

    return register
