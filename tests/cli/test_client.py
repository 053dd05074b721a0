from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import Client

from cli.client import Headgate
from cli.digest import digest
from cli.errors import AnotherRelease, BadInput, CommandError
from cli.names import Ref
from cli.render.follow import snapshots
from cli.snapshot import Ending, Listed
from cli.visibility import Filter
from tests.cli.stub import a_document, a_worker
from workflows.model.messages import Voice
from workflows.model.status import ReleaseStatus

pytestmark = pytest.mark.usefixtures("polled")


async def test_a_start_runs_the_document_under_its_address(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name))
    snapshot = await headgate.status(Ref("test", name))
    assert started.workflow_id == f"release/test/{name}"
    assert not started.joined
    assert (snapshot.phase, snapshot.version) == ("Observing", "v1.2.0")
    assert snapshot.status
    assert snapshot.status.first_run_id == started.run_id


async def test_the_same_document_joins_the_running_release_whoever_asks(headgate: Headgate, name: str) -> None:
    document = a_document(name)
    first = await headgate.start(document)
    document["metadata"] = {**document["metadata"], "requestedBy": "somebody-else"}
    second = await headgate.start(document)
    assert second.joined
    assert second.run_id == first.run_id


async def test_a_different_document_is_refused_with_the_remedy(headgate: Headgate, name: str) -> None:
    first = await headgate.start(a_document(name))
    with pytest.raises(AnotherRelease) as refused:
        await headgate.start(a_document(name, version="v1.3.0"))
    for word in (f"test/{name}", "v1.2.0", first.run_id, "--supersede"):
        assert word in str(refused.value)
    assert refused.value.exit_code == 6


async def test_supersede_waits_for_the_undo_of_the_running_release(headgate: Headgate, name: str) -> None:
    first = await headgate.start(a_document(name, stub="gate slow"))
    lines: list[str] = []
    second = await headgate.start(a_document(name, version="v1.3.0"), supersede=True, progress=lines.append)
    ended = await headgate.wait(Ref("test", name), run_id=first.run_id)
    assert (ended.outcome, ended.reason) == ("Aborted", "superseded")
    assert second.superseded == "v1.2.0"
    assert (await headgate.status(Ref("test", name))).version == "v1.3.0"
    assert "v1.2.0" in lines[0]


async def test_supersede_that_policy_forbids_leaves_the_running_release_alone(headgate: Headgate, name: str) -> None:
    first = await headgate.start(a_document(name, change={"reason": "keep this one"}))
    with pytest.raises(CommandError, match="policy does not permit"):
        await headgate.start(a_document(name, version="v1.3.0"), supersede=True)
    assert (await headgate.status(Ref("test", name))).execution.run_id == first.run_id


async def test_an_ended_release_leaves_its_name_free(headgate: Headgate, name: str) -> None:
    first = await headgate.start(a_document(name, stub="Succeeded"))
    await headgate.wait(Ref("test", name), run_id=first.run_id)
    second = await headgate.start(a_document(name, stub="Succeeded"))
    assert not second.joined
    assert second.run_id != first.run_id


async def test_a_start_through_another_client_is_joined_too(
    headgate: Headgate, temporal: Client, queue: str, name: str
) -> None:
    document = a_document(name)
    await temporal.start_workflow("Release", document, id=f"release/test/{name}", task_queue=queue)
    assert (await headgate.start(document)).joined


@pytest.mark.parametrize(
    ("stub", "outcome", "code"),
    [
        ("Succeeded", "Succeeded", 0),
        ("Failed", "Failed", 1),
        ("bad", "BadSpec", 2),
        ("RolledBack", "RolledBack", 3),
        ("Aborted", "Aborted", 4),
        ("Rejected", "Rejected", 4),
        ("Undoable", "Failed", 7),
    ],
)
async def test_every_end_has_its_exit_code(headgate: Headgate, name: str, stub: str, outcome: str, code: int) -> None:
    started = await headgate.start(a_document(name, stub=stub))
    ending = await headgate.wait(started.ref, run_id=started.run_id)
    assert (ending.outcome, ending.exit_code) == (outcome, code)


async def test_a_bad_document_ends_with_its_field_errors(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name, stub="bad"))
    ending = await headgate.wait(started.ref)
    assert [str(problem) for problem in ending.problems] == ["spec.components[0].workload: cluster is not allowed"]


async def test_a_terminated_release_counts_as_not_undone(headgate: Headgate, temporal: Client, name: str) -> None:
    started = await headgate.start(a_document(name))
    await temporal.get_workflow_handle(started.workflow_id).terminate("by hand")
    ending = await headgate.wait(started.ref)
    assert (ending.outcome, ending.exit_code) == ("Terminated", 7)


async def test_a_cancelled_release_counts_as_aborted(headgate: Headgate, temporal: Client, name: str) -> None:
    started = await headgate.start(a_document(name))
    await temporal.get_workflow_handle(started.workflow_id).cancel()
    ending = await headgate.wait(started.ref)
    assert (ending.outcome, ending.exit_code) == ("Cancelled", 4)


async def test_two_people_open_a_gate(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name))
    await headgate.approve(started.ref, "production", by="ann")
    await headgate.approve(started.ref, "production", by="bob", comment="fine")
    assert (await headgate.wait(started.ref)).outcome == "Succeeded"


async def test_a_rejection_ends_the_release(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name))
    await headgate.reject(started.ref, "production", by="ann", comment="not on a Friday")
    ending = await headgate.wait(started.ref)
    assert (ending.outcome, ending.reason) == ("Rejected", "not on a Friday")


async def test_a_refusal_is_the_releases_own_sentence(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name))
    with pytest.raises(CommandError, match="there is no open gate 'nope'; open is production") as refused:
        await headgate.approve(started.ref, "nope", by="ann")
    assert (refused.value.reason, refused.value.exit_code) == ("Refused", 1)


async def test_steering_carries_the_sequence_that_was_seen(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name))
    seen = await headgate.status(started.ref)
    assert seen.status
    await headgate.pause(started.ref, by="ann", sequence=seen.status.sequence)
    with pytest.raises(CommandError, match="stale"):
        await headgate.pause(started.ref, by="bob", sequence=seen.status.sequence)
    assert (await headgate.resume(started.ref, by="ann")).phase == "Observing"


async def test_advance_can_go_all_the_way(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name))
    await headgate.advance(started.ref, by="ann", full=True)
    assert (await headgate.wait(started.ref)).reason == "advanced fully"


async def test_abandoning_an_undo_leaves_it_incomplete(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name))
    await headgate.abandon_undo(started.ref, by="ann", reason="the cluster is gone")
    assert (await headgate.wait(started.ref)).exit_code == 7


async def test_a_message_to_an_ended_release_says_so(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name, stub="Succeeded"))
    await headgate.wait(started.ref)
    with pytest.raises(CommandError, match="is not running") as refused:
        await headgate.abort(started.ref, by="ann")
    assert refused.value.reason == "Ended"


async def test_an_unknown_release_is_bad_input(headgate: Headgate) -> None:
    for ask in (
        headgate.status(Ref("test", "never")),
        headgate.wait(Ref("test", "never")),
        headgate.pause(Ref("test", "never"), by="ann"),
    ):
        with pytest.raises(BadInput, match="no such release"):
            await ask


async def test_an_unknown_namespace_names_the_option(server_client_elsewhere: Headgate) -> None:
    with pytest.raises(BadInput, match="--namespace"):
        await server_client_elsewhere.status(Ref("test", "shop"))


async def test_status_joins_what_each_rollout_says_itself(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name, stub="gate and rollout"))
    component = (await _status_with_components(headgate, started.ref)).components[0]
    assert component.summary == "Observing at 25 % for 15m"
    assert component.rollout_id == f"rollout/local/shop/process/{name}"
    assert [metric.name for metric in component.metrics] == ["errors", "latency", "queue"]


async def test_a_rollout_that_does_not_answer_shows_its_last_report(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name, stub="gate and lost rollout"))
    await _status_with_components(headgate, started.ref)
    snapshot = await headgate.status(started.ref)
    assert snapshot.status
    assert snapshot.status.components[0].summary == "an old report"
    assert "does not answer" in snapshot.notes[0]


async def test_a_query_that_fails_falls_back_to_visibility(headgate: Headgate, name: str) -> None:
    started = await headgate.start(a_document(name, stub="wedged"))
    await _eventually(headgate, Filter(ref=started.ref), 1)
    snapshot = await headgate.status(started.ref)
    assert snapshot.status is None
    assert snapshot.phase == "Observing"
    assert "last known from visibility: Observing, 5 %" in snapshot.notes[0]


async def test_list_shows_running_releases_and_history_the_ended_ones(headgate: Headgate, name: str) -> None:
    ref = Ref("test", name)
    for stub in ("Succeeded", "RolledBack", "bad", "gate"):
        started = await headgate.start(a_document(name, stub=stub))
        if stub != "gate":
            await headgate.wait(ref, run_id=started.run_id)
    await headgate.rollback(ref, "v9", reason="try", by="ann")
    await headgate.wait(ref.rollback)
    runs = await _eventually(headgate, Filter(ref=ref, closed=True, rollbacks=True), 5)
    assert sorted(run.outcome for run in runs) == ["", "BadSpec", "Failed", "RolledBack", "Succeeded"]
    assert [run.kind for run in runs].count("Rollback") == 1
    running = await headgate.list(Filter(ref=ref, environment="test", phase="Observing"))
    assert [(run.ref, run.known.version) for run in running] == [(ref, "v1.2.0")]


async def test_a_rollback_of_its_own_name_is_refused_while_one_runs(headgate: Headgate, name: str) -> None:
    ref = Ref("test", name)
    started = await headgate.rollback(ref, "v1.1.0", reason="slow", by="ann")
    with pytest.raises(AnotherRelease):
        await headgate.rollback(ref, "v1.0.0", reason="slow", by="ann")
    await headgate.temporal.get_workflow_handle(started.workflow_id).cancel()
    assert (await headgate.wait(ref.rollback)).outcome == "Cancelled"


@pytest.fixture
async def server_client_elsewhere(temporal: Client, queue: str) -> Headgate:
    config = temporal.config()
    config["namespace"] = "elsewhere"
    return Headgate(Client(**config), task_queue=queue)


async def _status_with_components(headgate: Headgate, ref: Ref) -> ReleaseStatus:
    async with asyncio.timeout(120):
        async for snapshot in snapshots(headgate, ref):
            if snapshot.status and snapshot.status.components:
                return snapshot.status
    raise AssertionError("it ended")


async def _eventually(headgate: Headgate, wanted: Filter, count: int) -> list[Listed]:
    """Visibility is written after the fact."""
    async with asyncio.timeout(120):
        while True:
            runs = await headgate.list(wanted)
            if len(runs) == count and all(run.outcome or run.known.phase == "Observing" for run in runs):
                return runs
            await asyncio.sleep(0.1)


class TestWithoutAnyWorker:
    """What needs no worker works, and what does says so."""

    pytestmark: list[pytest.MarkDecorator] = []

    @pytest.fixture
    def deserted(self, temporal: Client, queue: str) -> Headgate:
        return Headgate(temporal, task_queue=f"{queue}-deserted")

    async def test_a_start_warns_that_nobody_polls(self, deserted: Headgate, name: str) -> None:
        started = await deserted.start(a_document(name))
        assert "no worker polls" in started.notes[0]

    async def test_status_says_that_nobody_answers(self, deserted: Headgate, name: str) -> None:
        started = await deserted.start(a_document(name))
        snapshot = await deserted.status(started.ref)
        assert snapshot.notes[0].startswith("no worker answers (none polls")

    async def test_an_abort_goes_as_a_signal_that_waits_for_a_worker(
        self, deserted: Headgate, temporal: Client, name: str
    ) -> None:
        started = await deserted.start(a_document(name))
        receipt = await deserted.abort(started.ref, by="ann", reason="stop it")
        assert not receipt.accepted
        assert "as a signal" in receipt.message
        async with a_worker(temporal, deserted.task_queue):
            ending = await deserted.wait(started.ref)
        assert ending.outcome == "Aborted"

    async def test_other_messages_say_that_nobody_answered(self, deserted: Headgate, name: str) -> None:
        started = await deserted.start(a_document(name))
        with pytest.raises(CommandError, match="no worker answered") as silent:
            await deserted.approve(started.ref, "production", by="ann")
        assert silent.value.exit_code == 5


def test_documents_that_mean_the_same_have_the_same_digest() -> None:
    document = a_document("shop", holdFor="60m")
    assert digest(document) == digest(a_document("shop", holdFor="1h"))
    assert digest(document) != digest(a_document("shop", holdFor="2h"))


def test_an_ending_without_a_result_still_has_an_exit_code() -> None:
    codes = {o: Ending(o).exit_code for o in ("Succeeded", "Failed", "Cancelled", "Terminated", "TimedOut")}
    assert codes == {"Succeeded": 0, "Failed": 1, "Cancelled": 4, "Terminated": 7, "TimedOut": 7}


async def test_a_message_names_the_run_it_is_meant_for(headgate: Headgate, temporal: Client, name: str) -> None:
    started = await headgate.start(a_document(name))
    voice = Voice.model_validate({"firstRunId": "another", "gate": "production", "by": "ann"})
    handle = temporal.get_workflow_handle(started.workflow_id)
    with pytest.raises(Exception, match="update failed") as refused:
        await handle.execute_update("approve", voice, rpc_timeout=timedelta(seconds=5))
    assert "another run" in str(refused.value.__cause__)
