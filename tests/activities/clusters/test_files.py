from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import BaseModel

from activities.clusters import files
from activities.clusters.files import StateFile, locked, replace, replace_if_changed
from tests.activities.world import REPOSITORY
from workflows.errors import Rejected, Unavailable


class Number(BaseModel):
    value: int = 0


COUNT = """
import sys
from pathlib import Path
from pydantic import BaseModel
from activities.clusters.files import StateFile
class Number(BaseModel):
    value: int = 0
file = StateFile(Path(sys.argv[1]), Number)
for _ in range(30):
    with file.edit() as edit:
        edit.state.value += 1
        edit.save()
"""


def test_edits_of_threads_and_processes_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "n.json"
    file = StateFile(path, Number)

    def add(_: int) -> None:
        with file.edit() as edit:
            edit.state.value += 1
            edit.save()

    others = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)], cwd=REPOSITORY) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(60)))
    assert [other.wait() for other in others] == [0, 0]
    assert file.read().value == 120


def test_nothing_is_written_without_a_save(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "n.json", Number)
    with file.edit() as edit:
        edit.state.value = 5
    assert file.read().value == 0


def test_a_lock_that_is_not_given_up_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_PATIENCE", 0.05)
    with (
        locked(tmp_path / "x.lock"),
        pytest.raises(Unavailable, match="locked by another"),
        locked(tmp_path / "x.lock"),
    ):
        pass


def test_a_file_that_is_not_ours_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "n.json"
    path.write_text("{broken")
    with pytest.raises(Rejected, match="n.json"):
        StateFile(path, Number).read()
    assert path.read_text() == "{broken"


def test_what_a_newer_version_wrote_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "n.json"
    path.write_text('{"value": 3, "newer": true}')
    assert StateFile(path, Number).read().value == 3


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert replace_if_changed(path, "x")
    before = path.stat().st_ino
    assert not replace_if_changed(path, "x")
    assert path.stat().st_ino == before


def test_a_draft_left_by_a_killed_writer_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".a.new").write_text("half")
    replace(tmp_path / "a", "whole")
    assert (tmp_path / "a").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
