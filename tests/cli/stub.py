"""A small Release that speaks the real one's language, so that the client is tested without a planner or providers.

What it does is written in the document: `metadata.labels.stub`.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from workflows.engine import visibility
from workflows.model.backtest import Backtested, Window
from workflows.model.decision import Decision, MetricReport
from workflows.model.messages import AbandonUndo, Abort, Advance, Receipt, Resume, Steer, Voice
from workflows.model.status import (
    GateStatus,
    Phase,
    Refusal,
    ReleaseResult,
    ReleaseStatus,
    RolloutResult,
    RolloutStatus,
    Wait,
)

METRICS = (
    MetricReport(name="errors", value=0.04, baseline=0.05, unit="%", limit=0.1, state="ok", requests=5210),
    MetricReport(
        name="latency", value=612, baseline=180, unit="ms", limit=500, state="failed", failures=2, failure_limit=3,
        sentence="p95 of 612 ms is above 500 ms, second of three samples",
    ),
    MetricReport(name="queue", state="noData", sentence="the metric store did not answer for 40 s"),
)  # fmt: skip


def a_document(
    name: str, *, environment: str = "test", version: str = "v1.2.0", stub: str = "gate", **spec: Any
) -> dict[str, Any]:
    """A Release that the real model accepts too."""
    return {
        "apiVersion": "headgate.dev/v1",
        "kind": "Release",
        "metadata": {"name": name, "labels": {"stub": stub}},
        "spec": {
            "environment": environment,
            "version": version,
            "components": [
                {
                    "name": name,
                    "artifact": {"program": "shop"},
                    "workload": {"kind": "process", "service": name},
                    "traffic": {"kind": "envoy", "route": name},
                    "strategy": {"kind": "canary", "stages": [{"weight": 5}, {"weight": 50}], "watch": "30s"},
                }
            ],
            **spec,
        },
    }


@workflow.defn(name="Rollout")
class StubRollout:
    """One component in observation."""

    @workflow.run
    async def run(self, component: str) -> None:
        self._component = component
        await workflow.wait_condition(lambda: False)

    @workflow.query
    def status(self) -> RolloutStatus:
        return RolloutStatus(
            component=self._component,
            phase="Observing",
            step=4,
            steps=17,
            summary="Observing at 25 % for 15m",
            asked={"stable": 75, "canary": 25},
            verified={"stable": 75, "canary": 25},
            weight=25,
            stage=2,
            stages=(5, 25, 50, 100),
            observed_seconds=432,
            need_seconds=900,
            metrics=METRICS,
            undo="one write, about a second",
            updated_at=workflow.now(),
        )


@workflow.defn(name="Release")
class StubRelease:
    """Waits at a gate and ends as people say, or at once as its document says."""

    @workflow.init
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._stub = document["metadata"]["labels"]["stub"]
        self._phase: Phase = "Pending"
        self._sequence = 0
        self._votes: list[Voice] = []
        self._end: tuple[Any, str] | None = None
        self._refused: list[Refusal] = []
        self._gates: tuple[GateStatus, ...] = ()
        self._wait: Wait | None = None
        self._rollout: tuple[RolloutStatus, ...] = ()
        if "gate" in self._stub:
            self._gates = tuple(
                GateStatus(name="production", instance=f"production/{n}", count=2, groups=("tech-leads",))
                for n in range(2 if self._stub == "two gates" else 1)
            )

    @workflow.run
    async def run(self, document: dict[str, Any]) -> ReleaseResult:
        metadata, spec = document["metadata"], document["spec"]
        values: dict[Any, str | float] = {
            visibility.NAME: metadata["name"],
            visibility.ENVIRONMENT: spec["environment"],
            visibility.VERSION: spec["version"],
        }
        visibility.Visibility().show(values)
        self._show("Observing")
        if self._stub == "bad":
            raise ApplicationError(
                "the document has 1 problem",
                [{"path": "spec.components[0].workload", "message": "cluster is not allowed"}],
                type="BadSpec",
                non_retryable=True,
            )
        if "gate" in self._stub:
            await self._ask()
        elif self._stub != "wedged":
            self._end = (self._stub, "as the document says")
        await workflow.wait_condition(lambda: self._end is not None)
        if self._end and self._end[0] == "Aborted" and self._stub == "gate slow":
            self._show("RollingBack")
            await asyncio.sleep(1)
        return self._finish()

    async def _ask(self) -> None:
        self._wait = Wait(reason="ApprovalWanted", message="2 of tech-leads", since=workflow.now())
        name = self._document["metadata"]["name"]
        rollout_id = f"rollout/local/shop/process/{name}"
        reported = RolloutStatus(
            component=name, rollout_id=rollout_id, run_id="lost", phase="Shifting", summary="an old report"
        )
        if self._stub == "gate and rollout":
            handle = await workflow.start_child_workflow("Rollout", name, id=rollout_id)
            reported = reported.model_copy(update={"run_id": handle.first_execution_run_id or ""})
        if self._stub in {"gate and rollout", "gate and lost rollout"}:
            self._rollout = (reported,)

    def _show(self, phase: Phase) -> None:
        self._phase = phase
        visibility.Visibility().show({visibility.PHASE: phase, visibility.WEIGHT: 5.0})

    def _finish(self) -> ReleaseResult:
        outcome: Any
        outcome, reason = self._end or ("Failed", "")
        undone = outcome != "Undoable"
        outcome = outcome if undone else "Failed"
        self._show(outcome)
        name, spec = self._document["metadata"]["name"], self._document["spec"]
        result = ReleaseResult(
            environment=spec["environment"],
            name=name,
            version=spec["version"],
            outcome=outcome,
            reason=reason,
            message=f"it ended {outcome}",
            components=(RolloutResult(component=name, outcome=outcome, undone=undone, metrics=METRICS),),
            started_at=workflow.info().start_time,
            ended_at=workflow.now(),
        )
        if outcome == "Succeeded":
            return result
        raise ApplicationError(result.message, result, type=outcome, non_retryable=True)

    @workflow.query
    def status(self) -> ReleaseStatus:
        if self._stub == "wedged":
            raise ValueError("this worker cannot say")
        spec = self._document["spec"]
        info = workflow.info()
        return ReleaseStatus(
            environment=spec["environment"],
            name=self._document["metadata"]["name"],
            version=spec["version"],
            workflow_id=info.workflow_id,
            first_run_id=info.first_execution_run_id,
            phase=self._phase,
            sequence=self._sequence,
            paused=self._phase == "Paused",
            wait=self._wait,
            components=self._rollout,
            gates=self._gates,
            refused=tuple(self._refused),
            started_at=info.start_time,
        )

    def _receipt(self) -> Receipt:
        return Receipt(phase=self._phase, sequence=self._sequence)

    def _check_run(self, said: Voice | Steer | Abort | AbandonUndo) -> None:
        if said.first_run_id != workflow.info().first_execution_run_id:
            raise ValueError("this message is for another run")

    def _check_sequence(self, said: Steer) -> None:
        self._check_run(said)
        if said.sequence != self._sequence:
            raise ValueError(f"stale: the sequence is {self._sequence} now, not {said.sequence}")

    @workflow.update
    def approve(self, voice: Voice) -> Receipt:
        self._votes.append(voice)
        if len({vote.by for vote in self._votes}) > 1:
            self._end = ("Succeeded", "")
        return self._receipt()

    @approve.validator
    def check_approve(self, voice: Voice) -> None:
        self._check_run(voice)
        if voice.gate not in {name for gate in self._gates for name in (gate.name, gate.instance)}:
            raise ValueError(f"there is no open gate {voice.gate!r}; open is production")

    @workflow.update
    def reject(self, voice: Voice) -> Receipt:
        self._end = ("Rejected", voice.comment)
        return self._receipt()

    @workflow.update
    def pause(self, steer: Steer) -> Receipt:
        self._sequence += 1
        self._phase = "Paused"
        return self._receipt()

    @pause.validator
    def check_pause(self, steer: Steer) -> None:
        self._check_sequence(steer)

    @workflow.update
    def resume(self, steer: Resume) -> Receipt:
        self._sequence += 1
        self._phase = "Observing"
        return self._receipt()

    @workflow.update
    def advance(self, advance: Advance) -> Receipt:
        self._end = ("Succeeded", "advanced fully" if advance.full else "advanced")
        return self._receipt()

    @workflow.update
    def abort(self, abort: Abort) -> Receipt:
        self._end = ("Aborted", abort.reason)
        return self._receipt()

    @abort.validator
    def check_abort(self, abort: Abort) -> None:
        self._check_run(abort)
        if abort.reason == "superseded" and "keep" in self._document["spec"].get("change", {}).get("reason", ""):
            raise ValueError("policy does not permit superseding here")

    @workflow.update(name="abandonUndo")
    def abandon_undo(self, abandon: AbandonUndo) -> Receipt:
        self._end = ("Undoable", abandon.reason)
        return self._receipt()

    @workflow.signal(name="abort")
    def abort_twin(self, abort: dict[str, Any]) -> None:
        self._end = ("Aborted", f"by signal: {abort['reason']}")


@workflow.defn(name="Rollback")
class StubRollback:
    """Returns to the version at once, or refuses one that nobody knows."""

    @workflow.run
    async def run(self, order: dict[str, Any]) -> ReleaseResult:
        if order["version"] == "v9":
            raise ApplicationError("v9 was never released here", type="Failed", non_retryable=True)
        if order["reason"] == "slow":
            await asyncio.sleep(60)
        return ReleaseResult(
            environment=order["environment"],
            name=order["name"],
            version=order["version"],
            outcome="Succeeded",
            reason=order["reason"],
        )


@workflow.defn(name="Inquiry")
class StubInquiry:
    """Reaches no cluster."""

    @workflow.run
    async def run(self, question: str, about: Any = None) -> dict[str, Any]:
        if question == "backtest":
            decision = Decision(verdict="rollback", reason="EvidenceFound", message=f"{about['canary']} is worse")
            window = Window(seconds=about["windowSeconds"] or 0, decision=decision, after_seconds=90, peak=5)
            return Backtested(windows=(window,), metrics=METRICS).model_dump(mode="json")
        return {}


def a_worker(client: Client, task_queue: str = "headgate") -> Worker:
    """A worker for the three."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[StubRelease, StubRollout, StubRollback, StubInquiry],
        workflow_runner=UnsandboxedWorkflowRunner(),
        graceful_shutdown_timeout=timedelta(0),
    )
