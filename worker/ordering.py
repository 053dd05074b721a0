"""Carry out a workflow task in the one order that every worker and every replay can repeat.

The SDK (temporalio 1.35) hands out what happened in portions whose borders depend on who asks: a worker without the run
in its cache gets two tasks in one activation where a worker with it got two, and a question can make it carry out what
waits for a task that has not begun (ADR 8). Commands that follow from a portion as a whole would then differ from one
replay to the next, and the release would wedge. So each job is carried out alone, updates last, which is the same order
whatever the portions are; and a question that came too early is refused, which makes the SDK forget the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner

TOO_EARLY = "the workflow was about to take its next step: ask again"
"""What a refused question fails with; it is answered when it is asked again."""

_ALONE = "legacy_query"
"""The id of a question that comes without a task."""
_CONTEXT = frozenset({"notify_has_patch", "update_random_seed"})
"""Jobs that say how the others are to be carried out."""


class OneByOne(WorkflowRunner):
    """Runs workflows as another runner does, but each job of an activation alone, and updates last."""

    def __init__(self, runner: WorkflowRunner) -> None:
        self._runner = runner

    def prepare_workflow(self, defn: Any) -> None:
        self._runner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(self._runner.create_instance(det))

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        self._runner.set_worker_level_failure_exception_types(types)


class _Instance(WorkflowInstance):
    def __init__(self, instance: WorkflowInstance) -> None:
        self._instance = instance
        self._progress = (0, 0)
        self._is_ahead = False
        self._is_new = True
        self._is_doubtful = False

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if act.jobs and act.jobs[0].HasField("query_workflow"):
            return self._answer(act)
        self._look_ahead(act)
        first, *others = _portions(act)
        completion = self._instance.activate(first)
        for portion in others:
            if not completion.HasField("successful"):
                break
            part = self._instance.activate(portion)
            if not part.HasField("successful"):
                return part
            completion.successful.commands.extend(part.successful.commands)
            completion.successful.used_internal_flags.extend(part.successful.used_internal_flags)
        return completion

    def _look_ahead(self, act: WorkflowActivation) -> None:
        """Notes events that no task has begun with: the history grew, and its time, the last task's start, did not.

        A task may also have begun on another worker, which can die with it. So the first activation that is no replay
        is in doubt until another one follows it: when a question does, that may be why the run was read.
        """
        time, length = act.timestamp.ToNanoseconds(), act.history_length
        self._is_ahead = not act.is_replaying and time == self._progress[0] and length > self._progress[1]
        self._progress = (time, length)
        if not act.is_replaying:
            self._is_doubtful, self._is_new = self._is_new, False

    def _answer(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Answers a question, unless it may have been what made the SDK carry out the last activation."""
        is_alone = act.jobs[0].query_workflow.query_id == _ALONE
        if self._is_ahead or (self._is_doubtful and is_alone):
            return self._refuse(act)
        self._is_new = False
        return self._instance.activate(act)

    def _refuse(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Fails the question; the SDK then drops the run from its cache and begins again from its history."""
        completion = WorkflowActivationCompletion(run_id=act.run_id)
        completion.failed.failure.message = TOO_EARLY
        return completion

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._instance.get_external_store_context(command_info)

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()

    def get_info(self) -> Any:
        return self._instance.get_info()


def _portions(act: WorkflowActivation) -> list[WorkflowActivation]:
    """An activation for each job, in the SDK's order but for updates; the first has what says how to carry them out."""
    context = [job for job in act.jobs if job.WhichOneof("variant") in _CONTEXT]
    alone = [job for job in act.jobs if job.WhichOneof("variant") not in _CONTEXT]
    if len(alone) < 2:
        return [act]
    alone.sort(key=lambda job: job.HasField("do_update"))
    frame = WorkflowActivation()
    frame.CopyFrom(act)
    del frame.jobs[:]
    return [_filled(frame, [*context, alone[0]]), *(_filled(frame, [job]) for job in alone[1:])]


def _filled(frame: WorkflowActivation, jobs: Sequence[WorkflowActivationJob]) -> WorkflowActivation:
    portion = WorkflowActivation()
    portion.CopyFrom(frame)
    portion.jobs.extend(jobs)
    return portion
