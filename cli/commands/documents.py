"""`init`, `validate`, `explain`, `schema`: everything about documents, without any server unless one is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.session import Session, command

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.names import Ref
    from cli.reference import Entry, Explanation
    from cli.sources import Source
    from workflows.errors import Problem

_PANEL = "Documents"
_KINDS = ("release", "policy")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    example = "headgate init release.yaml   or   headgate init deployment/trip-service --in prod/production"
    command(app, "init", example=example, panel=_PANEL)(init)
    example = "headgate validate release.yaml policy.yaml   or   headgate validate deploy/"
    command(app, "validate", example=example, connected=False, panel=_PANEL)(validate)
    example = "headgate explain release.spec.components.strategy.canary.stages"
    command(app, "explain", example=example, connected=False, panel=_PANEL)(explain)
    command(app, "schema", example="headgate schema release > release.schema.json", connected=False, panel=_PANEL)(
        schema
    )


def init(  # noqa: PLR0913, PLR0917 (an option is a parameter)
    session: Session,
    what: Annotated[
        str,
        typer.Argument(
            metavar="[KIND/NAME]",
            help="A deployment, statefulset or daemonset to write it from, as a worker finds it; left out, a small "
            "document to start from.",
            show_default=False,
        ),
    ] = "release.yaml",
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="Where to write it; never over an existing file.", show_default="NAME.yaml"
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The release's name.", show_default="the workload's, or my-service")
    ] = None,
    environment: Annotated[str, typer.Option("--environment", "-e", help="An environment of the policy.")] = "staging",
    place: Annotated[
        str | None, typer.Option("--in", metavar="CLUSTER/NAMESPACE", help="Where the workload is.")
    ] = None,
) -> None:
    """Write a Release with comments, to start from: a small one, or what fits a workload that is there."""
    from cli.errors import BadInput
    from cli.found import SORTS
    from cli.names import Ref
    from cli.starter import release

    kind, _, workload = what.partition("/")
    sort = SORTS.get(kind.lower()) if workload else None
    ref = Ref.of(environment, name or (workload if sort else "") or "my-service")
    if sort:
        file = file or Path(f"{workload}.yaml")
        _refuse_existing(file)
        text, notes = _from_cluster(session, ref, what, place or "")
    elif file or place:
        kinds = ", ".join(f"{known}/NAME" for known in SORTS)
        raise BadInput(f"{what} names no workload; write one of {kinds} first, or leave the rest out")
    else:
        file, text, notes = Path(what), release(ref.name, environment), []
    _write_new(file, text)
    session.show(
        {"file": str(file), "notes": notes},
        f"wrote {file}",
        f"check it: headgate validate {file}   see what it would do: headgate plan {file}",
    )
    for note in notes:
        session.note(f"note: {note}")


def _from_cluster(session: Session, ref: Ref, what: str, place: str) -> tuple[str, list[str]]:
    from cli import found
    from cli.errors import BadInput

    cluster, _, namespace = place.partition("/")
    if not (cluster and namespace):
        raise BadInput(f"say where {what} is: --in CLUSTER/NAMESPACE, such as --in prod/production")
    kind, _, name = what.partition("/")
    where = found.Place(cluster, namespace, name, ref.name, ref.environment, found.SORTS[kind.lower()])
    described = session.run(lambda headgate: headgate.describe(cluster, namespace, name, sort=where.sort))
    return found.release(where, described), list(found.notes(where, described))


def _refuse_existing(file: Path) -> None:
    from cli.errors import BadInput

    if file.exists():
        raise BadInput(f"{file} exists already; give another FILE.", reason="FileExists")


def _write_new(file: Path, text: str) -> None:
    from cli.errors import BadInput

    _refuse_existing(file)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise BadInput(f"{file} cannot be written: {error.strerror}") from error


def validate(
    session: Session,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Files, directories, or - for standard input.", show_default=False),
    ],
    version: Annotated[str | None, typer.Option("--version", help="As start would be given it.")] = None,
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="As start would be given it.")] = None,
) -> None:
    """Check documents and print every problem with its line and path; exits 2 when there is one.

    Other YAML in a directory is left alone.
    """
    from cli.reading import Overrides

    checked = [result for file in files for result in _checked(file, Overrides(version, environment))]
    wrong = sum(bool(result["problems"]) for result in checked)
    session.show({"valid": not wrong, "documents": checked}, *(line for result in checked for line in _lines(result)))
    if not checked:
        session.note("no Headgate document found")
    raise typer.Exit(2 if wrong or not checked else 0)


def _checked(argument: Path, overrides: Any) -> Iterator[dict[str, Any]]:
    from cli import sources
    from cli.reading import problems_of
    from workflows.errors import SpecError

    try:
        files = sources.files(argument)
    except SpecError as error:
        yield _result(str(argument), None, error.problems)
        return
    for file in files:
        try:
            found = sources.read(file)
        except SpecError as error:
            yield _result(str(file), None, error.problems)
            continue
        for source in found:
            if not argument.is_dir() or source.is_ours:
                yield _result(str(file), source, problems_of(source, overrides))


def _result(file: str, source: Source | None, problems: list[Problem]) -> dict[str, Any]:
    metadata = source.data.get("metadata") if source and isinstance(source.data, dict) else None
    return {
        "file": "standard input" if file == "-" else file,
        "line": source.line if source else 1,
        "kind": source.kind if source else "",
        "name": str(metadata.get("name", "")) if isinstance(metadata, dict) else "",
        "problems": [{"line": p.line, "path": p.path, "message": p.message} for p in problems],
    }


def _lines(result: dict[str, Any]) -> Iterator[str]:
    """`file:line: path: message`, which editors and CI systems turn into links."""
    if not result["problems"]:
        yield f"{result['file']}: {' '.join(filter(None, (result['kind'], result['name'])))} is right"
    for problem in result["problems"]:
        place = f"{result['file']}:{problem['line']}" if problem["line"] else result["file"]
        yield f"{place}: {problem['path'] or 'document'}: {problem['message']}"


def _known_paths(incomplete: str) -> list[str]:
    """Completions one level below what is typed."""
    from cli.errors import BadInput
    from cli.reference import explain as look_up

    parent = incomplete.rpartition(".")[0]
    if not parent:
        return [kind for kind in _KINDS if kind.startswith(incomplete)]
    try:
        found = look_up(parent)
    except BadInput:
        return []
    names = [*(name for name in found.variants if name)]
    names += [entry.name for entries in found.variants.values() for entry in entries]
    return [f"{parent}.{name}" for name in dict.fromkeys(names) if f"{parent}.{name}".startswith(incomplete)]


def explain(
    session: Session,
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="Such as release.spec.holdFor.", autocompletion=_known_paths, show_default=False
        ),
    ],
) -> None:
    """Explain a field of a document and what is below it."""
    from cli.reference import explain as look_up

    found = look_up(path)
    session.show(found.to_json(), *_explained(found))


def _explained(found: Explanation) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    yield Text.assemble((found.path, "bold"), (f"  {found.type}", "dim"))
    if found.description:
        yield Padding(found.description, (0, 0, 0, 2))
    for variant, entries in found.variants.items():
        yield Text(f"\nkind: {variant}" if variant else "", style="bold")
        yield _fields(entries)


def _fields(entries: tuple[Entry, ...]) -> RenderableType:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for entry in entries:
        first = Text.assemble((entry.type, "dim"))
        if entry.required:
            first.append("  required", style="magenta")
        elif entry.default:
            first.append(f"  default {entry.default}", style="dim")
        table.add_row(Text(entry.name, style="cyan"), first)
        if entry.description:
            table.add_row("", Text(entry.description))
    return Padding(table, (0, 0, 0, 2))


def schema(
    session: Session,
    kind: Annotated[str | None, typer.Argument(metavar="[release|policy]", help="Which document.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the files of --directory anew.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when a file of --directory is out of date.")] = False,
    directory: Annotated[Path, typer.Option("--directory", help="Where the files are.")] = Path(
        "docs/reference/schema"
    ),
) -> None:
    """Print the JSON Schema of a document, for editors and other tools; a Release's unless you say otherwise."""
    from cli.errors import BadInput
    from workflows.model.schema import json_schema

    if kind is not None and kind.lower() not in _KINDS:
        raise BadInput(f"{kind!r} is no kind of document; there are {' and '.join(_KINDS)}.")
    chosen = (kind.lower(),) if kind else _KINDS
    made = {directory / f"{each}.schema.json": _json(json_schema(each.capitalize())) for each in chosen}
    if write:
        _write(made)
    if check:
        _check(made)
    if write or check:
        session.show({"files": [str(file) for file in made]}, *(f"{file} is up to date" for file in made))
    else:
        print(_json(json_schema(chosen[0].capitalize())), end="")


def _json(data: Any) -> str:
    import json

    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _write(made: dict[Path, str]) -> None:
    from cli.errors import BadInput

    for file, text in made.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{file} cannot be written: {error.strerror}") from error


def _check(made: dict[Path, str]) -> None:
    from cli.errors import CommandError

    stale = [str(file) for file, text in made.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    if stale:
        raise CommandError(f"out of date: {', '.join(stale)}; headgate schema --write", reason="Stale")
