"""Each command with right and wrong input, through the command line itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from temporalio.client import Client
from typer.testing import CliRunner

from cli.app import app
from cli.platform import examine
from tests.cli.conftest import Headgated
from tests.cli.stub import a_document
from worker.schedule import keep_janitor
from worker.settings import Settings
from workflows.janitor import SCHEDULE_ID

ROOT = Path(__file__).parents[2]


def commands() -> list[str]:
    return sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.fixture
def spec(tmp_path: Path, name: str) -> Path:
    """A document that waits at a gate; JSON is YAML."""
    return write(tmp_path, a_document(name))


def write(folder: Path, document: dict[str, Any], file: str = "release.yaml") -> Path:
    path = folder / file
    path.write_text(json.dumps(document, indent=2))
    return path


def headgate(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, without settings of whoever runs the tests."""
    command = [sys.executable, "-m", "cli.app", *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**inherited, **variables}, timeout=60
    )


class TestEveryCommand:
    @pytest.mark.parametrize("command", commands())
    def test_has_help_with_an_example_of_itself(self, command: str) -> None:
        result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"})
        assert result.exit_code == 0
        assert f"Example:  headgate {command}" in result.stdout

    def test_that_the_plan_asks_for_is_there(self) -> None:
        wanted = (
            "init import validate plan analyze explain schema start wait status report watch approve reject pause "
            "resume advance abort rollback list history logs worker setup doctor demo"
        )
        assert commands() == sorted(wanted.split())

    @pytest.mark.parametrize("command", [["status"], ["nope"], ["status", "a/b", "--nope"], ["list", "--limit", "x"]])
    def test_exits_2_when_it_is_called_wrongly(self, command: list[str]) -> None:
        assert CliRunner().invoke(app, command).exit_code == 2

    @pytest.mark.parametrize("ref", ["shop", "a/b/c", "Test/shop", "test/", "test/sh op", "test/" + "x" * 64, "../x"])
    @pytest.mark.parametrize("command", ["status", "pause", "abort", "wait", "history"])
    def test_refuses_a_name_that_is_none(self, command: str, ref: str) -> None:
        result = CliRunner().invoke(app, [command, ref])
        assert result.exit_code == 2
        assert "write ENV/NAME" in result.stderr

    @pytest.mark.parametrize(
        "command",
        [
            ["status", "a/b"], ["report", "a/b"], ["watch", "a/b"], ["wait", "a/b"], ["list"], ["history", "a/b"],
            ["approve", "a/b", "-g", "g"], ["reject", "a/b", "-g", "g"],
            ["pause", "a/b"], ["resume", "a/b"], ["advance", "a/b"], ["abort", "a/b"],
            ["rollback", "a/b", "--to", "v1", "--reason", "r"], ["setup"],
        ],
        ids=lambda command: command[0],
    )  # fmt: skip
    def test_exits_5_with_a_sentence_when_no_server_answers(self, command: list[str]) -> None:
        result = CliRunner().invoke(app, [*command, "--address", "127.0.0.1:1", "-o", "json"])
        assert result.exit_code == 5
        assert "connection refused" in result.stderr
        assert json.loads(result.stdout)["error"]["reason"] == "Unreachable"

    def test_takes_the_connection_before_or_behind_its_name(self) -> None:
        for arguments in (["--address", "127.0.0.1:1", "list"], ["list", "--address", "127.0.0.1:1"]):
            assert "127.0.0.1:1" in CliRunner().invoke(app, arguments).stderr

    def test_takes_the_connection_from_temporals_own_profile_file(self, tmp_path: Path) -> None:
        file = tmp_path / "temporal.toml"
        file.write_text('[profile.far]\naddress = "127.0.0.1:2"\n')
        env = {"TEMPORAL_CONFIG_FILE": str(file)}
        assert "127.0.0.1:2" in CliRunner().invoke(app, ["list", "--profile", "far"], env=env).stderr
        missing = CliRunner().invoke(app, ["list", "--profile", "away"], env=env)
        assert (missing.exit_code, "profile" in missing.stderr) == (2, True)

    def test_says_that_an_address_is_none(self) -> None:
        for address in ("no such host", "nowhere.invalid:7233", "127.0.0.1"):
            result = CliRunner().invoke(app, ["list", "--address", address])
            assert result.exit_code == 5, address


class TestTheProcess:
    def test_help_loads_neither_temporal_nor_pydantic(self) -> None:
        code = (
            "import sys, cli.app; print([m for m in ('temporalio', 'pydantic', 'ruamel', 'rich') if m in sys.modules])"
        )
        assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == "[]"

    def test_exits_by_what_happened(self) -> None:
        assert headgate("explain", "release").returncode == 0
        assert headgate("explain", "nothing").returncode == 2
        assert headgate("list", "--address", "127.0.0.1:1").returncode == 5

    def test_a_closed_pipe_brings_no_traceback(self) -> None:
        command = f"{sys.executable} -m cli.app explain release.spec | head -c 1"
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)
        assert result.stderr == ""

    def test_offers_completion(self) -> None:
        result = headgate(_HEADGATE_COMPLETE="complete_bash", COMP_WORDS="headgate expl", COMP_CWORD="1")
        assert result.stdout.split() == ["explain"]
        result = headgate(
            _HEADGATE_COMPLETE="complete_bash", COMP_WORDS="headgate explain release.spec.comp", COMP_CWORD="2"
        )
        assert result.stdout.split() == ["release.spec.components"]


class TestInit:
    def test_writes_a_document_that_is_right(self, run: Headgated, tmp_path: Path) -> None:
        file = tmp_path / "release.yaml"
        assert run("init", file, "--name", "trip", "--environment", "production").exit_code == 0
        assert run("validate", file).exit_code == 0
        assert run("plan", file).exit_code == 0

    def test_never_overwrites(self, run: Headgated, tmp_path: Path) -> None:
        file = tmp_path / "release.yaml"
        file.write_text("precious")
        result = run("init", file)
        assert (result.exit_code, file.read_text()) == (2, "precious")
        assert "exists already" in result.stderr

    def test_refuses_a_name_that_is_none_and_a_folder_that_is_not_there(self, run: Headgated, tmp_path: Path) -> None:
        assert run("init", tmp_path / "a.yaml", "--name", "Not A Name").exit_code == 2
        assert run("init", tmp_path / "none" / "a.yaml").exit_code == 2
        assert list(tmp_path.iterdir()) == []


class TestValidate:
    def test_prints_file_line_path_and_what_is_wrong(self, run: Headgated, spec: Path) -> None:
        spec.write_text(spec.read_text().replace('"5"', "5").replace('"weight": 50', '"weight": 500'))
        result = run("validate", spec)
        assert result.exit_code == 2
        assert re.search(
            rf"^{spec}:\d+: spec.components\[0\].strategy.stages\[1\].weight: ", result.stdout, re.MULTILINE
        )

    def test_reads_several_files_and_tells_each(self, run: Headgated, spec: Path, tmp_path: Path) -> None:
        bad = tmp_path / "bad.yaml"
        bad.write_text("a: [")
        result = run("validate", spec, bad, tmp_path / "none.yaml", "-o", "json")
        documents = json.loads(result.stdout)["documents"]
        assert [bool(document["problems"]) for document in documents] == [False, True, True]
        assert result.exit_code == 2

    def test_leaves_other_yaml_of_a_directory_alone(self, run: Headgated, spec: Path, tmp_path: Path) -> None:
        (tmp_path / "deployment.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\n")
        result = run("validate", tmp_path)
        assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
        spec.unlink()
        assert run("validate", tmp_path).exit_code == 2

    def test_reads_standard_input(self, run: Headgated, spec: Path) -> None:
        assert "standard input: Release" in run("validate", "-", stdin=spec.read_text()).stdout
        assert run("validate", "-", stdin="").exit_code == 2

    def test_takes_what_start_will_be_given(self, run: Headgated, tmp_path: Path, name: str) -> None:
        document = a_document(name)
        del document["spec"]["version"]
        spec = write(tmp_path, document)
        assert run("validate", spec).exit_code == 2
        assert run("validate", spec, "--version", "v3").exit_code == 0


class TestPlan:
    def test_shows_steps_weights_and_the_way_back(self, run: Headgated, spec: Path) -> None:
        result = run("plan", spec, "--replicas", "4")
        assert result.exit_code == 0
        for words in ("Baseline assumed: 4", "5 %", "50 %", "100 %", "undo", "at most", "No --policy given"):
            assert words in result.stdout

    def test_says_what_nothing_guards(self, run: Headgated, spec: Path) -> None:
        assert "warning" in run("plan", spec).stdout

    def test_has_a_stable_json_shape(self, run: Headgated, spec: Path, name: str) -> None:
        plan = json.loads(run("plan", spec, "-o", "json").stdout)
        assert plan["release"] == f"test/{name}"
        component = plan["components"][0]
        assert set(component) >= {"name", "wave", "kind", "peakReplicas", "undo", "warnings", "steps", "observeSeconds"}
        assert component["steps"][-1]["newVersionPercent"] == 100

    def test_without_replicas_it_is_a_first_release(self, run: Headgated, spec: Path) -> None:
        plan = json.loads(run("plan", spec, "--replicas", "0", "-o", "json").stdout)
        assert plan["components"][0]["kind"] == "initial"

    def test_is_judged_by_the_policy(self, run: Headgated, spec: Path, tmp_path: Path) -> None:
        policy = tmp_path / "policy.yaml"
        policy.write_text(POLICY)
        result = run("plan", spec, "--policy", policy)
        assert result.exit_code == 0, result.stderr
        assert "gate before users reach it: production, 2 of leads" in result.stdout
        refused = run("plan", spec, "--policy", policy, "--environment", "elsewhere", "-o", "json")
        assert refused.exit_code == 2
        error = json.loads(refused.stdout)["error"]
        assert error["reason"] == "PolicyRefused"
        assert error["problems"][0]["line"]

    def test_refuses_a_wrong_document_and_a_wrong_policy(self, run: Headgated, spec: Path, tmp_path: Path) -> None:
        assert run("plan", tmp_path / "none.yaml").exit_code == 2
        assert run("plan", spec, "--policy", spec).exit_code == 2
        assert run("plan", spec, "--replicas", "-1").exit_code == 2


POLICY = """\
apiVersion: headgate.dev/v1
kind: Policy
spec:
  groups: {leads: [ann@example.com, bob@example.com]}
  environments:
    test:
      targets: [{cluster: local, namespaces: [default]}]
      approvals: [{name: production, count: 2, from: [leads]}]
"""


class TestExplainAndSchema:
    @pytest.mark.parametrize(
        "path",
        [
            "release", "policy", "release.spec.components.strategy.canary.stages", "release.spec.components[0].drain",
            "Release.spec.holdFor", "policy.spec.environments.approvals", "release.spec.components.analysis.metrics",
        ],
    )  # fmt: skip
    def test_explains_a_path(self, run: Headgated, path: str) -> None:
        assert run("explain", path).exit_code == 0
        assert set(json.loads(run("explain", path, "-o", "json").stdout)) == {"path", "type", "description", "variants"}

    def test_says_what_is_allowed_and_what_is_assumed(self, run: Headgated) -> None:
        said = run("explain", "release.spec").stdout
        assert "rollbackAll | rollbackFailed | hold" in said
        assert "default 4h" in said
        assert "required" in said

    def test_shares_are_shown_as_they_must_be_written(self, run: Headgated) -> None:
        metrics = "release.spec.components.analysis.metrics"
        rule = json.loads(run("explain", f"{metrics}.ratio.rule", "-o", "json").stdout)["variants"][""]
        assert {f["type"] for f in rule if f["name"] in ("alert", "rollback", "success")} == {"share (0.1%)"}
        assert "share (0.1%)  default 95%" in run("explain", f"{metrics}.histogram").stdout

    @pytest.mark.parametrize("path", ["pipeline", "release.spec.compnents", "release.spec.holdFor.deeper"])
    def test_names_what_there_is_instead(self, run: Headgated, path: str) -> None:
        result = run("explain", path)
        assert result.exit_code == 2
        assert re.search(r"there are|start with|has no fields", result.stderr)


class TestSchema:
    @pytest.mark.parametrize("kind", ["release", "policy", "Release"])
    def test_prints_json(self, run: Headgated, kind: str) -> None:
        assert json.loads(run("schema", kind).stdout)["title"]

    def test_check_tells_a_stale_file_and_write_makes_it_right(self, run: Headgated, tmp_path: Path) -> None:
        folder = ("--directory", tmp_path / "schema")
        missing = run("schema", "--check", *folder)
        assert (missing.exit_code, "headgate schema --write" in missing.stderr) == (1, True)
        assert run("schema", "--write", *folder).exit_code == 0
        assert run("schema", "--check", *folder).exit_code == 0
        assert (tmp_path / "schema" / "policy.schema.json").read_text() == run("schema", "policy").stdout

    def test_the_committed_files_are_up_to_date(self, run: Headgated) -> None:
        assert run("schema", "--check", "--directory", ROOT / "docs/reference/schema").exit_code == 0

    def test_refuses_another_kind(self, run: Headgated) -> None:
        assert run("schema", "pipeline").exit_code == 2


class TestStart:
    pytestmark = pytest.mark.usefixtures("worker")

    def test_says_what_it_started_and_how_to_follow(self, run: Headgated, spec: Path, name: str) -> None:
        result = run("start", spec)
        assert result.exit_code == 0, result.stderr
        assert f"started test/{name} v1.2.0" in result.stdout
        assert f"headgate watch test/{name}" in result.stdout

    def test_the_command_line_wins_over_the_file(self, run: Headgated, spec: Path, name: str) -> None:
        run(
            "start", spec, "--version", "v7", "-e", "staging", "--set", f"spec.components.{name}.drain=1s", "--by", "ci"
        )
        status = json.loads(run("status", f"staging/{name}", "-o", "json").stdout)
        assert status["version"] == "v7"

    def test_joins_the_same_document_and_exits_6_for_another(self, run: Headgated, spec: Path) -> None:
        first = json.loads(run("start", spec, "-o", "json").stdout)
        second = json.loads(run("start", spec, "-o", "json", "--by", "somebody").stdout)
        assert (second["joined"], second["runId"]) == (True, first["runId"])
        refused = run("start", spec, "--version", "v2", "-o", "json")
        assert refused.exit_code == 6
        assert json.loads(refused.stdout)["error"]["reason"] == "AnotherRelease"

    def test_supersedes_when_asked(self, run: Headgated, spec: Path) -> None:
        run("start", spec)
        result = run("start", spec, "--version", "v2", "--supersede", "-o", "json")
        assert (result.exit_code, json.loads(result.stdout)["superseded"]) == (0, "v1.2.0")

    @pytest.mark.parametrize(
        ("stub", "code"),
        [
            ("Succeeded", 0),
            ("Failed", 1),
            ("bad", 2),
            ("RolledBack", 3),
            ("Aborted", 4),
            ("Rejected", 4),
            ("Undoable", 7),
        ],
    )
    def test_waits_and_exits_by_the_outcome(
        self, run: Headgated, tmp_path: Path, name: str, stub: str, code: int
    ) -> None:
        result = run("start", write(tmp_path, a_document(name, stub=stub)), "--wait", "-o", "json")
        assert result.exit_code == code
        assert json.loads(result.stdout)["exitCode"] == code
        assert run("wait", f"test/{name}").exit_code == code

    def test_shows_progress_line_by_line_without_a_terminal(self, run: Headgated, tmp_path: Path, name: str) -> None:
        result = run("start", write(tmp_path, a_document(name, stub="RolledBack")), "--wait")
        assert re.search(rf"\d\d:\d\d:\d\d test/{name}: RolledBack", result.stderr)
        assert "RolledBack" in result.stdout

    def test_gives_up_waiting_after_the_timeout(self, run: Headgated, spec: Path, name: str) -> None:
        assert run("start", spec, "--wait", "--timeout", "1s").exit_code == 5
        assert run("wait", f"test/{name}", "--timeout", "1s").exit_code == 5
        assert run("wait", f"test/{name}", "--timeout", "soon").exit_code == 2

    def test_flags_become_part_of_the_document(self, run: Headgated, spec: Path) -> None:
        first = json.loads(run("start", spec, "--again", "--restart", "-o", "json").stdout)
        assert json.loads(run("start", spec, "--again", "--restart", "-o", "json").stdout)["runId"] == first["runId"]
        assert run("start", spec).exit_code == 6

    def test_refuses_a_wrong_document_before_anything_starts(self, run: Headgated, spec: Path, name: str) -> None:
        result = run("start", spec, "--set", "spec.components.nope.drain=1s")
        assert result.exit_code == 2
        assert "there is no element 'nope'" in result.stderr
        assert run("start", spec, "--set", "spec.holdFor=soon").exit_code == 2
        assert run("status", f"test/{name}").exit_code == 2


class TestSteering:
    pytestmark = pytest.mark.usefixtures("worker")

    @pytest.fixture
    def ref(self, run: Headgated, spec: Path, name: str) -> str:
        assert run("start", spec).exit_code == 0
        return f"test/{name}"

    def test_two_approvals_let_it_go_on(self, run: Headgated, ref: str) -> None:
        first = run("approve", ref, "--by", "ann", "--comment", "good")
        assert (first.exit_code, "as ann (unverified)" in first.stdout) == (0, True)
        assert run("approve", ref, "--gate", "production", "--by", "bob").exit_code == 0
        assert run("wait", ref).exit_code == 0

    def test_a_refusal_is_exit_1_with_the_releases_sentence(self, run: Headgated, ref: str) -> None:
        result = run("approve", ref, "--gate", "nope", "-o", "json")
        assert result.exit_code == 1
        error = json.loads(result.stdout)["error"]
        assert error["reason"] == "Refused"
        assert "there is no open gate 'nope'" in error["message"]

    def test_a_rejection_ends_it_with_4(self, run: Headgated, ref: str) -> None:
        assert run("reject", ref, "--gate", "production", "--comment", "no").exit_code == 0
        assert run("wait", ref).exit_code == 4

    def test_pause_and_resume_and_a_stale_pause(self, run: Headgated, ref: str) -> None:
        assert json.loads(run("pause", ref, "-o", "json").stdout)["phase"] == "Paused"
        assert json.loads(run("resume", ref, "-o", "json").stdout)["phase"] == "Observing"
        stale = run("pause", ref, "--sequence", "0")
        assert (stale.exit_code, "stale" in stale.stderr) == (1, True)

    def test_advance_and_abort(self, run: Headgated, ref: str) -> None:
        assert run("advance", ref, "--full").exit_code == 0
        assert run("wait", ref).exit_code == 0
        ended = run("abort", ref)
        assert (ended.exit_code, "is not running" in ended.stderr) == (1, True)

    def test_abort_ends_it_with_4(self, run: Headgated, ref: str) -> None:
        assert run("abort", ref, "--reason", "it smells").exit_code == 0
        result = run("wait", ref)
        assert (result.exit_code, "it smells" in result.stdout) == (4, True)

    def test_abandoning_the_undo_needs_a_reason_and_ends_it_with_7(self, run: Headgated, ref: str) -> None:
        assert run("abort", ref, "--abandon-undo").exit_code == 2
        assert run("abort", ref, "--abandon-undo", "--reason", "the cluster is gone").exit_code == 0
        assert run("wait", ref).exit_code == 7

    def test_choosing_among_open_gates(self, run: Headgated, tmp_path: Path, name: str) -> None:
        run("start", write(tmp_path, a_document(name, stub="two gates")))
        many = run("approve", f"test/{name}")
        assert (many.exit_code, "production/0, production/1" in many.stderr) == (2, True)

    def test_nothing_to_approve(self, run: Headgated, tmp_path: Path, name: str) -> None:
        run("start", write(tmp_path, a_document(name, stub="Succeeded")), "--wait")
        assert run("approve", f"test/{name}").exit_code == 2

    def test_rollback_tells_its_end(self, run: Headgated, name: str) -> None:
        done = run("rollback", f"test/{name}", "--to", "v1.1.0", "--reason", "orders are lost", "--wait", "-o", "json")
        assert (done.exit_code, json.loads(done.stdout)["outcome"]) == (0, "Succeeded")
        assert run("rollback", f"test/{name}", "--to", "v9", "--reason", "try", "--wait").exit_code == 1
        assert run("status", f"test/{name}", "--rollback").exit_code == 0
        assert run("rollback", f"test/{name}", "--to", "v1").exit_code == 2


class TestLooking:
    pytestmark = pytest.mark.usefixtures("worker")

    def test_status_shows_what_it_waits_for_and_the_command_that_answers(
        self, run: Headgated, tmp_path: Path, name: str
    ) -> None:
        run("start", write(tmp_path, a_document(name, stub="gate and rollout")))
        shown = run("status", f"test/{name}").stdout
        for words in ("Observing", f"headgate approve test/{name} --gate production", "0 of 2 by tech-leads"):
            assert words in shown

    def test_status_has_a_stable_json_shape(self, run: Headgated, spec: Path, name: str) -> None:
        run("start", spec)
        status = json.loads(run("status", f"release/test/{name}", "-o", "json").stdout)
        assert list(status) == [
            "release", "workflowId", "runId", "firstRunId", "state", "phase", "version", "startedAt", "closedAt",
            "outcome", "exitCode", "reason", "message", "status", "result", "notes",
        ]  # fmt: skip
        assert status["status"]["gates"][0]["name"] == "production"

    def test_report_tells_of_running_and_ended_releases_and_writes_a_page(
        self, run: Headgated, tmp_path: Path, name: str
    ) -> None:
        file = tmp_path / "report.html"
        run("start", write(tmp_path, a_document(name, stub="gate and rollout")))
        while not json.loads(run("report", f"test/{name}", "-o", "json").stdout)["components"]:
            pass  # Its Rollout has not said anything yet.
        assert "latency  failed  " in run("report", f"test/{name}", "--html", str(file)).stdout
        assert "the metric store did not answer for 40 s" in file.read_text()
        run("abort", f"test/{name}")
        run("wait", f"test/{name}")
        ended = json.loads(run("report", f"test/{name}", "-o", "json").stdout)
        assert (ended["outcome"], len(ended["components"][0]["metrics"])) == ("Aborted", 3)

    def test_an_unknown_release_is_exit_2(self, run: Headgated) -> None:
        for command in ("status", "report", "wait", "watch"):
            assert run(command, "test/never-was").exit_code == 2

    def test_an_earlier_run_can_be_looked_at(self, run: Headgated, tmp_path: Path, name: str) -> None:
        first = json.loads(run("start", write(tmp_path, a_document(name, stub="RolledBack")), "-o", "json").stdout)
        run("wait", f"test/{name}")
        run("start", write(tmp_path, a_document(name)))
        earlier = json.loads(run("status", f"test/{name}", "--run", first["runId"], "-o", "json").stdout)
        assert earlier["outcome"] == "RolledBack"

    def test_list_and_history(self, run: Headgated, tmp_path: Path, name: str) -> None:
        run("start", write(tmp_path, a_document(name, stub="RolledBack")), "--wait")
        history = json.loads(run("history", f"test/{name}", "-o", "json").stdout)
        assert [(past["version"], past["outcome"]) for past in history] in ([("v1.2.0", "RolledBack")], [])
        assert run("history", f"test/{name}").exit_code == 0
        assert run("list", "--environment", "test", "--phase", "observing").exit_code == 0
        assert isinstance(json.loads(run("list", "--all", "-o", "json").stdout), list)

    def test_list_refuses_a_phase_or_environment_that_is_none(self, run: Headgated) -> None:
        wrong = run("list", "--phase", "Dancing")
        assert (wrong.exit_code, "Observing" in wrong.stderr) == (2, True)
        assert run("list", "--environment", "x' OR 1=1").exit_code == 2

    def test_history_of_nothing_says_so(self, run: Headgated) -> None:
        assert "no runs" in run("history", "test/never-was").stdout


class TestPlatform:
    def test_setup_can_be_repeated_and_doctor_sees_it(self, run: Headgated) -> None:
        assert run("setup").exit_code == 0
        again = json.loads(run("setup", "-o", "json").stdout)
        assert again == {"searchAttributes": {"added": []}}
        findings = {f["subject"]: f for f in json.loads(run("doctor", "-o", "json").stdout)["findings"]}
        for subject in ("temporal server", "search attributes", "leftovers", "temporal", "envoy"):
            assert findings[subject]["state"] == "ok", findings[subject]
        assert findings["worker for releases"]["state"] == findings["janitor"]["state"] == "missing"

    @pytest.mark.usefixtures("worker")
    def test_doctor_sees_the_worker_of_each_queue(self, run: Headgated) -> None:
        findings = {f["subject"]: f for f in json.loads(run("doctor", "-o", "json").stdout)["findings"]}
        assert findings["worker for releases"]["state"] == "ok"
        assert findings["worker for undo"]["state"] == "missing"

    async def test_doctor_sees_the_schedule_that_a_worker_keeps(self, temporal: Client, queue: str) -> None:
        await keep_janitor(temporal, Settings(task_queue=queue))
        try:
            for asked, state in ((queue, "ok"), ("another", "missing")):
                findings = {finding.subject: finding.state async for finding in examine(temporal, asked)}
                assert findings["janitor"] == state
        finally:
            await temporal.get_schedule_handle(SCHEDULE_ID).delete()

    def test_doctor_exits_1_and_says_how_to_fix(self, run: Headgated) -> None:
        result = run("doctor")
        assert result.exit_code == 1
        assert "fix: headgate worker" in result.stdout

    def test_doctor_works_without_a_server(self, run: Headgated) -> None:
        result = run("doctor", "--address", "127.0.0.1:1")
        assert result.exit_code == 1
        assert "temporal server start-dev" in result.stdout

    def test_doctor_reads_the_settings_file(
        self, run: Headgated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for content, state in (("slots: {}\n", "ok"), ("slots: [", "missing"), ("- a\n", "missing"), (None, "missing")):
            file = tmp_path / "headgate.yaml"
            file.unlink(missing_ok=True)
            if content:
                file.write_text(content)
            monkeypatch.setenv("HEADGATE_SETTINGS", str(file))
            findings = {f["subject"]: f for f in json.loads(run("doctor", "-o", "json").stdout)["findings"]}
            assert findings["settings"]["state"] == state, content

    def test_worker_refuses_wrong_settings(self, tmp_path: Path) -> None:
        file = tmp_path / "headgate.yaml"
        file.write_text("nonsense: 1\n")
        result = headgate("worker", "--settings", str(file))
        assert result.returncode == 2, result.stderr
        assert "nonsense" in result.stderr
