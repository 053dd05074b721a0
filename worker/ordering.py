"""Carry out updates after everything else of a workflow task.

A worker without the run in its cache is handed an update together with older results that other workers, and every
later replay, see in a task of their own. The SDK carries updates out first, so commands that depend on both would
differ from one replay to the next, and the release would wedge (seen on temporalio 1.35, ADR 8). Last is the same order
in both cases: results, then the update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner


class UpdatesLast(WorkflowRunner):
    """Runs workflows as another runner does, but for the order."""

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

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        updates = [job for job in act.jobs if job.HasField("do_update")]
        others = [job for job in act.jobs if not job.HasField("do_update")]
        if not updates or not others:
            return self._instance.activate(act)
        completion = self._instance.activate(_part(act, others))
        if not completion.HasField("successful"):
            return completion
        rest = self._instance.activate(_part(act, updates))
        if not rest.HasField("successful"):
            return rest
        completion.successful.commands.extend(rest.successful.commands)
        completion.successful.used_internal_flags.extend(rest.successful.used_internal_flags)
        return completion

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._instance.get_external_store_context(command_info)

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()

    def get_info(self) -> Any:
        return self._instance.get_info()


def _part(act: WorkflowActivation, jobs: Sequence[WorkflowActivationJob]) -> WorkflowActivation:
    part = WorkflowActivation()
    part.CopyFrom(act)
    del part.jobs[:]
    part.jobs.extend(jobs)
    return part
