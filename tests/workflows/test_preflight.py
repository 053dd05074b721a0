"""Before anything is touched a release asks whether all that it needs is there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from tests.temporal import unique
from tests.workflows.lab import Lab, Trial
from workflows.contracts.references import ReferenceProblem
from workflows.engine.preflight import Preflight
from workflows.model.backtest import Backtested
from workflows.model.target import Template


async def failure(trial: Trial) -> ApplicationError:
    """How a release failed."""
    handle = await trial.start()
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


async def test_a_release_that_could_not_begin_touches_nothing_and_tells_everything(lab: Lab) -> None:
    trial = lab.release(components=("web", "shop"))
    lab.world.missing = [
        ReferenceProblem(component="shop", field="workload.deployment", message="is not there"),
        ReferenceProblem(component="web", message="is not healthy"),
        ReferenceProblem(component="web", field="artifact.image", message="nobody knows", is_certain=False),
    ]
    cause = await failure(trial)
    assert (cause.type, cause.non_retryable) == ("PreflightFailed", True)
    assert list(cause.details[0]) == [
        {"path": "spec.components[1].workload.deployment", "message": "is not there"},
        {"path": "spec.components[0]", "message": "is not healthy"},
    ]
    assert all(place.log == [] and place.mark is None for place in lab.world.places.values())


@pytest.mark.parametrize("is_signal", [True, False], ids=["signal", "update"])
async def test_an_abort_ends_a_check_that_takes_its_time(lab: Lab, is_signal: bool) -> None:
    lab.world.checking = asyncio.Event()
    trial = lab.release()
    handle = await trial.start()
    said = {"firstRunId": handle.first_execution_run_id, "by": "ann@example.com"}
    await asyncio.sleep(0.3)
    if is_signal:
        await handle.signal("abort", said)
    else:
        await handle.execute_update("abort", said)
    outcome, result = await trial.end(10)
    assert (outcome, result["message"]) == ("Aborted", "aborted by ann@example.com")
    assert trial.place.log == []
    assert trial.place.mark is None


async def test_other_messages_wait_for_the_plan(lab: Lab) -> None:
    lab.world.checking = asyncio.Event()
    trial = lab.release()
    handle = await trial.start()
    said = {"firstRunId": handle.first_execution_run_id, "by": "ann@example.com"}
    messages: dict[str, dict[str, Any]] = {"pause": {"sequence": 0}, "abort": {"reason": "superseded"}}
    for name, more in messages.items():
        assert "still being planned" in await trial.send(name, said | more)
    lab.world.checking.set()
    assert (await trial.end())[0] == "Succeeded"


async def test_what_nobody_could_tell_is_a_warning(lab: Lab) -> None:
    lab.world.missing = [ReferenceProblem(component="shop", message="the registry is silent", is_certain=False)]
    trial = lab.release()
    await trial.start()
    status = await trial.until(lambda status: status.components)
    assert status.warnings == ("shop: the registry is silent",)
    assert (await trial.end())[0] == "Succeeded"


async def test_what_is_arranged_beside_the_steps_is_part_of_the_plan(lab: Lab) -> None:
    lab.world.arranged = {"shop": ("copied for the pods of shop-canary: NetworkPolicy shop",)}
    found = await inquire(lab, "preflight", {"plan": lab.release().name}, Preflight)
    assert found.plan.notes == ("shop: copied for the pods of shop-canary: NetworkPolicy shop",)


async def test_the_release_runs_what_the_check_made_of_its_tags(lab: Lab) -> None:
    pinned = Template(version="v2", digest="pinned", body={"images": {"": "trip:v2@sha256:1"}})
    lab.world.pins = {"shop": pinned}
    trial = lab.release()
    await trial.start()
    assert (await trial.end())[0] == "Succeeded"
    assert trial.place.slots["stable"].template == pinned


async def inquire(lab: Lab, question: str, about: Any, shape: type | None = None) -> Any:
    return await lab.client.execute_workflow(
        "Inquiry", args=[question, about], id=unique("inquiry"), task_queue=lab.queue, result_type=shape
    )


async def test_the_same_is_told_to_whoever_only_asks(lab: Lab) -> None:
    trial = lab.release()
    assert (await inquire(lab, "preflight", {"plan": trial.name}, Preflight)).problems == ()
    lab.world.missing = [ReferenceProblem(component="shop", field="capacity", message="no room")]
    found = await inquire(lab, "preflight", {"plan": trial.name}, Preflight)
    assert (found.reason, [problem.path for problem in found.problems]) == (
        "PreflightFailed",
        ["spec.components[0].capacity"],
    )
    assert trial.place.log == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "give one of the questions backtest, clusters, deployment, metrics, preflight, and what it is about"),
        (["weather"], "these workers don't know ('weather',)"),
        ([{"preflight": 1}], "give one of the questions"),
        (["preflight", {}, {}], "give one of the questions"),
        (["preflight", "release.yaml"], "preflight: Input should be a valid dictionary"),
        (["metrics"], "metrics: Input should be a valid dictionary"),
        (["backtest", {"since": "noon"}], "backtest: analysis: Field required"),
        (["deployment", None], "deployment: "),
    ],
    ids=str,
)
async def test_anything_but_a_question_ends_at_once_and_says_what_is_wanted(
    lab: Lab, given: list[Any], said: str
) -> None:
    """Started by hand: what can't be read must not wedge."""
    with pytest.raises(WorkflowFailureError) as failed:
        await lab.client.execute_workflow("Inquiry", args=given, id=unique("inquiry"), task_queue=lab.queue)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "BadSpec"
    assert said in failed.value.cause.message


async def test_the_past_is_played_by_the_observers_and_what_is_wrong_is_said(lab: Lab) -> None:
    about: dict[str, Any] = {"analysis": {}, "canary": 'pod="a"', "stable": 'pod="b"', "since": 0, "until": 60}
    assert (await inquire(lab, "backtest", about, Backtested)).windows[0].decision.verdict == "pass"
    with pytest.raises(WorkflowFailureError) as failed:
        await inquire(lab, "backtest", {**about, "canary": 'pod="nothing"'})
    assert "Prometheus has no http_requests_total" in str(failed.value.cause)
