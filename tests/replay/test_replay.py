"""Every history that is committed here must go on with today's workflows, as releases do when workers are replaced."""

from __future__ import annotations

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.evolution import activities
from tests.replay.changed import HesitantRelease, HesitantRollout
from tests.replay.record import FOLDER, read
from tests.replay.scenarios import SCENARIOS
from worker.sandbox import workflow_runner
from worker.wiring import workflow_classes

RECORDED = sorted(path.stem for path in FOLDER.glob("*.json"))


def replayer(*workflows: type) -> Replayer:
    return Replayer(
        workflows=workflows or workflow_classes(),
        workflow_runner=workflow_runner(),
        data_converter=pydantic_data_converter,
    )


def kind(history: WorkflowHistory) -> str:
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


@pytest.mark.parametrize("scenario", RECORDED)
async def test_history_replays(scenario: str) -> None:
    for history in read(scenario):
        await replayer().replay_workflow(history)


@pytest.mark.parametrize("changed", [HesitantRelease, HesitantRollout], ids=["Release", "Rollout"])
async def test_a_changed_order_is_noticed(changed: type) -> None:
    name = changed.__name__.removeprefix("Hesitant")
    histories = [history for history in read("canary-good") if kind(history) == name]
    assert histories
    for history in histories:
        with pytest.raises(NondeterminismError):
            await replayer(changed).replay_workflow(history)


def test_every_scenario_is_recorded() -> None:
    assert SCENARIOS.keys() <= set(RECORDED), "run `python -m tests.replay.record`"


def test_the_scenarios_show_every_workflow_and_every_activity() -> None:
    histories = [history for scenario in RECORDED for history in read(scenario)]
    assert {kind(history) for history in histories} == {"Release", "Rollout", "Rollback", "Janitor"}
    called = {
        event.activity_task_scheduled_event_attributes.activity_type.name
        for history in histories
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    }
    local = {name for name in activities() if name.startswith("planning.")}
    # Nobody replays a question: it is over soon.
    inquired = {
        "references.describe",
        "references.survey",
        "metrics.backtest",
        "metrics.examine",
        "metrics.measure",
    }
    assert activities().keys() - called - local - inquired <= {"traffic.verify", "workloads.wait_ready"}


def test_the_histories_stay_small() -> None:
    """They are in every clone for ever."""
    assert sum(path.stat().st_size for path in FOLDER.glob("*.json")) < 4_000_000
