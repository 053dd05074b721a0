"""What a person can do to releases, whichever door they come through: commands and bot call this and nothing else.

It adds no rule of its own: who may do what is decided by the release. It prints nothing and never exits.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from cli import visibility
from cli.digest import digest
from cli.errors import AnotherRelease, BadInput, CommandError, Unreachable
from cli.failures import ending_of, translated
from cli.names import Ref
from cli.snapshot import Ending, Execution, Listed, Snapshot, Started
from workflows.analysis.session import timeline_of
from workflows.contracts.metrics import BacktestRequest, Beat
from workflows.contracts.references import Described, DescribeRequest, Surveyed
from workflows.engine.examination import Examination
from workflows.engine.preflight import Preflight
from workflows.engine.visibility import cut
from workflows.errors import PolicyRefused, PreflightFailed, Problem, SpecError
from workflows.model.backtest import Backtested
from workflows.model.messages import AbandonUndo, Abort, Advance, Receipt, Resume, Steer, Voice
from workflows.model.status import ReleaseResult, ReleaseStatus, RolloutStatus

T = TypeVar("T")

ANSWER_SECONDS = 5.0
"""How long a message may stay unanswered."""
ABORT_SECONDS = 2.0
"""After this an abort goes on as a signal, which needs nobody to be there."""
QUERY_SECONDS = 2.0
INQUIRY_SECONDS = 90.0
"""How long a question that changes nothing may take, clusters and registries included."""
BACKTEST_SECONDS = 720.0
"""The same for thousands of questions to a metric store."""
OBSERVE = "metrics.observe"
"""The activity that watches a new version."""
SUPERSEDED = "superseded"
"""The reason that `start --supersede` gives to the release it aborts."""

Progress = Callable[[str], None]


def _silent(_: str) -> None: ...


class Headgate:
    """The facade; one instance serves any number of concurrent calls."""

    def __init__(self, client: Client, *, task_queue: str = "headgate") -> None:
        self.temporal = client
        self.task_queue = task_queue

    # Starting.

    async def start(
        self, document: dict[str, Any], *, supersede: bool = False, progress: Progress = _silent
    ) -> Started:
        """Starts the release, or joins the running one when its document is the same.

        With `supersede` a different running release is aborted and its undo awaited first. Errors: AnotherRelease.
        """
        ref = Ref(document["spec"]["environment"], document["metadata"]["name"])
        superseded = ""
        while True:
            try:
                run_id = await self._start("Release", ref.workflow_id, document, **_headline(document))
            except WorkflowAlreadyStartedError as error:
                running = await self._running(ref)
                if running is None:
                    continue  # It ended between the two calls.
                other = await self._document(running)
                if digest(other) == digest(document):
                    return Started(ref, ref.workflow_id, running.execution.run_id, joined=True)
                superseded = _version(other)
                if not supersede:
                    raise _refusal(ref, running, superseded) from error
                progress(f"superseding {superseded}: aborting it and waiting for its undo")
                await self._undo_first(ref, running, progress)
            else:
                return Started(ref, ref.workflow_id, run_id, superseded=superseded, notes=await self._unpolled())

    async def rollback(self, ref: Ref, version: str, *, reason: str, by: str) -> Started:
        """Starts a person's return to an earlier version. Errors: AnotherRelease when one is under way."""
        order = {"environment": ref.environment, "name": ref.name, "version": version, "reason": reason, "by": by}
        try:
            headline = {"summary": f"{ref.name} back to {version} in {ref.environment}", "details": reason}
            run_id = await self._start("Rollback", ref.rollback.workflow_id, order, **headline)
        except WorkflowAlreadyStartedError as error:
            raise AnotherRelease(
                f"A rollback of {ref} is running already; `headgate status {ref} --rollback` shows it."
            ) from error
        return Started(ref.rollback, ref.rollback.workflow_id, run_id, notes=await self._unpolled())

    async def _start(self, kind: str, workflow_id: str, argument: dict[str, Any], *, summary: str, details: str) -> str:
        with translated(f"Cannot start {workflow_id}"):
            handle = await self.temporal.start_workflow(
                kind,
                argument,
                id=workflow_id,
                task_queue=self.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=cut(summary),
                static_details=details,
                rpc_timeout=timedelta(seconds=ANSWER_SECONDS),
            )
        return handle.first_execution_run_id or ""

    async def _document(self, running: Listed) -> Any:
        """What the running release was started with, by whatever client; None when it had no argument."""
        first = self.temporal.get_workflow_handle(running.execution.workflow_id, run_id=running.execution.first_run_id)
        with translated(f"Cannot read what {running.ref} runs"):
            async for event in first.fetch_history_events(page_size=1):
                payloads = event.workflow_execution_started_event_attributes.input.payloads
                arguments = await self.temporal.data_converter.decode(payloads)
                return arguments[0] if arguments else None
        return None

    async def _undo_first(self, ref: Ref, running: Listed, progress: Progress) -> None:
        try:
            await self.abort(ref, reason=SUPERSEDED, by=SUPERSEDED)
        except CommandError:
            if not await self._goes_back(ref):
                raise
        ending = await self.wait(ref, run_id=running.execution.first_run_id)
        progress(f"it ended {ending.outcome}")

    async def _goes_back(self, ref: Ref) -> bool:
        """Whether the release is being undone, or has ended, without us."""
        now = await self.status(ref)
        return now.ending is not None or now.phase == "RollingBack"

    async def _unpolled(self) -> tuple[str, ...]:
        """A warning when nobody will pick up the work."""
        try:
            polled = await visibility.is_polled(self.temporal, self.task_queue)
        except RPCError:
            return ()
        return () if polled else (f"no worker polls task queue {self.task_queue!r}: the release waits for one",)

    # Asking.

    async def check(self, document: dict[str, Any]) -> Preflight:
        """What a worker says of a release of this document that would begin now; nothing is touched.

        Errors: PolicyRefused, PreflightFailed and other SpecErrors with everything that is in its way; Unreachable.
        """
        found = await self._inquire("preflight", document, Preflight)
        if found.problems or found.plan is None:
            raise _unplannable(found)
        return found

    async def examine(self, document: dict[str, Any]) -> Examination:
        """What the metrics of a document find now, as the workers see it. Errors: those of `check`."""
        found = await self._inquire("metrics", document, Examination)
        if found.problems:
            raise _unplannable(found)
        return found

    async def describe(self, cluster: str, namespace: str, name: str, *, sort: str = "deployment") -> Described:
        """What a worker finds around a workload. Errors: BadInput when it is not there; CommandError; Unreachable."""
        about = DescribeRequest(cluster=cluster, namespace=namespace, deployment=name, sort=sort)
        return await self._inquire("deployment", about, Described)

    async def survey(self) -> Surveyed:
        """What the worker that answers sees of its clusters. Errors: CommandError, Unreachable."""
        return await self._inquire("clusters", None, Surveyed)

    async def backtest(self, request: BacktestRequest) -> Backtested:
        """What an analysis would have decided on what a worker's metric store remembers. Errors: as `survey`."""
        return await self._inquire("backtest", request, Backtested, seconds=BACKTEST_SECONDS)

    async def _inquire(self, question: str, about: Any, shape: type[T], *, seconds: float = INQUIRY_SECONDS) -> T:
        # A worker that has just started may not be known to poll yet.
        seconds = ANSWER_SECONDS if await self._unpolled() else seconds
        with translated("Cannot ask the workers"):
            try:
                answer: T = await self.temporal.execute_workflow(
                    "Inquiry",
                    args=[question, about],
                    id=f"inquiry/{question}/{uuid.uuid4().hex[:12]}",
                    task_queue=self.task_queue,
                    result_type=shape,
                    execution_timeout=timedelta(seconds=seconds),
                )
            except WorkflowFailureError as failure:
                ending = ending_of(failure)
                if ending.outcome == "TimedOut":
                    said = f"no worker answered on task queue {self.task_queue!r} in {seconds:g} s"
                    raise Unreachable(said, reason="NoWorker") from failure
                kind = BadInput if ending.reason == "NotFound" else CommandError
                raise kind(ending.message, reason=ending.reason) from failure
            return answer

    # Watching.

    async def status(self, ref: Ref, *, run_id: str | None = None) -> Snapshot:
        """Joins what the release and its rollouts say now; what does not answer becomes a note.

        Costs one describe and, while it runs, one query per workflow: no history events, but a workflow task each.
        Errors: BadInput when it never existed.
        """
        handle = self.temporal.get_workflow_handle(ref.workflow_id, run_id=run_id)
        with translated(f"Cannot find {ref}"):
            described = await handle.describe(rpc_timeout=timedelta(seconds=ANSWER_SECONDS))
        found = Snapshot(ref, _execution(described), visibility.known(described))
        if not found.execution.is_running:
            return replace(found, ending=await self._ending(handle))
        try:
            status = await self._ask(handle, ReleaseStatus)
        except CommandError as error:
            return replace(found, notes=(await self._silence(found, error),))
        return await self._joined(found, status)

    async def _joined(self, found: Snapshot, status: ReleaseStatus) -> Snapshot:
        """Replaces each component's last report by its rollout's own answer, where it gives one."""
        answers = await asyncio.gather(*map(self._rollout, status.components), return_exceptions=True)
        components, notes = [], []
        for reported, answer in zip(status.components, answers, strict=True):
            if isinstance(answer, RolloutStatus):
                components.append(answer)
                continue
            components.append(reported)
            if answer is not None:
                notes.append(f"{reported.component}: its rollout does not answer; this is its last report")
        return replace(found, status=status.model_copy(update={"components": tuple(components)}), notes=tuple(notes))

    async def _rollout(self, reported: RolloutStatus) -> RolloutStatus | None:
        """None where there is no rollout to ask: not started yet, or ended."""
        if not reported.run_id or reported.phase in _ENDED:
            return None
        handle = self.temporal.get_workflow_handle(reported.rollout_id, run_id=reported.run_id or None)
        answer, beat = await asyncio.gather(self._ask(handle, RolloutStatus), self._beat(handle))
        names = {"rollout_id": reported.rollout_id, "run_id": answer.run_id or reported.run_id}
        return answer.model_copy(update=names | (_live(answer, beat) if beat else {}))

    async def _beat(self, handle: WorkflowHandle[Any, Any]) -> Beat | None:
        """The observer's last heartbeat, seconds old: what the rollout itself learns when the segment ends."""
        try:
            described = await handle.describe(rpc_timeout=timedelta(seconds=QUERY_SECONDS))
            for pending in described.raw_description.pending_activities:
                if pending.activity_type.name == OBSERVE and pending.heartbeat_details.payloads:
                    details = await self.temporal.data_converter.decode(pending.heartbeat_details.payloads, [Beat])
                    return details[0] if isinstance(details[0], Beat) else None
        except (RPCError, ValueError, RuntimeError):  # Watching goes on with what the rollout knows.
            return None
        return None

    async def _ask(self, handle: WorkflowHandle[Any, Any], shape: type[T]) -> T:
        ask = partial(handle.query, "status", result_type=shape, rpc_timeout=timedelta(seconds=QUERY_SECONDS))
        with translated(f"Cannot ask {handle.id}"):
            try:
                return await _within(QUERY_SECONDS, ask())
            except WorkflowQueryFailedError:  # A worker refuses what comes too early, once; see worker/ordering.py.
                return await _within(QUERY_SECONDS, ask())

    async def _silence(self, found: Snapshot, error: CommandError) -> str:
        """Why there is only the last known state, in one sentence."""
        known = found.known
        facts = [known.phase, f"{known.weight:g} %" if known.weight is not None else "", known.waiting_for]
        last = ", ".join(filter(None, facts)) or "nothing"
        no_worker = bool(await self._unpolled())
        why = f"no worker answers (none polls {self.task_queue!r})" if no_worker else f"no worker answers ({error})"
        return f"{why}; last known from visibility: {last}"

    async def wait(self, ref: Ref, *, run_id: str | None = None) -> Ending:
        """Waits for the end, however long that takes. Errors: BadInput when it never existed."""
        return await self._ending(self.temporal.get_workflow_handle(ref.workflow_id, run_id=run_id))

    async def _ending(self, handle: WorkflowHandle[Any, Any]) -> Ending:
        try:
            with translated(f"Cannot wait for {handle.id}"):
                answer = await handle.result()
        except WorkflowFailureError as failure:
            return ending_of(failure)
        result = ReleaseResult.model_validate(answer) if isinstance(answer, dict) and "outcome" in answer else None
        return Ending(
            result.outcome if result else "Succeeded",
            result.reason if result else "",
            result.message if result else "",
            result,
        )

    async def list(self, query: visibility.Filter) -> list[Listed]:
        """Releases as visibility lists them, newest first: a second or so behind."""
        with translated("Cannot list releases"):
            return await visibility.find(self.temporal, query)

    async def _running(self, ref: Ref) -> Listed | None:
        handle = self.temporal.get_workflow_handle(ref.workflow_id)
        with translated(f"Cannot find {ref}"):
            described = await handle.describe(rpc_timeout=timedelta(seconds=ANSWER_SECONDS))
        execution = _execution(described)
        known = visibility.known(described)
        return Listed(execution, ref, "Release", known) if execution.is_running else None

    # Speaking.

    async def approve(self, ref: Ref, gate: str, *, by: str, comment: str = "") -> Receipt:
        """Adds a vote for an open gate. Errors: CommandError with the release's own sentence when it is refused."""
        return await self._vote("approve", ref, gate, by=by, comment=comment)

    async def reject(self, ref: Ref, gate: str, *, by: str, comment: str = "") -> Receipt:
        """Closes an open gate with a no. Errors as `approve`."""
        return await self._vote("reject", ref, gate, by=by, comment=comment)

    async def _vote(self, name: str, ref: Ref, gate: str, *, by: str, comment: str) -> Receipt:
        first = await self._first_run_id(ref)
        voice = Voice.model_validate({"firstRunId": first, "gate": gate, "by": by, "comment": comment})
        return await self._say(name, ref, voice)

    async def pause(self, ref: Ref, *, by: str, sequence: int | None = None) -> Receipt:
        """Keeps the weights where they are, under guard. `sequence` makes it count for a state that somebody saw."""
        return await self._say("pause", ref, Steer.model_validate(await self._steering(ref, by, sequence)))

    async def resume(self, ref: Ref, *, by: str, take_over: bool = False, sequence: int | None = None) -> Receipt:
        """Goes on after a pause or a hold; `take_over` first writes again what somebody else changed."""
        steering = await self._steering(ref, by, sequence)
        return await self._say("resume", ref, Resume.model_validate({**steering, "takeOver": take_over}))

    async def advance(self, ref: Ref, *, by: str, full: bool = False, sequence: int | None = None) -> Receipt:
        """Ends the current observation early; `full` goes on to promotion."""
        steering = await self._steering(ref, by, sequence)
        return await self._say("advance", ref, Advance.model_validate({**steering, "full": full}))

    async def abort(self, ref: Ref, *, by: str, reason: str = "") -> Receipt:
        """Undoes the release: as an update, or as a signal when nobody answered in two seconds.

        It needs no query and no worker: a signal waits in the server until there is one. `Receipt.accepted` is False
        then, because nobody has seen it yet.
        """
        first = await self._first_run_id(ref)
        abort = Abort.model_validate({"firstRunId": first, "by": by, "reason": reason})
        try:
            return await self._say("abort", ref, abort, seconds=ABORT_SECONDS)
        except Unreachable as error:
            if error.reason != "NoWorker":
                raise
        with translated(f"Cannot abort {ref}"):
            await self._handle(ref, first).signal("abort", abort, rpc_timeout=timedelta(seconds=ANSWER_SECONDS))
        return Receipt(
            accepted=False,
            message=f"no answer in {ABORT_SECONDS:g} s, so the abort went as a signal; "
            "the release acts on it as soon as a worker takes it up",
        )

    async def abandon_undo(self, ref: Ref, *, by: str, reason: str) -> Receipt:
        """Ends a release whose undo is blocked, `Failed`, and leaves the mark on its targets."""
        first = await self._first_run_id(ref)
        return await self._say(
            "abandonUndo", ref, AbandonUndo.model_validate({"firstRunId": first, "by": by, "reason": reason})
        )

    async def _say(
        self,
        name: str,
        ref: Ref,
        message: Voice | Steer | Abort | AbandonUndo,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> Receipt:
        handle = self._handle(ref, message.first_run_id)
        update = handle.execute_update(name, message, result_type=Receipt, rpc_timeout=timedelta(seconds=seconds))
        with translated(f"Cannot {name} {ref}", named=name):
            return await _within(seconds, update)

    async def _steering(self, ref: Ref, by: str, sequence: int | None) -> dict[str, Any]:
        first = await self._first_run_id(ref)
        if sequence is None:
            sequence = (await self._ask(self._handle(ref, first), ReleaseStatus)).sequence
        return {"firstRunId": first, "by": by, "sequence": sequence}

    def _handle(self, ref: Ref, first_run_id: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(ref.workflow_id, first_execution_run_id=first_run_id)

    async def _first_run_id(self, ref: Ref) -> str:
        """Names the running release without needing a worker. Errors: CommandError when it has ended."""
        handle = self.temporal.get_workflow_handle(ref.workflow_id)
        with translated(f"Cannot find {ref}"):
            described = await handle.describe(rpc_timeout=timedelta(seconds=ANSWER_SECONDS))
        execution = _execution(described)
        if not execution.is_running:
            raise CommandError(
                f"{ref} is not running: its last run has ended ({execution.state}). headgate history {ref} tells how.",
                reason="Ended",
            )
        return execution.first_run_id


def _live(status: RolloutStatus, beat: Beat) -> dict[str, Any]:
    """What a heartbeat adds to a status; the last second of a stage is the guard's to grant."""
    observed = status.observed_seconds
    if status.need_seconds:
        observed = min(observed + beat.observed_seconds, max(status.need_seconds - 1, observed))
    shown = {
        "metrics": beat.metrics or status.metrics,
        "evidence": beat.weighed or status.evidence,
        "timeline": timeline_of(beat.evidence) or status.timeline,
    }
    return {**shown, "observed_seconds": observed}


def _version(document: Any) -> str:
    spec = document.get("spec") if isinstance(document, dict) else None
    return str(spec.get("version") or "") if isinstance(spec, dict) else ""


def _headline(document: dict[str, Any]) -> dict[str, str]:
    """What Temporal's UI shows of a release beside its id: what it is, and what its team says about it."""
    spec, change = document["spec"], document["spec"].get("change", {})
    said = {name: change.get(name) for name in ("reason", "ticket", "commit")}
    said["requested by"] = document["metadata"].get("requestedBy")
    return {
        "summary": f"{document['metadata']['name']} {spec['version']} to {spec['environment']}",
        "details": "\n".join(f"- {name}: {text}" for name, text in said.items() if text),
    }


def _refusal(ref: Ref, running: Listed, version: str) -> AnotherRelease:
    phase = f", {running.known.phase}" if running.known.phase else ""
    return AnotherRelease(
        f"{ref} is releasing {version or 'something else'} now (run {running.execution.run_id}{phase}), with another "
        f"document. Wait for it: headgate wait {ref}. Undo it: headgate abort {ref}. Do both, then start: --supersede."
    )


_ENDED = {"Succeeded", "RolledBack", "Aborted", "Rejected", "Failed"}


def _execution(described: WorkflowExecutionDescription) -> Execution:
    info = described.raw_description.workflow_execution_info
    return visibility.execution(described, first_run_id=info.first_run_id)


def _unplannable(found: Preflight | Examination) -> SpecError:
    refusal = {"PolicyRefused": PolicyRefused, "PreflightFailed": PreflightFailed}.get(found.reason, SpecError)
    return refusal([Problem(problem.path, problem.message) for problem in found.problems])


async def _within(seconds: float, call: Awaitable[T]) -> T:
    """The SDK retries an expired call, which doubles the wait, so the limit stands here as well."""
    try:
        return await asyncio.wait_for(call, seconds)
    except TimeoutError as error:
        raise Unreachable(f"no worker answered in {seconds:g} s", reason="NoWorker") from error
