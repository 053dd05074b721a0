"""Workflows that end in every way, and that log from everywhere."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from workflows.engine.visibility import ENVIRONMENT, PHASE
from workflows.model.target import Target

logger = logging.getLogger("tests.worker.reporting")
PROMPT = timedelta(seconds=10)


@workflow.defn(name="Release")
class EndingRelease:
    """Ends as it is told."""

    @workflow.run
    async def run(self, outcome: str) -> None:
        if outcome == "Canceled":
            try:
                await workflow.wait_condition(lambda: False)
            except asyncio.CancelledError:
                await asyncio.shield(workflow.sleep(0.1))
                workflow.upsert_search_attributes([PHASE.value_set("RolledBack")])
                raise
        await workflow.sleep(0.01)
        if outcome != "Succeeded":
            raise ApplicationError("no", type=outcome)


@workflow.defn(name="LoggingRelease")
class LoggingRelease:
    """Has a child, as a Release has a Rollout."""

    @workflow.run
    async def run(self, target: Target) -> None:
        await workflow.execute_child_workflow(LoggingRollout.run, target, id=f"rollout/{workflow.info().workflow_id}")


@workflow.defn(name="LoggingRollout")
class LoggingRollout:
    """Logs itself and through an activity."""

    @workflow.run
    async def run(self, target: Target) -> None:
        workflow.logger.warning("from the workflow")
        await workflow.execute_activity(log_line, target, start_to_close_timeout=PROMPT)


@activity.defn
async def log_line(target: Target) -> None:
    """Logs through a plain logger, as providers do."""
    logger.warning("from the activity of %s", target.component)


@workflow.defn(name="Rollout")
class UndoneRollout:
    """Undoes something that takes a moment."""

    @workflow.run
    async def run(self) -> None:
        workflow.upsert_search_attributes([ENVIRONMENT.value_set("production")])
        await workflow.execute_activity(acquire, start_to_close_timeout=PROMPT)
        await workflow.sleep(1.2)
        await workflow.execute_activity(settle, start_to_close_timeout=PROMPT)


@activity.defn(name="targets.acquire")
async def acquire() -> None:
    """Starts the undo."""


@activity.defn(name="targets.settle")
async def settle() -> None:
    """Ends the undo."""
