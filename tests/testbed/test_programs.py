import dataclasses
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.testbed import assembly, cache
from infra.testbed.errors import BedError
from infra.testbed.programs import PROGRAMS, Builder

WRITES = """#!/bin/sh
echo "$@" >>"$WORLD/calls"
while [ "$1" != -o ]; do shift; done
echo program >"$2"
"""
HANGS = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
echo half >"$2"
echo $$ >"$WORLD/hanging.new"
mv "$WORLD/hanging.new" "$WORLD/hanging"
exec sleep 60
"""
AMENDS = """#!/bin/sh
echo "$@" >>"$WORLD/calls"
[ "$1" = list ] && echo "$WORLD/original"
[ "$1" = build ] || exit 0
while [ "$1" != -modfile ]; do shift; done
tail -1 "$2" >"$WORLD/replaced"
copy=$(sed -n 's/.* => //p' "$2" | tail -1)
cat "$copy/own" "$copy/webui/static/index.html" >"$WORLD/seen"
while [ "$1" != -o ]; do shift; done
echo program >"$2"
"""
FAILS = "#!/bin/sh\necho 'no such host: proxy.example' >&2\nexit 1\n"
BUILD = """
import sys
from pathlib import Path
from infra.testbed.programs import Builder, say
Builder(Path(sys.argv[1]), say).build(["etcd"])
"""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is called instead of Go, and a cache of its own."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "go"
    program.write_text(WRITES)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("WORLD", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return program


def calls(go: Path) -> list[str]:
    return (go.parents[1] / "calls").read_text().splitlines()


def silent(_: str) -> None:
    pass


def test_a_program_is_built_once(go: Path) -> None:
    builder = Builder(cache.root(), silent)

    builder.build(["etcd"])
    builder.build(["etcd"])

    assert len(calls(go)) == 1
    assert builder.path("etcd").read_text() == "program\n"


def test_only_what_is_asked_for_is_built(go: Path) -> None:
    builder = Builder(cache.root(), silent)

    builder.build(["etcd", "pause"])

    assert [line.split()[-1] for line in calls(go)] == ["go.etcd.io/etcd/server/v3", "."]


def test_two_that_need_the_same_program_build_it_once(go: Path) -> None:
    def build(_: int) -> None:
        Builder(cache.root(), silent).build(["etcd"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(build, range(4)))

    assert len(calls(go)) == 1


def test_a_build_that_fails_says_why_and_leaves_nothing(go: Path) -> None:
    go.write_text(FAILS)
    builder = Builder(cache.root(), silent)

    with pytest.raises(BedError, match=r"etcd v\S+ could not be built: no such host.*\n.*proxy"):
        builder.build(["etcd"])

    assert list(builder.path("etcd").parent.iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_a_build_that_is_cut_off_is_begun_again(go: Path, how: signal.Signals) -> None:
    go.write_text(HANGS)
    builder = Builder(cache.root(), silent)
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(cache.root())], stderr=subprocess.DEVNULL)
    hanging = go.parents[1] / "hanging"
    while not hanging.exists():
        time.sleep(0.01)
    process.send_signal(how)
    process.wait()
    if how is signal.SIGKILL:  # Then nobody is left to end what it started.
        os.kill(int(hanging.read_text()), signal.SIGKILL)

    assert not builder.path("etcd").exists()
    go.write_text(WRITES)
    builder.build(["etcd"])
    assert builder.path("etcd").read_text() == "program\n"


def test_files_that_a_module_lacks_are_added_to_a_copy(go: Path) -> None:
    go.write_text(AMENDS)
    original = go.parents[1] / "original"
    original.mkdir()
    (original / "own").write_text("own\n")
    builder = Builder(cache.root(), silent)

    builder.build(["traefik"])

    assert (go.parents[1] / "seen").read_text() == "own\nnot built\n"
    assert "replace github.com/traefik/traefik/v3 => " in (go.parents[1] / "replaced").read_text()
    assert [path.name for path in original.iterdir()] == ["own"]
    assert list(builder.path("traefik").parent.iterdir()) == [builder.path("traefik")]


def test_without_go_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(BedError, match="Install Go"):
        Builder(cache.root(), silent).build(["etcd"])


@pytest.mark.parametrize("change", [{"package": "x"}, {"tags": "x"}, {"variables": ("a.b=c",)}, {"module": "kwok"}])
def test_another_recipe_is_another_file(change: dict[str, str]) -> None:
    program = PROGRAMS["etcd"]

    assert dataclasses.replace(program, **change).digest != program.digest  # type: ignore[arg-type]


def test_kubernetes_knows_its_version() -> None:
    program = PROGRAMS["kubelet"]
    major, minor, _ = program.version.removeprefix("v").split(".")

    assert f"-X k8s.io/component-base/version.gitVersion={program.version}" in program.flags[-1]
    assert f"-X k8s.io/component-base/version.gitMinor={minor}" in program.flags[-1]
    assert major == "1"


def test_every_program_has_a_locked_module() -> None:
    for program in PROGRAMS.values():
        assert (program.folder / "go.mod").is_file()
        assert program.version or program.package == "."


def test_profile_api_needs_nothing_of_the_node() -> None:
    assert not set(assembly.PROGRAMS["api"]) & {"kubelet", "kube-proxy", "coredns", "contour", "podinfo-1.0.0"}
    assert set(assembly.PROGRAMS["full"]) <= set(PROGRAMS)
