"""The bridge between workflows and the pure planner: the policy comes in here, and refusals become values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from workflows.contracts.planning import (
    FieldProblem,
    Planned,
    PlanningActivities,
    PlanRequest,
    RollbackPlanRequest,
)
from workflows.errors import PolicyRefused, Problem, SpecError
from workflows.model.analysis import Analysis
from workflows.model.documents import parse_release
from workflows.model.plan import ReleasePlan
from workflows.model.policy import Policy
from workflows.model.shapes import carried
from workflows.model.target import Target
from workflows.planning.releases import release_plan
from workflows.planning.returns import return_plan

MOST_PROBLEMS = 100


class Planner(PlanningActivities):
    """Plans with the policy that the worker was started with; computes only, so any number of attempts is fine."""

    def __init__(
        self,
        policy: Policy,
        queues: Mapping[str, str] | None = None,
        objections: Callable[[Target, Analysis], Iterable[Problem]] = lambda *_: (),
    ) -> None:
        self._policy = policy
        self._queues = queues or {}
        self._objections = objections
        """What this worker could never read of an analysis, with paths below it."""

    async def plan_release(self, request: PlanRequest) -> Planned:
        try:
            plan = release_plan(parse_release(request.document), self._policy)
        except SpecError as error:
            return _refused(error)
        if unreadable := list(self._unreadable(plan)):
            return _refused(SpecError(unreadable))
        return Planned(plan=self._placed(plan))

    async def plan_rollback(self, request: RollbackPlanRequest) -> Planned:
        try:
            plan = return_plan(
                request.promoted,
                self._policy,
                environment=request.environment,
                release=request.release,
                version=request.version,
            )
        except SpecError as error:
            return _refused(error)
        return Planned(plan=self._placed(plan))

    def _unreadable(self, plan: ReleasePlan) -> Iterable[Problem]:
        for index, component in enumerate(plan.components):
            if analysis := component.component.get("analysis"):
                for problem in self._objections(component.target, carried(Analysis, analysis)):
                    yield Problem(f"spec.components[{index}].analysis.{problem.path}", problem.message)

    def _placed(self, plan: ReleasePlan) -> ReleasePlan:
        """The plan with the queues of clusters as they are today; no part of what people approve, nor of its digest."""
        components = (
            component.model_copy(
                update={
                    "target": component.target.model_copy(
                        update={"queue": self._queues.get(component.target.cluster, "")}
                    )
                }
            )
            for component in plan.components
        )
        return plan.model_copy(update={"components": tuple(components)})


def _refused(error: SpecError) -> Planned:
    reason: Literal["PolicyRefused", "BadSpec"] = "PolicyRefused" if isinstance(error, PolicyRefused) else "BadSpec"
    return Planned(reason=reason, problems=tuple(_carried(error.problems)))


def _carried(problems: Sequence[Problem]) -> Iterable[FieldProblem]:
    """The first problems: the server ends a workflow whose failure has thousands."""
    for problem in problems[:MOST_PROBLEMS]:
        yield FieldProblem(path=problem.path, message=problem.message)
    if (left := len(problems) - MOST_PROBLEMS) > 0:
        yield FieldProblem(path="", message=f"{left} more problems; `headgate validate` names them all")
