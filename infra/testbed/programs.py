"""The programs of a cluster, each built on its own from a locked Go module and kept for ever.

A program's file name holds a digest of all that went into it, so a changed version is another file and nothing is ever
stale. Only a finished program gets its name, by one rename.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.testbed.cache import Say, lock, locked
from infra.testbed.errors import BedError
from infra.testbed.golang import go
from infra.testbed.processes import call, last_words

MODULES = Path(__file__).parent / "modules"
PROGRESS_INTERVAL = 10.0
BUILD_LIMIT = 3600.0


@dataclass(frozen=True)
class Program:
    """How one program is built: the wrapper module that locks its version, and the package."""

    name: str
    module: str
    package: str = "."
    variables: tuple[str, ...] = ()
    """`package.Name=value` for the linker; `{version}`, `{major}` and `{minor}` stand for the module's version."""
    tags: str = ""
    additions: tuple[tuple[str, str], ...] = ()
    """Files, by path and text, that the package's own module lacks."""
    usual: str = "1 min"
    """How long the build takes on two idle cores, told to whoever waits."""

    @property
    def folder(self) -> Path:
        return MODULES / self.module

    @property
    def origin(self) -> str:
        """The module that the package is in; ours has no name."""
        return max((name for name in self._required if self.package.startswith(name)), default="")

    @property
    def version(self) -> str:
        """What go.mod requires of the origin."""
        return self._required.get(self.origin, "")

    @property
    def _required(self) -> dict[str, str]:
        text = (self.folder / "go.mod").read_text()
        return dict(re.findall(r"^\s*(?:require )?(\S+) (v\S+)", text, re.MULTILINE))

    @property
    def flags(self) -> list[str]:
        major, _, minor = self.version.removeprefix("v").rpartition(".")[0].partition(".")
        values = (v.format(version=self.version, major=major, minor=minor) for v in self.variables)
        return ["-trimpath", f"-tags={self.tags}", f"-ldflags={' '.join(['-s', '-w', *(f'-X {v}' for v in values)])}"]

    @property
    def digest(self) -> str:
        parts = [
            self.package,
            *self.flags,
            *sum(self.additions, ()),
            *(f.read_text() for f in sorted(self.folder.iterdir()) if f.is_file()),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _kubernetes(name: str, usual: str) -> Program:
    # Without these the programs call themselves v0.0.0-master.
    versions = ("gitVersion={version}", "gitMajor={major}", "gitMinor={minor}", "gitTreeState=clean")
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    variables = tuple(f"{package}.{version}" for package in packages for version in versions)
    return Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", variables, usual=usual)


def _podinfo(version: str) -> Program:
    package = "github.com/stefanprodan/podinfo"
    # A binary for each release, so that a release is really another program.
    return Program(
        f"podinfo-{version}", "podinfo", f"{package}/cmd/podinfo", (f"{package}/pkg/version.VERSION={version}",)
    )


PROGRAMS = {
    program.name: program
    for program in (
        Program("pause", "pause", usual="10 s"),
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver", "4 min"),
        _kubernetes("kube-controller-manager", "1 min"),
        _kubernetes("kube-scheduler", "10 s"),
        _kubernetes("kubelet", "30 s"),
        _kubernetes("kube-proxy", "10 s"),
        Program("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", usual="90 s"),
        Program("coredns", "coredns"),
        Program("contour", "contour", "github.com/projectcontour/contour/cmd/contour", usual="90 s"),
        # Only Kubernetes service discovery: those of the clouds would treble the build.
        Program(
            "prometheus",
            "prometheus",
            "github.com/prometheus/prometheus/cmd/prometheus",
            tags="remove_all_sd,enable_kubernetes_sd",
            usual="2 min",
        ),
        # Its module comes without the web interface, which must be built with Node; nothing here looks at it.
        Program(
            "traefik",
            "traefik",
            "github.com/traefik/traefik/v3/cmd/traefik",
            additions=(("webui/static/index.html", "not built\n"),),
            usual="10 min",
        ),
        _podinfo("1.0.0"),
        _podinfo("1.1.0"),
        # No part of a cluster: tests render the chart with it.
        Program(
            "helm",
            "helm",
            "helm.sh/helm/v3/cmd/helm",
            ("helm.sh/helm/v3/internal/version.version={version}",),
            usual="90 s",
        ),
    )
}


class Builder:
    """Finds programs in the cache, and builds what is not there."""

    def __init__(self, cache: Path, say: Say) -> None:
        self._folder = cache / "bin"
        self._say = say

    def path(self, name: str) -> Path:
        """Where the program is, or will be."""
        return self._folder / f"{name}-{PROGRAMS[name].digest}"

    def build(self, names: Iterable[str]) -> None:
        """Build what is missing, one after another and alone on this machine; safe to repeat and to interrupt."""
        for name in [name for name in names if not self.path(name).exists()]:
            self._folder.mkdir(parents=True, exist_ok=True)
            with locked(lock("programs.build"), waiting=lambda: self._say("Another process builds; waiting for it.")):
                if not self.path(name).exists():
                    self._build(PROGRAMS[name])

    def _build(self, program: Program) -> None:
        doing = f"{program.name} {program.version}".strip()
        self._say(f"{doing}: building it with Go, once; about {program.usual} on two idle cores")
        making = self._folder / f".making-{program.name}"
        begun = time.monotonic()
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        try:
            built = making / program.name
            amended = _amend(program, making) if program.additions else []
            # Polite: whatever else runs on this machine comes first.
            command = ["nice", "-n", "19", go(), "build", *amended, *program.flags, "-o", str(built), program.package]
            self._run(command, program.folder, doing)
            built.replace(self.path(program.name))
        finally:
            shutil.rmtree(making, ignore_errors=True)
        self._say(f"{doing}: built in {time.monotonic() - begun:.0f} s")

    def _run(self, command: list[str], folder: Path, doing: str) -> None:
        environ = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            try:
                status = self._wait(process, doing)
            finally:
                process.kill()
                process.wait()
            if status:
                output.seek(0)
                words = last_words(output.read().decode(errors="replace"))
                raise BedError(
                    f"{doing} could not be built: {words}\nIs a Go module proxy reachable (`go env GOPROXY`)?"
                )

    def _wait(self, process: subprocess.Popen[bytes], doing: str) -> int:
        begun = time.monotonic()
        while (elapsed := time.monotonic() - begun) < BUILD_LIMIT:
            try:
                return process.wait(PROGRESS_INTERVAL)
            except subprocess.TimeoutExpired:
                self._say(f"{doing}: building, {time.monotonic() - begun:.0f} s")
        raise BedError(
            f"{doing}: gave up building it after {elapsed:.0f} s. Try again when the machine has less to do."
        )


def _amend(program: Program, scratch: Path) -> list[str]:
    """Copy the package's module, add the files, and return the flags that build from the copy."""
    call([go(), "mod", "download", program.origin], cwd=program.folder)
    original = call([go(), "list", "-m", "-f", "{{.Dir}}", program.origin], cwd=program.folder).strip()
    copy = scratch / "module"
    # Go's cache is read-only, also for who copies it.
    call(["cp", "--recursive", "--no-preserve=mode", original, copy])
    for name, text in program.additions:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text)
    for name in ("go.mod", "go.sum"):
        shutil.copy(program.folder / name, scratch)
    with (scratch / "go.mod").open("a") as file:
        file.write(f"\nreplace {program.origin} => {copy}\n")
    return ["-modfile", str(scratch / "go.mod")]


def say(line: str) -> None:
    """Tell whoever waits; standard output belongs to results."""
    print(line, file=sys.stderr, flush=True)
