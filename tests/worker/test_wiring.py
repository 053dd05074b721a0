"""Every activity that a workflow may call is done by exactly one implementation."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

import workflows.contracts
from worker.service import make_workers
from worker.settings import Settings, load
from worker.wiring import read_policy, wire, workflow_classes
from workflows.contracts.workers import CONTRACT
from workflows.errors import SpecError
from workflows.model.policy import Policy

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
async def unconnected() -> Client:
    return await Client.connect("127.0.0.1:1", lazy=True)


def name_of(function: Callable[..., Any]) -> str:
    return str(vars(function)["__temporal_activity_definition"].name)


def declared() -> set[str]:
    """The names of every activity in every contract there is."""
    modules = [
        importlib.import_module(f"workflows.contracts.{module.name}")
        for module in pkgutil.iter_modules(workflows.contracts.__path__)
    ]
    return {
        name_of(function)
        for module in modules
        for _, contract in inspect.getmembers(module, inspect.isclass)
        for _, function in inspect.getmembers(contract, inspect.isfunction)
        if "__temporal_activity_definition" in vars(function)
    }


async def test_every_contract_has_exactly_one_implementation(unconnected: Client) -> None:
    wired = wire(Settings(), read_policy(None), unconnected)

    assert Counter(map(name_of, [*wired.regular, *wired.observers])) == Counter(declared())


async def test_observers_have_a_queue_of_their_own(unconnected: Client) -> None:
    wired = wire(Settings(), read_policy(None), unconnected)

    assert [name_of(function) for function in wired.observers] == [
        "metrics.backtest",
        "metrics.examine",
        "metrics.follow",
        "metrics.measure",
        "metrics.observe",
    ]


async def test_the_settings_of_the_examples_can_be_wired(unconnected: Client, tmp_path: Path) -> None:
    for name in ("settings.yaml", "policy.yaml"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text())
    settings = load(tmp_path / "settings.yaml", {})

    wired = wire(settings, read_policy(settings.policy), unconnected)

    assert wired.providers
    assert (tmp_path / "run/envoy").is_dir()


async def test_three_workers_share_a_connection(client: Client) -> None:
    settings = Settings(task_queue="q")
    wired = wire(settings, read_policy(None), client)

    workers = make_workers(client, settings, wired)

    assert [worker.task_queue for worker in workers] == ["q", "q.observe", "q.undo"]
    assert [config_of(worker)["max_concurrent_activities"] for worker in workers] == [100, 200, 20]


async def test_a_worker_inside_a_cluster_decides_nothing(client: Client) -> None:
    settings = Settings(task_queue="q", workflows=False)

    workers = make_workers(client, settings, wire(settings, read_policy(None), client))

    assert not any(config_of(worker)["workflows"] for worker in workers)


async def test_a_worker_says_which_clusters_it_reaches_and_where_the_others_are(unconnected: Client) -> None:
    settings = load(EXAMPLES / "settings-many-clusters.yaml", {})
    wired = wire(settings, read_policy(settings.policy), unconnected)
    [introduce] = [function for function in wired.regular if name_of(function) == "workers.introduce"]

    said = await introduce()

    assert (said.contract, said.clusters, said.queues) == (CONTRACT, ("prod-kr",), ("headgate-prod-eu",))


async def test_the_settings_of_a_worker_with_a_prometheus_can_be_wired(unconnected: Client) -> None:
    settings = load(EXAMPLES / "settings-prometheus.yaml", {})

    assert sorted(settings.metrics) == ["main", "prometheus"]
    assert wire(settings, read_policy(settings.policy), unconnected).providers


async def test_the_settings_of_a_worker_inside_a_cluster_can_be_wired(unconnected: Client) -> None:
    settings = load(EXAMPLES / "settings-inside.yaml", {})

    assert wire(settings, read_policy(settings.policy), unconnected).providers
    assert not settings.workflows


def config_of(worker: Worker) -> dict[str, Any]:
    return dict(worker.config(active_config=True))


def test_workers_run_every_workflow() -> None:
    names = [vars(found)["__temporal_workflow_definition"].name for found in workflow_classes()]

    assert sorted(names) == ["Inquiry", "Janitor", "Release", "Rollback", "Rollout"]


def test_without_a_policy_no_environment_is_known() -> None:
    assert read_policy(None) == Policy.model_validate(
        {"apiVersion": "headgate.dev/v1", "kind": "Policy", "spec": {"environments": {}}}
    )


def test_a_wrong_policy_is_refused_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("apiVersion: headgate.dev/v1\nkind: Policy\nspec: {environment: {}}")

    with pytest.raises(SpecError, match=r"policy\.yaml: spec.environment"):
        read_policy(file)
