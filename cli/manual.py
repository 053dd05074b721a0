"""The reference pages of the command line: `python -m cli.manual` writes them, a test finds stale ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from cli.app import app
from workflows.model.status import EXIT_CODES

DIRECTORY = Path("docs/reference")

_MADE = "<!-- Made by `python -m cli.manual`; edit the code instead. -->"
_SHARED = ("output", "address", "namespace", "profile", "task_queue")

_INTRODUCTION = """\
Releases are addressed as `ENV/NAME`; the workflow id that the Temporal UI shows works as well. `headgate COMMAND
--help` says the same as this page.

Standard output carries the result, standard error everything else. With `-o json` standard output is exactly one
JSON value: the result, or `{"error": {"reason", "message", "problems"}}`. Fields of these shapes get added and
never removed or renamed. [Exit codes](exit-codes.md) are the same for every command. Completion: `headgate
--install-completion`.

Whoever runs a command is named by `--by`, which nobody verifies; `status` and audit say so.
"""
_CONNECTION = """\
Temporal is found as the `temporal` command finds it: options, then `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`,
`TEMPORAL_PROFILE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*` and `TEMPORAL_CONFIG_FILE`, then the profile file. A server
that does not answer is given up on after four seconds. These options work before and behind the command's name:
"""
_COSTS = """\
## What looking costs

![A release in observation](../images/watch.png)

`status` and each redraw of `watch` (one a second) ask the server to describe the release and each rollout under way,
which needs no worker, and send each of them one query. Queries add nothing to a history, but each wakes a worker for a
moment, and Temporal Cloud counts them as actions: a watch on a release of three components is four queries a second.
One `status` of one component took 16 ms beside a demo on two busy cores. `list` and `history` ask the server alone,
once more for each failed run. While an observation runs, its observed time and metrics come from the observer's last
heartbeat, a few seconds old.
"""

_AFTERWORD = """\
`start --wait`, `wait`, `watch` and `rollback --wait` exit by how the release ended; every other command by whether it
did its own work. `-o json` prints `outcome` and `exitCode` too. Unknown options and commands exit with 2. An interrupt
(Ctrl-C) while waiting exits with 130 and leaves the release running.

Once the result is printed and flushed, the process leaves without the interpreter's own clean-up where Temporal's
native library is loaded, because that can crash after all work is done and would change the code.
"""
_MEANINGS = {
    "Succeeded": ("0", "The command did what was asked; a release that was waited for succeeded."),
    "Failed": (
        "1",
        "The release refused a message or failed, `doctor` found something missing, or something unforeseen.",
    ),
    "BadSpec": ("2", "A document, an option or a name is wrong, policy does not allow it, or no such release exists."),
    "RolledBack": (
        "3",
        "The release was undone: a rule failed, or a gate was rejected or ran out after traffic had moved.",
    ),
    "Aborted": ("4", "Somebody aborted or cancelled the release; what it had changed was undone."),
    "Rejected": ("4", "Somebody rejected the release before it had changed anything, or nobody answered in time."),
    "Unreachable": ("5", "Temporal or a worker did not answer, or `--timeout` was over; the release goes on."),
    "AnotherRelease": ("6", "A different document is being released under this name; nothing was started."),
    "UndoIncomplete": (
        "7",
        "Something may be left changed: an undo was abandoned, or the workflow was terminated or timed out.",
    ),
}


def pages() -> dict[str, str]:
    """Every page by file name."""
    return {"cli.md": "\n".join(_commands()), "exit-codes.md": "\n".join(_exit_codes())}


def _exit_codes() -> Iterator[str]:
    yield from ("# Exit codes", "", _MADE, "")
    yield from ("| code | word | meaning |", "|---|---|---|")
    for word, (code, meaning) in _MEANINGS.items():
        if str(EXIT_CODES[word]) != code:
            raise ValueError(f"{word} exits with {EXIT_CODES[word]}, the page says {code}")
        yield f"| {code} | {word} | {meaning} |"
    yield from ("", _AFTERWORD)


def _commands() -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    yield from ("# Commands", "", _MADE, "", _INTRODUCTION, _CONNECTION)
    shared = {parameter.name: parameter for parameter in group.params}
    yield from _table(shared[name] for name in _SHARED)
    yield ""
    panels: dict[str, list[Any]] = {}
    for command in group.commands.values():
        panels.setdefault(command.rich_help_panel or "", []).append(command)
    for panel, commands in panels.items():
        yield from (f"## {panel}", "")
        for command in commands:
            yield from _command(command)
    yield _COSTS


def _command(command: Any) -> Iterator[str]:
    own = [parameter for parameter in command.params if parameter.name not in _SHARED]
    arguments = [each.metavar for each in own if each.param_type_name == "argument"]
    yield from (f"### {command.name}", "", *_folded(command.help), "")
    yield from ("```", " ".join(["headgate", command.name, *arguments, "[OPTIONS]"]), "```", "")
    yield from ("Example:", "", "```bash", *_examples(command.epilog), "```", "")
    if own:
        yield from _table(own)
        yield ""


def _folded(text: str) -> list[str]:
    return [line.strip() for line in (text or "").strip().splitlines()]


def _examples(epilog: str) -> list[str]:
    return re.split(r"\s+or\s+(?=headgate )", epilog.removeprefix("Example:").strip())


def _table(parameters: Any) -> Iterator[str]:
    yield from ("| | | default |", "|---|---|---|")
    for parameter in parameters:
        cells = (_name(parameter), parameter.help or "", _default(parameter))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`"
    return f"`{', '.join(parameter.opts)}`"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.default
    return "" if value in (None, False, "", ()) or callable(value) else f"`{value}`"


def main() -> None:
    """Writes the pages."""
    for name, text in pages().items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
