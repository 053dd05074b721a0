"""`plan --check` and `init deployment/NAME` ask a worker, and say what it says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.testing import WorkflowEnvironment
from typer.testing import CliRunner, Result

from cli.app import app
from tests.cli.conftest import Headgated
from tests.cli.real import RealRelease, a_release
from tests.temporal import address_of, unique
from workflows.contracts.metrics import Examined, Measured, MetricExamined, MetricProblem, VersionSeen
from workflows.contracts.references import ClusterSeen, ContainerSeen, Described, Leftover, ReferenceProblem, Surveyed
from workflows.contracts.workers import CONTRACT, Introduction


class Desk:
    """A command line in front of real workflows."""

    def __init__(self, real: RealRelease, folder: Path) -> None:
        self.real, self.folder, self.name = real, folder, unique("shop")

    def write(self, **spec: Any) -> Path:
        """A document whose target runs v1 on four instances."""
        document = a_release(self.name)
        self.real.prepare(document)
        document["spec"] |= spec
        file = self.folder / "release.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        return file

    def compare(self) -> Path:
        """The same, judged by evidence."""
        file = self.write()
        document = yaml.safe_load(file.read_text())
        metric = {"name": "errors", "kind": "ratio", "source": "envoy", "compare": {}}
        document["spec"]["components"][0]["analysis"] = {"metrics": [metric]}
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        return file

    async def run(self, *arguments: Any) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, [str(argument) for argument in arguments])


@pytest.fixture
def desk(real: RealRelease, dev_server: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("TEMPORAL_ADDRESS", address_of(dev_server))
    monkeypatch.setenv("HEADGATE_TASK_QUEUE", real.queue)
    monkeypatch.setenv("COLUMNS", "200")
    return Desk(real, tmp_path)


async def test_what_can_begin_is_planned_from_what_runs(desk: Desk) -> None:
    result = await desk.run("plan", desk.write(), "--check")
    assert result.exit_code == 0, result.output
    assert "Checked by a worker, by its policy" in result.stdout
    assert f"{desk.name}: 4 instances of v1 running now" in result.stdout
    assert "at most 9 instances at one time" in result.stdout


async def test_warnings_do_not_refuse(desk: Desk) -> None:
    message = "the registry is silent"
    desk.real.world.missing = [ReferenceProblem(component=desk.name, message=message, is_certain=False)]
    result = await desk.run("plan", desk.write(), "--check", "-o", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["warnings"] == [f"{desk.name}: the registry is silent"]


async def test_forecast_is_for_the_traffic_that_was_measured_unless_one_is_given(desk: Desk) -> None:
    file = desk.compare()
    desk.real.world.traffic[desk.name] = Measured(
        requests_per_second=37.4, failing=0.002, message="measured over the last hour"
    )
    text = (await desk.run("plan", file, "--check")).stdout
    assert "at 37.4 requests/s (measured over the last hour), 0.2 % of them failing" in text
    told = json.loads((await desk.run("plan", file, "--check", "-o", "json")).stdout)["components"][0]["forecast"]
    assert (told["requestsPerSecond"], told["failing"]) == (37.4, 0.002)
    text = (await desk.run("plan", file, "--check", "--requests-per-second", "5")).stdout
    assert "at 5 requests/s (--requests-per-second), 0.1 % of them failing" in text


async def test_traffic_that_nobody_knows_is_assumed_and_said_to_be(desk: Desk) -> None:
    file = desk.compare()
    text = (await desk.run("plan", file, "--check")).stdout
    assert f"{desk.name}: its traffic is not known: nobody counts" in text
    assert "at 100 requests/s (--requests-per-second)" in text


async def test_everything_that_is_missing_is_told_with_its_line(desk: Desk) -> None:
    file = desk.write()
    problems = {"workload.service": "is not there; create it", "capacity": "there is no room"}
    desk.real.world.missing = [
        ReferenceProblem(component=desk.name, field=field, message=message) for field, message in problems.items()
    ]
    result = await desk.run("plan", file, "--check")
    line = file.read_text().splitlines().index(f"      service: {desk.name}") + 1
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {file}: the document is right, and a release could not begin\n")
    assert f"  line {line}: spec.components[0].workload.service: is not there; create it\n" in result.stderr
    assert "spec.components[0].capacity: there is no room\n" in result.stderr
    told = json.loads((await desk.run("plan", file, "--check", "-o", "json")).stdout)["error"]
    assert (told["reason"], len(told["problems"])) == ("PreflightFailed", 2)


async def test_the_same_ends_a_release_that_is_started(desk: Desk) -> None:
    desk.real.world.missing = [ReferenceProblem(component=desk.name, field="capacity", message="there is no room")]
    result = await desk.run("start", desk.write(), "--wait")
    assert result.exit_code == 2
    assert "spec.components[0].capacity: there is no room" in result.stdout


async def test_the_workers_policy_judges(desk: Desk) -> None:
    result = await desk.run("plan", desk.write(environment="elsewhere"), "--check", "-o", "json")
    told = json.loads(result.stdout)["error"]
    assert (result.exit_code, told["reason"]) == (2, "PolicyRefused")
    assert "policy knows no environment elsewhere" in told["problems"][0]["message"]
    both = await desk.run("plan", desk.write(), "--check", "--policy", desk.folder / "release.yaml")
    assert both.exit_code == 2
    assert "the worker judges by its own policy; leave --policy out" in both.stderr


def test_without_a_worker_the_check_says_so(run: Headgated, tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(json.dumps(a_release("shop")))
    result = run("plan", file, "--check")
    assert result.exit_code == 5
    assert "no worker answered on task queue" in result.stderr


async def test_a_document_is_written_from_a_deployment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    trip = ContainerSeen(name="trip", image="registry.example/trip:v1", ports=(8080,))
    desk.real.world.described["trip"] = Described(
        containers=(trip,), replicas=2, services=("trip",), unseen=("volumes",)
    )
    result = await desk.run("init", "deployment/trip", "--in", "prod/shop", "-e", "production")
    assert result.exit_code == 0, result.output
    assert "wrote trip.yaml" in result.stdout
    assert "note: the worker may not look at volumes" in result.stderr
    assert (await desk.run("validate", "trip.yaml")).exit_code == 0
    again = await desk.run("init", "deployment/trip", "--in", "prod/shop")
    assert (again.exit_code, again.stderr) == (2, "error: trip.yaml exists already; give another FILE.\n")
    arguments = ("deployment/trip", "other.yaml", "--in", "prod/shop", "--name", "journey", "-o", "json")
    assert json.loads((await desk.run("init", *arguments)).stdout)["file"] == "other.yaml"
    assert "  name: journey\n" in (desk.folder / "other.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["deployment/trap", "--in", "prod/shop"], "Deployment shop/trap does not exist"),
        (["deployment/trip"], "say where deployment/trip is: --in CLUSTER/NAMESPACE"),
        (["deployment/trip", "--in", "prod"], "say where deployment/trip is: --in CLUSTER/NAMESPACE"),
        (["statefulset/trap", "--in", "prod/shop"], "StatefulSet shop/trap does not exist"),
        (["deployment/Trip", "--in", "prod/shop"], "'Trip' cannot be the name of a release: only lower-case letters"),
        (["--name", "Bad_Name"], "'Bad_Name' cannot be the name of a release"),
        (["--environment", "Prod"], "'Prod' cannot be the name of an environment"),
        (["deployments/trip", "--in", "prod/shop"], "deployments/trip names no workload; write one of deployment/NAME"),
        (["release.yaml", "other.yaml"], "release.yaml names no workload"),
    ],
)
async def test_a_wrong_question_is_answered_with_a_sentence(
    desk: Desk, arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    result = await desk.run("init", *arguments)
    assert sentence in result.stderr
    assert result.exit_code == 2
    assert list(desk.folder.iterdir()) == []


async def test_doctor_tells_what_workers_see_of_their_clusters(desk: Desk) -> None:
    left = Leftover(
        object="Deployment shop/trip-canary", message="was made for a release that has ended", fix="kubectl"
    )
    clusters = (
        ClusterSeen(cluster="good", is_reached=True),
        ClusterSeen(cluster="away", message="the API server cannot be reached"),
        ClusterSeen(cluster="poor", is_reached=True, lacking=("in namespace shop: patch secrets",), leftovers=(left,)),
    )
    desk.real.world.surveyed = Surveyed(clusters=clusters, orphans=("prod/shop/deployment/trip",))
    far = unique("far")
    desk.real.world.introduction = Introduction(contract=CONTRACT, queues=(far,), reached={"far": far})
    result = await desk.run("doctor", "-o", "json")
    assert result.exit_code == 1
    found = [(f["subject"], f["state"], f["message"]) for f in json.loads(result.stdout)["findings"]]
    assert found[[subject for subject, *_ in found].index("cluster good") :][:6] == [
        ("cluster good", "ok", "reached, with the rights that every release takes, and nothing left over"),
        ("cluster away", "missing", "the API server cannot be reached"),
        ("cluster poor", "missing", "rights are missing in namespace shop: patch secrets"),
        ("cluster poor", "missing", "Deployment shop/trip-canary was made for a release that has ended"),
        (f"queue {far}", "missing", "no worker inside its cluster answered"),
        ("marks", "missing", "releases of prod/shop/deployment/trip have ended and left their mark"),
    ]


async def test_doctor_says_what_the_metrics_of_a_document_find(desk: Desk) -> None:
    running = VersionSeen(slot="stable", instances=3, series=12, requests_per_second=41.2, failing=0.0012)
    problem = MetricProblem(message="no series was found", remedy="see that its pods are scraped")
    desk.real.world.examined = Examined(
        provider="main",
        metrics=(
            MetricExamined(name="errors", kind="ratio", source="app", versions=(running, VersionSeen(slot="canary"))),
            MetricExamined(name="latency", kind="histogram", source="app", problems=(problem,)),
        ),
    )
    result = await desk.run("doctor", desk.compare())
    assert result.exit_code == 1
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "errors ratio app running 3 12 41.2 0.12% – –" in lines
    assert "canary 0 0 – – – –" in lines
    assert "✗ latency: no series was found" in lines
    assert "fix: see that its pods are scraped" in lines
    told = json.loads((await desk.run("doctor", desk.compare(), "-o", "json")).stdout)
    (component,) = told["components"].values()
    assert (told["healthy"], component["metrics"][0]["versions"][0]["requestsPerSecond"]) == (False, 41.2)
    assert component["metrics"][0]["problems"] == []


async def test_doctor_finds_nothing_wrong_with_metrics_that_answer(desk: Desk) -> None:
    desk.real.world.examined = Examined(provider="main", metrics=(MetricExamined(name="errors", kind="ratio"),))
    assert (await desk.run("doctor", desk.compare())).exit_code == 0
    desk.real.world.examined = Examined(problems=(MetricProblem(message="nobody answers", remedy="start one"),))
    result = await desk.run("doctor", desk.compare())
    assert (result.exit_code, "✗ nobody answers" in result.stdout) == (1, True)


async def test_doctor_refuses_a_document_that_cannot_be_planned_and_one_without_an_analysis_is_well(desk: Desk) -> None:
    assert "there is nothing to ask" in (await desk.run("doctor", desk.write())).stdout
    result = await desk.run("doctor", desk.write(), "--environment", "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
