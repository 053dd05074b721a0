"""Where the test bed keeps what it made, and the locks that let several processes share it.

Nothing is ever written into the repository.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.testbed.errors import BedError

# A cluster's mount namespace shows tmpfs and folders of its own at these places.
PRIVATE_PLACES = (Path("/run"), Path("/var/lib"), Path("/var/log"))

Say = Callable[[str], None]


def root() -> Path:
    """The folder of programs, images and clusters."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    folder = (Path(caches) / "headgate" / "testbed").resolve()
    if any(folder.is_relative_to(place) for place in PRIVATE_PLACES):
        raise BedError(
            f"{folder} would be hidden inside a cluster. Set XDG_CACHE_HOME to a folder outside {folder.parts[1]}."
        )
    return folder


def lock(name: str) -> Path:
    """The file to lock for a purpose. A cluster's name has no dot, so `headgate` and `headgate.users` never meet."""
    return root() / "locks" / name


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the file's lock, which the kernel frees when this process is killed; its last act may delete the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still(path, file.fileno()):
                yield
                return


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the path is the file that was opened, or one that came after it."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
