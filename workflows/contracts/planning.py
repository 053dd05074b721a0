"""Plan in an activity, so that the plan is recorded and a later planner cannot disturb a running release.

The steps of each component are planned where its baseline is captured: see `contracts/targets.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

from temporalio import activity

from workflows.model.plan import ReleasePlan
from workflows.model.shapes import Message, Sentence
from workflows.model.target import Promoted


class FieldProblem(Message):
    path: Sentence
    message: Sentence


class PlanRequest(Message):
    document: dict[str, Any]
    """The Release document."""


class Planned(Message):
    """The plan, or why there is none; a wrong document is a value, so that the workflow can say so and end."""

    plan: ReleasePlan | None = None
    reason: Literal["", "BadSpec", "PolicyRefused", "PlanRefused"] = ""
    problems: tuple[FieldProblem, ...] = ()


class RollbackPlanRequest(Message):
    environment: str
    release: str
    version: str
    promoted: tuple[Promoted, ...]
    """What `targets.find_promoted` answered."""


class PlanningActivities(ABC):
    """The pure planner with the worker's policy."""

    @activity.defn(name="planning.plan_release")
    @abstractmethod
    async def plan_release(self, request: PlanRequest) -> Planned:
        """Validates the document against policy and settings and lays out components, waves, gates and floors."""

    @activity.defn(name="planning.plan_rollback")
    @abstractmethod
    async def plan_rollback(self, request: RollbackPlanRequest) -> Planned:
        """The plan that brings back a version kept beside the targets."""
