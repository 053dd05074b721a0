"""`demo`: real releases on this machine. The demo itself lives in `cli.demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.session import Session, command


def register(app: typer.Typer) -> None:
    """Adds the command."""
    command(app, "demo", example="headgate demo canary-bad --kill-workers", connected=False, panel="Start here")(demo)


def demo(  # noqa: PLR0913, PLR0917 (an option is a parameter)
    session: Session,
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SCENARIO]...", help="What to play; --list names them.", show_default="canary-good canary-bad"
        ),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Name the scenarios and end.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running until Ctrl-C, to try things out.")
    ] = False,
    kill_workers: Annotated[
        bool, typer.Option("--kill-workers", help="Kill a worker with SIGKILL every few seconds meanwhile.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Kill the same workers after the same pauses.", show_default="random")
    ] = None,
    requests_per_second: Annotated[float, typer.Option("--requests-per-second", min=1, max=2000, help="Users.")] = 200,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=1024, max=64535, help="Temporal's; its UI gets 1000 more.", show_default="free ones"
        ),
    ] = None,
    users_port: Annotated[
        int | None,
        typer.Option("--users-port", min=1024, max=65535, help="Where users come in.", show_default="a free one"),
    ] = None,
) -> None:
    """Start Temporal, Envoy, two workers and users, and release a good and a bad version.

    Ends with 0 if each release ended as expected and no good one lost a request. Leaves nothing behind.
    """
    from cli.demo.main import Options, run

    if listing:
        _list(session)
        return
    options = Options(
        tuple(scenarios or ()),
        keep=keep,
        kill_workers=kill_workers,
        seed=seed,
        rate=requests_per_second,
        port=port,
        users_port=users_port,
        as_json=session.is_json,
    )
    raise typer.Exit(run(options))


def _list(session: Session) -> None:
    from cli.demo.scenarios import SCENARIOS

    data = [{"name": item.name, "shows": item.shows, "file": str(item.file)} for item in SCENARIOS.values()]
    session.show(data, *(f"{item.name:<16}{item.shows}" for item in SCENARIOS.values()))
