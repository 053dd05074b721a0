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
from infra.testbed.processes import last_words

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
    usual: str = "1 min"
    """How long the build takes on two idle cores, told to whoever waits."""

    @property
    def folder(self) -> Path:
        return MODULES / self.module

    @property
    def version(self) -> str:
        """What go.mod requires of the module that the package is in; ours have none."""
        required = re.findall(r"^\s*(?:require )?(\S+) (v\S+)", (self.folder / "go.mod").read_text(), re.MULTILINE)
        return next((v for name, v in sorted(required, reverse=True) if self.package.startswith(name)), "")

    @property
    def flags(self) -> list[str]:
        major, _, minor = self.version.removeprefix("v").rpartition(".")[0].partition(".")
        values = (v.format(version=self.version, major=major, minor=minor) for v in self.variables)
        return ["-trimpath", f"-tags={self.tags}", f"-ldflags={' '.join(['-s', '-w', *(f'-X {v}' for v in values)])}"]

    @property
    def digest(self) -> str:
        parts = [self.package, *self.flags, *(f.read_text() for f in sorted(self.folder.iterdir()) if f.is_file())]
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
        _podinfo("1.0.0"),
        _podinfo("1.1.0"),
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
        try:
            # Polite: whatever else runs on this machine comes first.
            self._run(
                ["nice", "-n", "19", go(), "build", *program.flags, "-o", str(making), program.package],
                program.folder,
                doing,
            )
            making.replace(self.path(program.name))
        finally:
            making.unlink(missing_ok=True)
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


def go() -> str:
    """The path of Go; BedError when there is none."""
    if not (found := shutil.which("go")):
        raise BedError("Go is not on PATH, and the cluster's programs are built with it. Install Go 1.26 or newer.")
    return found


def say(line: str) -> None:
    """Tell whoever waits; standard output belongs to results."""
    print(line, file=sys.stderr, flush=True)
