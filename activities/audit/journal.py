"""One append-only file of JSON lines: who is in it already, and how a line gets there for good.

Everything here blocks. A line that a crash tore is left as it is and ended, because nothing is ever taken out of a
record; readers pass by lines that are no JSON. Which ids are there is remembered, and only what other processes
appended since is read again.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from activities.clusters.files import locked

REMEMBERED = 200_000
"""Ids that are known to be there; a repetition comes within an hour, not after that many records."""

LOOK_BACK = 64 * 1024 * 1024
"""Bytes at the end of a file that are read when it is first opened."""


class Journal:
    """A file, shared with other processes. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._inode = 0
        self._read_to = 0

    def append(self, records: Iterable[dict[str, Any]]) -> int:
        """Writes the records whose `id` is not there yet, in order and durably; answers how many. Errors: OSError."""
        with locked(self._path.with_suffix(".lock")), self._opened() as file:
            self._catch_up(file)
            lines = [(record["id"], json.dumps(record, sort_keys=True)) for record in self._unknown(records)]
            if not lines:
                return 0
            self._write(file, "".join(f"{line}\n" for _, line in lines).encode())
            for name, _ in lines:
                self._remember(name)
            return len(lines)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        is_new = not self._path.exists()
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            if is_new:
                _sync_directory(self._path.parent)
            yield file
        finally:
            os.close(file)

    def _catch_up(self, file: int) -> None:
        """Learns what is in the file since the last look; a file that was replaced or cut is read anew."""
        status = os.fstat(file)
        if status.st_ino != self._inode or status.st_size < self._read_to:
            self._known.clear()
            self._inode, self._read_to = status.st_ino, max(0, status.st_size - LOOK_BACK)
        with os.fdopen(os.dup(file), "rb") as reader:
            reader.seek(self._read_to)
            for line in reader:
                self._learn(line)
        self._read_to = status.st_size

    def _learn(self, line: bytes) -> None:
        try:
            record = json.loads(line)
        except ValueError:
            return
        if isinstance(record, dict) and isinstance(record.get("id"), str):
            self._remember(record["id"])

    def _unknown(self, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        for record in records:
            if record["id"] not in seen and _key(record["id"]) not in self._known:
                seen.add(record["id"])
                yield record

    def _write(self, file: int, data: bytes) -> None:
        if self._read_to and os.pread(file, 1, self._read_to - 1) != b"\n":
            data = b"\n" + data
        written = 0
        while written < len(data):
            written += os.write(file, data[written:])
        os.fsync(file)
        self._read_to += written

    def _remember(self, name: str) -> None:
        self._known[_key(name)] = None
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _key(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=12).digest()


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
