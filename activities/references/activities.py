"""The bridge from the reference contract to providers and checks: what all kinds share is asked here.

Every provider can say what is there, whom it writes to and where; so a workload of any kind is checked for being there,
healthy and in nobody else's hands. What only one kind knows, such as images and quotas, its own check adds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from activities.gitops.null import NoGitOps
from activities.gitops.protocol import GitOps
from activities.references.protocol import Checked, Look, ReferenceChecks, merged
from activities.registry import Registry
from activities.traffic.protocol import TrafficRouter
from activities.workloads.protocol import Record, WorkloadProvider
from workflows.contracts.references import (
    ComponentSeen,
    Described,
    DescribeRequest,
    ReferenceActivities,
    ReferenceProblem,
    ReferencesChecked,
    ReferencesRequest,
    Surveyed,
)
from workflows.contracts.targets import MarkFound
from workflows.errors import Denied, PermanentError, PlanRefused
from workflows.model.plan import ComponentPlan
from workflows.model.target import Sync, TargetState
from workflows.planning.rollouts import rollout_plan

T = TypeVar("T")

Found = tuple[Look, list[ReferenceProblem]]


class References(ReferenceActivities):
    """Looks at every component through its providers, then through the check of its kind."""

    def __init__(
        self,
        workloads: Registry[WorkloadProvider],
        routers: Registry[TrafficRouter],
        checks: Registry[ReferenceChecks],
        find_marks: Callable[[], Awaitable[list[MarkFound]]],
        gitops: GitOps | None = None,
    ) -> None:
        self._workloads = workloads
        self._routers = routers
        self._checks = checks
        self._find_marks = find_marks
        self._gitops = gitops or NoGitOps()

    async def check(self, request: ReferencesRequest) -> ReferencesChecked:
        found = await asyncio.gather(*(self._look(component, request) for component in request.components))
        looks = [look for look, _ in found]
        parts = [
            await self._checks.get(kind).check(mine)
            for kind in self._checks.kinds
            if (mine := [look for look in looks if look.objects and look.target.workload.get("kind") == kind])
        ]
        checked = merged(parts)
        untold = _untold([problem for _, some in found for problem in some], checked.problems)
        return ReferencesChecked(
            problems=(*checked.problems, *untold), seen=tuple(_seen(look, checked) for look in looks)
        )

    async def describe(self, request: DescribeRequest) -> Described:
        return await self._checks.get("kubernetes").describe(request, self._routers)

    async def survey(self) -> Surveyed:
        checks = [self._checks.get(kind) for kind in self._checks.kinds]
        clusters = await asyncio.gather(*(check.survey() for check in checks))
        orphans = sorted({found.mark.target.key for found in await self._find_marks() if found.orphaned})
        return Surveyed(clusters=tuple(seen for some in clusters for seen in some), orphans=tuple(orphans))

    async def _look(self, component: ComponentPlan, request: ReferencesRequest) -> Found:
        target, look = component.target, Look(component)
        try:
            workload = self._workloads.get(str(target.workload.get("kind", "")))
            router = self._routers.get(str(target.traffic.get("kind", "none")))
            look = replace(look, objects=(*workload.objects(target), *router.objects(target)))
        except PermanentError as error:
            return look, [look.problem("workload", str(error))]
        record, slots, traffic, scalers, syncs = await asyncio.gather(
            _answer(workload.record(target)),
            _answer(workload.observe(target)),
            _answer(router.read(target)),
            _answer(workload.autoscalers(target)),
            _answer(self._syncs(look, workload)),
        )
        answers = (("workload", slots), ("", record), ("traffic", traffic), ("workload", scalers), ("", syncs))
        refusals = [(field, answer) for field, answer in answers if isinstance(answer, PermanentError)]
        told = [look.problem(*_refusal(field, error)) for field, error in refusals]
        if (
            isinstance(slots, PermanentError)
            or isinstance(record, PermanentError)
            or isinstance(traffic, PermanentError)
            or isinstance(scalers, PermanentError)
        ):
            return look, told
        found = () if isinstance(syncs, PermanentError) else syncs
        look = replace(look, state=TargetState(slots=slots, traffic=traffic, autoscalers=scalers, syncs=found))
        look, problems = _planned(look, record, request)
        return look, [*told, *problems]

    async def _syncs(self, look: Look, workload: WorkloadProvider) -> tuple[Sync, ...]:
        """What of Git's would have to be paused, of all that a release writes."""
        objects = (*look.objects, *await workload.scalers(look.target))
        return await self._gitops.find(look.target, look.component.template, objects)


async def _answer(call: Awaitable[T]) -> T | PermanentError:
    """What a provider answers, a refusal included. Errors: whatever trying again may help."""
    try:
        return await call
    except PermanentError as refusal:
        return refusal


def _refusal(field: str, error: PermanentError) -> tuple[str, str]:
    """Rights are the worker's, wherever they are missed."""
    return "workload" if isinstance(error, Denied) else field, str(error)


def _planned(look: Look, record: Record, request: ReferencesRequest) -> Found:
    if record.mark or look.state is None:
        return look, []  # Another release is under way, or an undo is due: this one waits for it.
    try:
        plan = rollout_plan(look.component, look.state, analysis_required=request.analysis_required)
    except PlanRefused as refusal:
        return look, [look.problem("", str(refusal))]
    return replace(look, plan=plan), []


def _untold(mine: Iterable[ReferenceProblem], told: Iterable[ReferenceProblem]) -> list[ReferenceProblem]:
    """Without those about a part whose own check has said what is wrong with it, and says it better."""
    certain = [problem for problem in told if problem.is_certain]
    known = {(problem.component, _part(problem)) for problem in certain}
    known |= {(problem.component, problem.message) for problem in certain}
    nowhere = {problem.component for problem in certain if problem.field == "workload.namespace"}
    return [
        problem
        for problem in mine
        if problem.component not in nowhere
        and not {(problem.component, _part(problem)), (problem.component, problem.message)} & known
    ]


def _part(problem: ReferenceProblem) -> str:
    return problem.field.partition(".")[0]


def _seen(look: Look, checked: Checked) -> ComponentSeen:
    name, stable = look.component.name, look.state.slot("stable") if look.state else None
    return ComponentSeen(
        component=name,
        template=checked.templates.get(name, look.component.template),
        running=stable.template.version if stable and stable.template else "",
        replicas=stable.replicas if stable else None,
        notes=checked.notes.get(name, ()),
    )
