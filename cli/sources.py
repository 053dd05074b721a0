"""Documents as people write them: YAML or JSON with the line of every field.

The YAML is walked as a node graph rather than constructed, because only nodes know their lines, and because dates and
other guesses of YAML would turn `version: 2026-01-02` into something that is no text.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node, ScalarNode, SequenceNode

from workflows.errors import Problem, SpecError

LIMIT_BYTES = 1024 * 1024
"""Far above any release, far below what Temporal carries as one argument (2 MB)."""
LIMIT_NODES = 50_000
SUFFIXES = (".yaml", ".yml", ".json")

_SEGMENT = re.compile(r"[^.\[\]]+")
Path_ = tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """One document of a file."""

    file: str
    data: Any
    line: int
    """Where it starts, from 1."""
    lines: dict[Path_, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    """What is wrong with the YAML itself, such as a duplicate key."""

    @property
    def kind(self) -> str:
        """The document's `kind`, or nothing."""
        return str(self.data.get("kind", "")) if isinstance(self.data, dict) else ""

    @property
    def is_ours(self) -> bool:
        """Whether it means to be a Headgate document."""
        return isinstance(self.data, dict) and str(self.data.get("apiVersion", "")).startswith("headgate.dev/")

    def locate(self, problem: Problem) -> Problem:
        """The problem with the line of its path, or of the nearest parent that was written."""
        if problem.line:
            return problem
        segments = tuple(_SEGMENT.findall(problem.path))
        while segments and segments not in self.lines:
            segments = segments[:-1]
        return Problem(problem.path, problem.message, self.lines.get(segments, self.line))


def files(argument: Path) -> list[Path]:
    """The file itself, or every YAML and JSON file of a directory. Errors: SpecError when there is none."""
    if not argument.is_dir():
        return [argument]
    found = sorted(path for path in argument.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    if not found:
        raise _unreadable(f"has no {', '.join(SUFFIXES)} file")
    return found


def read(file: Path) -> list[Source]:
    """Every document of a file, or of standard input (`-`).

    Errors: SpecError when nothing can be read; a document's own problems are in `Source.problems`.
    """
    if str(file) == "-":
        return parse(_text(sys.stdin.buffer.read(LIMIT_BYTES + 1)), "-")
    try:
        with file.open("rb") as stream:
            return parse(_text(stream.read(LIMIT_BYTES + 1)), str(file))
    except OSError as error:
        raise _unreadable(f"cannot be read: {error.strerror or error}") from error


def _unreadable(message: str, line: int | None = None) -> SpecError:
    return SpecError([Problem("", message, line)])


def _text(raw: bytes) -> str:
    if len(raw) > LIMIT_BYTES:
        raise _unreadable(f"larger than {LIMIT_BYTES // 1024} KiB, so it is no Headgate document")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _unreadable("encoded as UTF-16; save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _unreadable(f"byte {raw[error.start]:#04x} is not UTF-8; save the file as UTF-8", line) from error


def parse(text: str, file: str) -> list[Source]:
    """The documents of one text. Errors: SpecError for text that is neither YAML nor JSON."""
    if not text.strip():
        raise _unreadable("empty; `headgate init` writes an example to start from")
    if text.lstrip().startswith("{") and (sources := _parse_json(text, file)):
        return sources
    try:
        sources = [_source(node, file) for node in _compose(text) if not _is_empty(node)]
    except RecursionError as error:
        raise _unreadable("nested too deeply") from error
    if not sources:
        raise _unreadable("only comments; `headgate init` writes an example to start from")
    return sources


def _parse_json(text: str, file: str) -> list[Source]:
    """JSON's own reading of escapes and numbers, with the lines that YAML finds; empty when it is no JSON."""
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and file.endswith(".json"):
            raise _unreadable(f"not valid JSON: {error.msg} (column {error.colno})", error.lineno) from error
        return []
    try:  # Tabs are space to JSON, and none to YAML.
        found = [_source(node, file) for node in _compose(text.replace("\t", " "))]
    except SpecError:  # YAML refuses what JSON may contain; the lines are lost, the data is right.
        return [Source(file, data, 1)]
    return [Source(file, data, found[0].line, found[0].lines, found[0].problems)]


def _compose(text: str) -> Iterator[Node]:
    yaml = YAML(typ="safe", pure=True)
    try:
        yield from yaml.compose_all(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(filter(None, (error.context, error.problem)))
        raise _unreadable(f"not valid YAML: {said}", mark.line + 1 if mark else None) from error
    except (YAMLError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise _unreadable(f"not valid YAML: {said}") from error


def _is_empty(node: Node | None) -> bool:
    return node is None or (isinstance(node, ScalarNode) and node.value == "")


def _source(node: Node, file: str) -> Source:
    walk = _Walk()
    data = walk.value(node, ())
    return Source(file, data, node.start_mark.line + 1, walk.lines, tuple(walk.problems))


class _Walk:
    """Turns nodes into plain data and remembers where each came from."""

    def __init__(self) -> None:
        self.lines: dict[Path_, int] = {}
        self.problems: list[Problem] = []
        self._open: set[int] = set()
        self._seen = 0

    def value(self, node: Node, path: Path_, line: int | None = None) -> Any:
        self._seen += 1
        if self._seen > LIMIT_NODES:  # A few lines of nested aliases can stand for billions of nodes.
            raise _unreadable(f"more than {LIMIT_NODES} values, aliases counted as often as used")
        self.lines.setdefault(path, (line if line is not None else node.start_mark.line) + 1)
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if id(node) in self._open:
            raise _unreadable("an alias contains itself", node.start_mark.line + 1)
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.value(item, (*path, str(n))) for n, item in enumerate(node.value)]
            return self._mapping(node, path)  # The only kind left.
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: Node, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line
            if not isinstance(key_node, ScalarNode):
                self.problems.append(Problem(_dotted(path), "a key must be plain text", line + 1))
                continue
            key = key_node.value
            if key == "<<" and key_node.tag == "tag:yaml.org,2002:merge":
                merged += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                continue
            if key in first:
                here = _dotted((*path, key))
                self.problems.append(Problem(here, f"written twice; the first is on line {first[key] + 1}", line + 1))
                continue
            first[key] = line
            result[key] = self.value(value_node, (*path, key), line)
        for other in merged:
            extra = self.value(other, path)
            result = {**extra, **result} if isinstance(extra, dict) else result
        return result


def _dotted(path: Path_) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if part.isdigit() else f".{part}" if text else part
    return text


_INT = re.compile(r"[-+]?\d+")
_NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None, "": None}


def _scalar(node: ScalarNode) -> Any:
    """YAML 1.2's core schema without its octal, hexadecimal and infinite numbers: what JSON can say."""
    text = node.value
    if node.style in {"'", '"', "|", ">"} or node.tag in {"!", "tag:yaml.org,2002:str"}:
        return text
    if text.lower() in _WORDS and text in {text.lower(), text.capitalize(), text.upper()}:
        return _WORDS[text.lower()]
    if _INT.fullmatch(text):
        return int(text) if len(text) < 20 else text
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
