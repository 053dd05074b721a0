"""What must be there before anything is touched: asked of each cluster, everything that is missing told at once."""

from __future__ import annotations

import asyncio

from temporalio.exceptions import ActivityError

from workflows.contracts.metrics import Measured
from workflows.contracts.planning import FieldProblem
from workflows.contracts.references import (
    ComponentSeen,
    ReferenceActivities,
    ReferenceProblem,
    ReferencesChecked,
    ReferencesRequest,
)
from workflows.contracts.workers import CONTRACT, Introduction, WorkerActivities
from workflows.engine import calls
from workflows.engine.calls import Line, Profile
from workflows.model.plan import ReleasePlan
from workflows.model.shapes import Message
from workflows.planning.releases import sealed


class Preflight(Message):
    """A plan that can begin, or all that keeps it from beginning."""

    plan: ReleasePlan | None = None
    """With digests for tags, and with a warning for whatever nobody could tell; there even where it can't begin."""
    reason: str = ""
    """Why it can't begin: BadSpec, PolicyRefused or PreflightFailed."""
    problems: tuple[FieldProblem, ...] = ()
    seen: tuple[ComponentSeen, ...] = ()
    """What is there now, by component."""
    traffic: dict[str, Measured] = {}
    """What users do now, by component; only where somebody asked for it."""


async def preflight(plan: ReleasePlan, profile: Profile = calls.USUAL) -> Preflight:
    """Asks all clusters at the same time; one that can't be asked is a problem like any other."""
    clusters = sorted({component.target.cluster for component in plan.components})
    answers = await asyncio.gather(*(_ask(plan, cluster, profile) for cluster in clusters))
    found = [problem for answer in answers for problem in answer.problems]
    seen = tuple(one for answer in answers for one in answer.seen)
    problems = tuple(_located(plan, problem) for problem in found if problem.is_certain)
    warnings = tuple(f"{problem.component}: {problem.message}" for problem in found if not problem.is_certain)
    return Preflight(
        plan=_completed(plan, seen, warnings),
        reason="PreflightFailed" if problems else "",
        problems=problems,
        seen=seen,
    )


async def _ask(plan: ReleasePlan, cluster: str, profile: Profile) -> ReferencesChecked:
    mine = tuple(component for component in plan.components if component.target.cluster == cluster)
    line = Line(mine[0].target.queue)
    request = ReferencesRequest(components=mine, analysis_required=plan.analysis_required)
    summary = f"Check what is needed in {cluster}"
    try:
        objection = await _objection(cluster, line, profile) if line.queue else ""
        if not objection:
            answer: ReferencesChecked = await calls.call(ReferenceActivities.check, request, profile, summary, line)
            return answer
    except ActivityError as error:
        if calls.is_cancelled(error):
            raise
        objection = f"cluster {cluster} could not be asked what is there: {calls.failure_of(error).message}"
    problems = (ReferenceProblem(component=component.name, field="workload", message=objection) for component in mine)
    return ReferencesChecked(problems=tuple(problems))


async def _objection(cluster: str, line: Line, profile: Profile) -> str:
    """Why the worker inside a cluster can't carry out a release; empty when it can."""
    worker: Introduction = await calls.call(WorkerActivities.introduce, None, profile, f"Meet {line.queue}", line)
    if worker.contract < CONTRACT:
        return (
            f"the worker at {line.queue} ({worker.version or 'unknown version'}) speaks contract {worker.contract} and "
            f"this release needs {CONTRACT}; update the workers inside cluster {cluster} first"
        )
    if cluster not in worker.clusters:
        known = ", ".join(worker.clusters) or "none"
        return (
            f"the worker at {line.queue} does not reach cluster {cluster} itself (it reaches {known}); name it in "
            "kubernetes.clusters of that worker's settings"
        )
    return ""


def _completed(plan: ReleasePlan, seen: tuple[ComponentSeen, ...], warnings: tuple[str, ...]) -> ReleasePlan:
    templates = {one.component: one.template for one in seen}
    components = tuple(
        component.model_copy(update={"template": templates.get(component.name, component.template)})
        for component in plan.components
    )
    notes = tuple(f"{one.component}: {note}" for one in seen for note in one.notes)
    more = {"components": components, "warnings": (*plan.warnings, *warnings), "notes": (*plan.notes, *notes)}
    return sealed(plan.model_copy(update=more))


def _located(plan: ReleasePlan, problem: ReferenceProblem) -> FieldProblem:
    names = [component.name for component in plan.components]
    at = f"spec.components[{names.index(problem.component)}]"
    return FieldProblem(path=f"{at}.{problem.field}" if problem.field else at, message=problem.message)
