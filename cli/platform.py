"""What a namespace needs before it can release: search attributes, workers, the schedule that they keep.

Everything here is idempotent, and looking changes nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client, ScheduleActionStartWorkflow
from temporalio.service import RPCError, RPCStatusCode

from cli import sources, visibility
from cli.errors import CommandError
from cli.failures import translated
from workflows.contracts.references import ClusterSeen
from workflows.engine.visibility import KEYS
from workflows.errors import SpecError
from workflows.janitor import SCHEDULE_ID

if TYPE_CHECKING:
    from cli.client import Headgate

SETTINGS_VARIABLE = "HEADGATE_SETTINGS"
_RPC = timedelta(seconds=5)
_SEEN_SECONDS = 20.0


@dataclass(frozen=True)
class Finding:
    """One thing that a release needs, whether it is there, and how to get it."""

    subject: str
    state: Literal["ok", "missing", "unknown"]
    message: str
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        """The stable shape of one element of `doctor -o json`."""
        return {"subject": self.subject, "state": self.state, "message": self.message, "fix": self.fix}


# Search attributes.


async def registered(client: Client) -> dict[str, int]:
    """The namespace's own search attributes with their types. Errors: CommandError."""
    with translated("Cannot read the search attributes"):
        answer = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), timeout=_RPC
        )
    return dict(answer.custom_attributes)


async def register(client: Client) -> list[str]:
    """Adds the search attributes that are not there and returns their names; they are usable when this returns.

    Errors: CommandError when one exists with another type, or when the server leaves this to another tool.
    """
    there = await registered(client)
    wrong = [key.name for key in KEYS if there.get(key.name, key.indexed_value_type) != key.indexed_value_type]
    if wrong:
        raise CommandError(
            f"Search attributes {', '.join(wrong)} exist with another type; remove them "
            f"(temporal operator search-attribute remove --name ...), then run setup again.",
            reason="WrongType",
        )
    missing = {key.name: IndexedValueType.ValueType(key.indexed_value_type) for key in KEYS if key.name not in there}
    if missing:
        with translated("Cannot register the search attributes"):
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing), timeout=_RPC
            )
        await _until_usable(client)
    return sorted(missing)


async def _until_usable(client: Client) -> None:
    """The frontend answers queries on a new attribute only after it has refreshed its cache."""
    query = " AND ".join(f"{key.name} IS NOT NULL" for key in KEYS)
    async with asyncio.timeout(_SEEN_SECONDS):
        while True:
            try:
                await client.count_workflows(query, rpc_timeout=_RPC)
            except RPCError as error:
                if error.status != RPCStatusCode.INVALID_ARGUMENT:
                    raise
                await asyncio.sleep(0.2)
            else:
                return


# Looking.


async def examine(client: Client, task_queue: str) -> AsyncIterator[Finding]:
    """Everything on the server that a release needs."""
    yield await _attributes(client)
    for queue, kind, purpose in (
        (task_queue, "workflow", "releases"),
        (task_queue, "activity", "changes"),
        (f"{task_queue}.observe", "activity", "observation"),
        (f"{task_queue}.undo", "activity", "undo"),
    ):
        yield await _worker(client, queue, kind, purpose)
    yield await _janitor(client, task_queue)
    yield await _leftovers(client)


async def _attributes(client: Client) -> Finding:
    subject = "search attributes"
    try:
        there = await registered(client)
    except CommandError as error:
        return Finding(subject, "unknown", str(error), "ask whoever runs the namespace to run: headgate setup")
    missing = [key.name for key in KEYS if there.get(key.name) != key.indexed_value_type]
    if missing:
        return Finding(subject, "missing", f"{', '.join(missing)} not registered", "headgate setup")
    return Finding(subject, "ok", f"all {len(KEYS)} registered")


async def _worker(client: Client, queue: str, kind: Any, purpose: str) -> Finding:
    subject = f"worker for {purpose}"
    try:
        polled = await visibility.is_polled(client, queue, kind)
    except RPCError as error:
        return Finding(subject, "unknown", f"task queue {queue}: {error}")
    if polled:
        return Finding(subject, "ok", f"task queue {queue} is polled")
    return Finding(
        subject, "missing", f"nobody polls task queue {queue}", "headgate worker   (two of them in production)"
    )


async def _janitor(client: Client, task_queue: str) -> Finding:
    subject, fix = "janitor", "headgate worker   (one keeps the schedule as soon as it starts)"
    try:
        schedule = (await client.get_schedule_handle(SCHEDULE_ID).describe(rpc_timeout=_RPC)).schedule
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return Finding(subject, "missing", f"schedule {SCHEDULE_ID} does not exist", fix)
        return Finding(subject, "unknown", str(error))
    if schedule.state.paused:
        resume = f"temporal schedule toggle --schedule-id {SCHEDULE_ID} --unpause --reason 'needed by headgate'"
        return Finding(subject, "missing", f"schedule {SCHEDULE_ID} is paused", resume)
    action = schedule.action
    if isinstance(action, ScheduleActionStartWorkflow) and action.task_queue != task_queue:
        return Finding(subject, "missing", f"schedule {SCHEDULE_ID} uses task queue {action.task_queue}", fix)
    return Finding(subject, "ok", f"schedule {SCHEDULE_ID} runs")


async def _leftovers(client: Client) -> Finding:
    """Rollouts whose parent has ended undo themselves; one that is still there waits for a worker or for help."""
    subject = "leftovers"
    try:
        query = "WorkflowType = 'Rollout' AND ExecutionStatus = 'Running'"
        running = [run async for run in client.list_workflows(query, limit=100)]
        orphans = [
            run.id for run in running if run.parent_id and not await _runs(client, run.parent_id, run.parent_run_id)
        ]
    except RPCError as error:
        return Finding(subject, "unknown", str(error))
    if orphans:
        listed = ", ".join(orphans[:5]) + (", ..." if len(orphans) > 5 else "")
        return Finding(
            subject,
            "missing",
            f"{len(orphans)} rollouts run though their release has ended: {listed}",
            "start a worker; they undo themselves",
        )
    return Finding(subject, "ok", f"{len(running)} rollouts run, each with its release")


async def _runs(client: Client, workflow_id: str, run_id: str | None) -> bool:
    described = await client.get_workflow_handle(workflow_id, run_id=run_id).describe(rpc_timeout=_RPC)
    return visibility.execution(described).is_running


async def examine_clusters(headgate: Headgate) -> list[Finding]:
    """What the workers reach: clusters, their rights there, and what no release owns any more."""
    try:
        found = await headgate.survey()
    except CommandError as error:
        return [Finding("clusters", "unknown", str(error), "headgate worker   (only workers reach them)")]
    findings = [finding for seen in found.clusters for finding in _cluster(seen)]
    findings += [
        Finding(f"queue {queue}", "missing", "no worker inside its cluster answered", "start one there")
        for queue in found.silent
    ]
    if found.orphans:
        message = f"releases of {', '.join(found.orphans[:5])} have ended and left their mark"
        fix = "the janitor undoes them within its interval; if one stays, look at the workflow rollout/TARGET"
        findings.append(Finding("marks", "missing", message, fix))
    return findings or [Finding("clusters", "ok", "the worker that answered is told of none")]


def _cluster(seen: ClusterSeen) -> Iterator[Finding]:
    subject = f"cluster {seen.cluster}"
    if not seen.is_reached:
        yield Finding(subject, "missing", seen.message, "correct kubernetes.clusters in the settings of the workers")
        return
    for lacking in seen.lacking:
        fix = (
            "give the workers' account these rights, as the Helm chart does for inCluster.namespaces and argoCd; "
            "take a namespace that is gone out of their settings"
        )
        yield Finding(subject, "missing", f"rights are missing {lacking}", fix)
    for left in seen.leftovers:
        yield Finding(subject, "missing", f"{left.object} {left.message}", left.fix)
    if not seen.lacking and not seen.leftovers:
        yield Finding(subject, "ok", "reached, with the rights that every release takes, and nothing left over")


def examine_machine() -> list[Finding]:
    """What this machine has: programs, and the worker's settings."""
    return [*_tools(), _settings()]


def _tools() -> list[Finding]:
    from cli.tools import Toolbox, ToolError

    box = Toolbox(say=lambda _: None, may_install=False)
    findings = []
    for name, find, need in (
        ("temporal", box.temporal, "the demo and the dev server"),
        ("envoy", box.envoy, "the demo, and a worker that routes with a local Envoy"),
    ):
        try:
            findings.append(Finding(name, "ok", str(find())))
        except ToolError as error:
            findings.append(Finding(name, "missing", f"needed by {need}: {error}", "python -m cli.tools"))
    return findings


def _settings() -> Finding:
    subject, file = "settings", os.environ.get(SETTINGS_VARIABLE)
    if not file:
        return Finding(subject, "ok", f"{SETTINGS_VARIABLE} is not set, so a worker here would use its defaults")
    try:
        found = sources.read(Path(file))
    except SpecError as error:
        return Finding(subject, "missing", f"{file}: {error.problems[0].message}", f"correct {SETTINGS_VARIABLE}")
    if len(found) != 1 or not isinstance(found[0].data, dict):
        return Finding(subject, "missing", f"{file} is not one mapping", "docs/reference/settings.md lists its fields")
    return Finding(subject, "ok", f"{file} can be read")
