"""State files: read whole, replaced whole, one writer at a time.

Everything here blocks; callers run it in a thread. A reader needs no lock, because a file is only ever replaced by a
complete one. The lock is a file of its own that is never removed: taking away a lock file lets two owners in.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from workflows.errors import Rejected, Unavailable

S = TypeVar("S", bound=BaseModel)

LOCK_PATIENCE = 15.0
"""Seconds to wait for a lock; holders keep it for milliseconds, so longer means a stopped process."""


def replace(path: Path, content: str) -> None:
    """Puts a file in its place at once and durably; only for files whose writers hold one lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def replace_if_changed(path: Path, content: str) -> bool:
    """`replace`, unless the file says this already; whether it had to."""
    try:
        if path.read_text(encoding="utf-8") == content:
            return False
    except FileNotFoundError:
        pass
    replace(path, content)
    return True


def to_json(value: Any) -> str:
    """JSON as our files hold it: the same value gives the same text."""
    return json.dumps(value, indent=1, sort_keys=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock that excludes other threads and other processes, and that dies with its holder.

    `flock` belongs to the open file, so every holder opens its own. Errors: Unavailable after `LOCK_PATIENCE`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_PATIENCE
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"{path} has been locked by another process for {LOCK_PATIENCE:g} s; is a worker stopped?"
                    ) from None
                time.sleep(0.003)
        yield


class StateFile(Generic[S]):
    """One model in one file, with its lock beside it."""

    def __init__(self, path: Path, model: type[S]) -> None:
        self.path = path
        self._model = model

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def read(self) -> S:
        """The state, or an empty one when there is no file yet. Errors: Rejected when the file is not ours."""
        try:
            return self._model.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return self._model()
        except ValidationError as error:
            raise Rejected(
                f"{self.path} is not a state file that this version understands ({error.error_count()} problems);"
                " restore it from a backup or move it away"
            ) from error

    @contextmanager
    def edit(self) -> Iterator[Edit[S]]:
        """The state under its lock; nothing is written but by `save`."""
        with locked(self.path.with_suffix(".lock")):
            yield Edit(self.path, self.read())


class Edit(Generic[S]):
    """A state that its lock holder may change and save, more than once."""

    def __init__(self, path: Path, state: S) -> None:
        self._path = path
        self.state = state

    def save(self) -> None:
        """Makes the state as it is now durable; without a change it costs one read."""
        replace_if_changed(self._path, to_json(self.state.model_dump(mode="json", by_alias=True)))
