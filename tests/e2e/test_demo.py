"""`headgate demo` as people run it: in a process of its own, with everything real."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.demo.sweeper import marked

# In one worker of xdist, because each of them wants the machine for itself.
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

HEADGATE = [sys.executable, "-m", "cli.app"]
SEED = os.environ.get("HEADGATE_TEST_SEED", "20")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where demos make their directories."""
    return tmp_path


@pytest.fixture
def start(place: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*HEADGATE, "demo", *arguments],
            env={**os.environ, "TMPDIR": str(place)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if "json" not in arguments else None,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """What the process printed up to a line with this text."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"the demo ended without saying {text!r}:\n{''.join(lines)}")


def assert_nothing_is_left(place: Path, directories: list[Path]) -> None:
    """No file, and no process of any of the directories."""
    assert list(place.iterdir()) == []
    for directory in directories:
        assert list(marked(str(directory))) == []


def directories_of(place: Path) -> list[Path]:
    return list(place.glob("headgate-demo-*"))


def test_a_good_release_loses_nothing_and_a_bad_one_goes_back(
    start: Callable[..., subprocess.Popen[str]], place: Path
) -> None:
    demo = start("canary-good", "canary-bad", "-o", "json")
    said, _ = demo.communicate()
    answer = json.loads(said)
    good, bad = answer["scenarios"]
    assert demo.returncode == 0, answer
    assert (good["outcome"], good["failed"], good["lost"]) == ("Succeeded", 0, 0)
    assert bad["outcome"] == "RolledBack"
    assert bad["failed"] == bad["sawFault"] > 0
    assert bad["secondsFromFirstFaultToZero"] is not None
    assert_nothing_is_left(place, [])


OTHERS = {"canary-slow": "RolledBack", "blue-green-bad": "RolledBack", "recreate": "Succeeded", "approval": "Succeeded"}


def test_every_other_scenario_ends_as_its_line_says(start: Callable[..., subprocess.Popen[str]], place: Path) -> None:
    demo = start(*OTHERS, "-o", "json")
    answer = json.loads(demo.communicate()[0])
    assert {played["scenario"]: played["outcome"] for played in answer["scenarios"]} == OTHERS
    assert demo.returncode == 0, answer
    assert_nothing_is_left(place, [])


def test_workers_that_are_killed_change_nothing_about_the_ends(
    start: Callable[..., subprocess.Popen[str]], place: Path
) -> None:
    demo = start("--kill-workers", "--seed", SEED)
    said, _ = demo.communicate()
    assert demo.returncode == 0, said
    assert "with SIGKILL" in said
    assert (
        len(re.findall(r"^canary-\w+ +http://127\.0\.0\.1:\d+/namespaces/default/workflows/\S+$", said, re.MULTILINE))
        == 2
    )
    assert_nothing_is_left(place, [])


def test_a_kept_demo_serves_other_commands_until_it_is_interrupted(
    start: Callable[..., subprocess.Popen[str]], place: Path
) -> None:
    demo = start("rolling", "--keep")
    said = read_until(demo, "ls /")
    found = re.search(r"TEMPORAL_ADDRESS=(\S+)", said)
    assert found
    directories = directories_of(place)
    listed = subprocess.run(
        [*HEADGATE, "list", "--all", "-o", "json"],
        env={**os.environ, "TEMPORAL_ADDRESS": found[1]},
        check=True,
        capture_output=True,
        text=True,
    )
    assert [item["version"] for item in json.loads(listed.stdout)] == ["v1.4.0", "v1.0.0"]
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=30)
    assert demo.returncode == 0
    assert directories
    assert_nothing_is_left(place, directories)


def test_a_demo_that_is_killed_leaves_nothing_behind(start: Callable[..., subprocess.Popen[str]], place: Path) -> None:
    demo = start("rolling")
    read_until(demo, "requests a second")
    directories = directories_of(place)
    assert [len(list(marked(str(directory)))) for directory in directories] > [5]
    demo.kill()
    demo.communicate()
    deadline = time.monotonic() + 30
    while directories_of(place) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert_nothing_is_left(place, directories)


def test_an_unknown_scenario_is_bad_input(start: Callable[..., subprocess.Popen[str]]) -> None:
    demo = start("canary-ugly")
    said, _ = demo.communicate()
    assert demo.returncode == 2
    assert "there are canary-good" in said
