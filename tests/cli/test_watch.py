"""Following a release in a process of its own: on a terminal, through a pipe, interrupted."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Headgated, Server
from tests.cli.stub import a_document

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def ref(run: Headgated, tmp_path: Path, name: str) -> str:
    """A release that waits at a gate while its rollout observes."""
    file = tmp_path / "release.json"
    file.write_text(json.dumps(a_document(name, stub="gate and rollout")))
    assert run("start", file).exit_code == 0
    return f"test/{name}"


class Terminal:
    """A command on a pseudo-terminal, and everything it has written so far."""

    def __init__(self, server: Server, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        self.text = ""
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli.app", *arguments],
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env={
                **os.environ,
                "TEMPORAL_ADDRESS": server.address,
                "TERM": "xterm-256color",
                "COLUMNS": "100",
                "LINES": "50",
            },
        )
        os.close(theirs)
        threading.Thread(target=self._read, args=(ours,), daemon=True).start()

    def _read(self, ours: int) -> None:
        with os.fdopen(ours, "rb", buffering=0) as stream:
            try:
                while chunk := stream.read(65536):
                    with self._news:
                        self.text += chunk.decode(errors="replace")
                        self._news.notify_all()
            except OSError:  # How Linux says that the other end is closed.
                pass

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def until(self, words: str, count: int = 1) -> None:
        with self._news:
            assert self._news.wait_for(lambda: self.text.count(words) >= count, 120), self.text[-3000:]


@pytest.fixture
def terminal(server: Server, ref: str) -> Iterator[Terminal]:
    """Somebody watches the release on a terminal."""
    with closing(Terminal(server, "watch", ref)) as terminal:
        yield terminal


def test_a_terminal_gets_a_live_view_and_the_outcome(run: Headgated, terminal: Terminal, ref: str) -> None:
    terminal.until("p95 of 612 ms", 2)
    assert run("abort", ref, "--reason", "seen enough").exit_code == 0
    terminal.until("seen enough")
    assert terminal.process.wait(20) == 4
    assert "\x1b[" in terminal.text


def test_an_interrupt_leaves_the_release_running(run: Headgated, terminal: Terminal, ref: str) -> None:
    terminal.until("Observing")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(20) == 130
    terminal.until("the release goes on")
    assert json.loads(run("status", ref, "-o", "json").stdout)["state"] == "Running"


def test_a_pipe_gets_a_line_per_change(run: Headgated, server: Server, ref: str) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "cli.app", "watch", ref, "--address", server.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert watching.stderr
    first = watching.stderr.readline()
    run("abort", ref)
    out, err = watching.communicate(timeout=30)
    assert watching.returncode == 4
    assert f"{ref}: Observing" in first
    assert f"{ref}: Aborted" in err
    assert out.startswith(f"{ref} v1.2.0 Aborted")
    assert "\x1b[" not in first + out + err
