"""No image is built here: nothing that builds one runs in our CI. So its steps are carried out in a folder instead."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).parents[2]
FILE = ROOT / "infra/containers/Containerfile"


def steps() -> Iterator[tuple[str, str]]:
    """Every instruction with what it says, lines joined."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        yield word, " ".join(rest.split())


def said(word: str) -> list[str]:
    return [rest for found, rest in steps() if found == word]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the steps of the build stage leave in `/headgate`."""
    folder = tmp_path_factory.mktemp("image")
    source = folder / "src"
    source.mkdir()
    tools = f"{Path(uv.find_uv_bin()).parent}:{Path(sys.executable).parent}"
    # A container has no variables of ours, such as the place where Python shall keep its bytecode.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environ = {**kept, "PATH": f"{tools}:{os.environ['PATH']}", "UV_SYSTEM_CERTS": "1"}
    for word, rest in steps():
        if word == "COPY" and "--from" not in rest:
            *names, place = rest.split()
            for name in names:
                copy(ROOT / name, source / (place if name.endswith("/") else name))
        elif word == "RUN":
            # The environment of the tests has uv already; a cache saves a download for every run.
            command = re.sub(r"python -m pip install .* && |--no-cache ", "", rest)
            command = re.sub(r"(?<= )/(headgate|wheel)", rf"{folder}/\1", command)
            done = subprocess.run(
                command, shell=True, cwd=source, env=environ, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return folder / "headgate"


def copy(found: Path, place: Path) -> None:
    if found.is_dir():
        shutil.copytree(found, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(found, place)


@pytest.mark.slow
def test_the_command_works_from_what_the_image_holds(image: Path, tmp_path: Path) -> None:
    program, *words = json.loads(said("ENTRYPOINT")[0])
    environ = {"PYTHONPATH": str(image), "PYTHONDONTWRITEBYTECODE": "1", "HEADGATE_TASK_QUEUE": ""}
    assert (program, words) == ("/usr/bin/python3", ["-m", "cli.app"])

    done = subprocess.run(
        [sys.executable, "-P", *words, *json.loads(said("CMD")[0]), "--settings", "missing.yaml"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (2, "error: missing.yaml: cannot be read: No such file or directory\n")
    assert list(image.glob("headgate-*.dist-info"))
    assert list((image / "cli/__pycache__").glob("app.*.pyc"))


def test_everything_that_is_installed_has_a_hash_or_was_built_here() -> None:
    commands = [part for step in said("RUN") for part in step.split(" && ")]
    installing = [part for part in commands if " install " in part or " build " in part]

    assert len(installing) == 4
    assert [part for part in installing if "--require-hashes" not in part and "--no-index" not in part] == []


def test_the_user_is_a_number_and_not_root() -> None:
    assert said("USER") == ["65532:65532"]


def test_it_starts_without_a_shell() -> None:
    assert all(isinstance(json.loads(rest), list) for rest in said("ENTRYPOINT") + said("CMD"))


def test_what_is_copied_is_all_that_reaches_the_build() -> None:
    copied = {name for rest in said("COPY") if "--from" not in rest for name in rest.split()[:-1]}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert copied == let_through
