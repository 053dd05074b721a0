"""What the users of the demo got, counted from the file that `cli/demo/load.py` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """One request and what became of it."""

    sent: float
    milliseconds: float
    kind: str
    version: str

    @property
    def answered(self) -> float:
        """When its user knew, in Unix time."""
        return self.sent + self.milliseconds / 1000


@dataclass
class Tally:
    """Counts of some part of the traffic."""

    is_bad: Callable[[Request], bool] = lambda _: False
    """Whether a request suffered from the version that is being released."""
    kinds: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    bad_failures: int = 0
    """Those of `failed` that the new version's fault explains."""
    first_bad: float | None = None
    """When the first user saw a bad answer."""
    last_bad: float | None = None

    def count(self, request: Request) -> None:
        """Adds one request."""
        self.kinds[request.kind] += 1
        if self.is_bad(request):
            self.bad += 1
            self.bad_failures += request.kind == "failed"
            self.first_bad = min(self.first_bad or request.answered, request.answered)
            self.last_bad = max(self.last_bad or 0, request.answered)

    @property
    def sent(self) -> int:
        return self.kinds.total()

    @property
    def failed(self) -> int:
        """Requests whose user got an error or no answer; the maintenance answer is neither."""
        return self.kinds["failed"] + self.kinds["lost"] + self.kinds["unrouted"]

    @property
    def maintenance(self) -> int:
        return self.kinds["maintenance"]


class Record:
    """Follows the file; each request is read once and counted in the whole and in the part that is under way."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0
        self.total = Tally()
        self.part = Tally()

    def begin(self, is_bad: Callable[[Request], bool]) -> Tally:
        """Starts a new part."""
        self.read()
        self.part = Tally(is_bad)
        return self.part

    def read(self) -> None:
        """Counts what has been written since the last time."""
        for request in self._new():
            self.total.count(request)
            self.part.count(request)

    def _new(self) -> Iterator[Request]:
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.decode("ascii").splitlines():
            sent, milliseconds, kind, version = line.split(" ")
            yield Request(float(sent), float(milliseconds), kind, version)
