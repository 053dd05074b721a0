import json
import os
from pathlib import Path

import pytest

from infra.testbed import crds
from infra.testbed.crds import SOURCES
from infra.testbed.errors import BedError


def a_go_that_answers(answer: object, folder: Path, monkeypatch: pytest.MonkeyPatch, *, status: int = 0) -> None:
    program = folder / "go"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_the_files_lie_in_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SOURCES["istio"]
    a_go_that_answers({"Dir": "/modules/istio", "Sum": source.digest}, tmp_path, monkeypatch)

    assert crds.files(source) == [Path("/modules/istio", *source.paths)]


def test_a_module_that_somebody_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_go_that_answers({"Dir": "/modules/istio", "Sum": "h1:other"}, tmp_path, monkeypatch)

    with pytest.raises(BedError, match=r"istio.io/api@v\S+ is h1:other, not h1:"):
        crds.files(SOURCES["istio"])


def test_a_module_that_cannot_be_had_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_go_that_answers({"Error": "no such host"}, tmp_path, monkeypatch, status=1)

    with pytest.raises(BedError, match="could not be downloaded: no such host"):
        crds.files(SOURCES["istio"])
