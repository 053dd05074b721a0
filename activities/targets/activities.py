"""Lock, mark and settle a target, over whatever workload and router it has.

The order is what makes a release undoable: the fence first, so that nobody else writes any more; then the baseline,
which is therefore the last state before ours; then the mark that holds it. Only then may anything change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from activities.clusters.caller import caller
from activities.clusters.fence import FencedObject, Made, raise_fence
from activities.foreign import Lookout
from activities.gitops.null import NoGitOps
from activities.gitops.protocol import GitOps
from activities.registry import Registry
from activities.targets.protocol import RunProbe
from activities.traffic.keeping import Keeping
from activities.traffic.protocol import Sticky, TrafficRouter
from activities.workloads.protocol import Record, WorkloadProvider
from workflows.contracts.targets import (
    Acquired,
    AcquireRequest,
    AwaitGitRequest,
    Captured,
    CaptureRequest,
    FindPromoted,
    GitState,
    MarkFound,
    RolloutPlanned,
    SettleRequest,
    TakeOverRequest,
    TargetActivities,
    UndoRequest,
    UndoState,
)
from workflows.errors import PlanRefused
from workflows.model.target import SLOTS, Backend, Claim, Mark, Promoted, Target, TargetState
from workflows.planning.rollouts import rollout_plan
from workflows.planning.undo import next_undo_step


class Targets(TargetActivities):
    """Carries each call to the providers of a target's workload and traffic."""

    def __init__(
        self,
        workloads: Registry[WorkloadProvider],
        routers: Registry[TrafficRouter],
        runs: RunProbe,
        gitops: GitOps | None = None,
    ) -> None:
        self._workloads = workloads
        self._routers = routers
        self._lookout = Lookout(workloads, routers)
        self._keeping = Keeping(routers)
        self._runs = runs
        self._gitops = gitops or NoGitOps()

    async def capture(self, request: CaptureRequest) -> Captured:
        record = await self._workload(request.target).record(request.target)
        if record.mark:
            return await self._marked(record.mark, request)
        if not request.again and (refusal := _rolled_back(record, request)):
            return Captured(status="refused", message=refusal)
        state = await self._inspect(request.target)
        if not request.restart and _runs_already(state, request):
            return Captured(
                status="running",
                baseline=state,
                message=f"{request.target.key} runs {request.template.version} already",
            )
        return await self._capture(request)

    async def acquire(self, request: AcquireRequest) -> Acquired:
        record = await self._workload(request.target).record(request.target)
        if record.mark and not request.is_about(record.mark):
            return Acquired()
        claim = await self._claim(request.target, request.purpose, await self._objects(request.target))
        record = await self._workload(request.target).record(request.target)
        state = await self._inspect(request.target)
        step = next_undo_step(record.mark.baseline, state, request.target) if record.mark else None
        return Acquired(claim=claim, state=state, mark=record.mark, step=step)

    async def find_mark(self, target: Target) -> Mark | None:
        return (await self._workload(target).record(target)).mark

    async def _inspect(self, target: Target) -> TargetState:
        return TargetState(
            slots=await self._workload(target).observe(target),
            traffic=await self._router(target).read(target),
            observed_at=datetime.now(UTC),
        )

    async def take_over(self, request: TakeOverRequest) -> None:
        await self._lookout.put_back(request.target, request.claim)

    async def _baseline(self, target: Target) -> TargetState:
        """The target with what its plan must know and nothing later asks again."""
        state, found = await asyncio.gather(self._inspect(target), self._workload(target).autoscalers(target))
        state, router = state.model_copy(update={"autoscalers": found}), self._router(target)
        if state.traffic is None or not isinstance(router, Sticky):
            return state
        traffic = state.traffic.model_copy(update={"affinity": await router.affinity(target)})
        return state.model_copy(update={"traffic": traffic})

    async def next_undo(self, request: UndoRequest) -> UndoState:
        state = await self._inspect(request.target)
        return UndoState(state=state, step=next_undo_step(request.mark.baseline, state, request.target))

    async def await_git(self, request: AwaitGitRequest) -> GitState:
        mark = await self.find_mark(request.target)
        syncs = mark.baseline.syncs if mark else ()
        behind = await self._gitops.await_git(request.target, request.claim, syncs, seconds=request.limit_seconds)
        return GitState(named=not behind, message=behind)

    async def settle(self, request: SettleRequest) -> None:
        if (mark := await self.find_mark(request.target)) is None:
            return
        promoted = request.promoted
        if promoted and promoted.at is None:
            promoted = promoted.model_copy(update={"at": datetime.now(UTC)})
        if request.retire is not None:
            async with self._keeping(request.target):
                await self._workload(request.target).retire(request.retire)
        if request.weights:
            await self._lead(request.target, request.claim, request.weights)
        await self._gitops.resume(request.target, request.claim, mark.baseline.syncs)
        await self._workload(request.target).settle(request.target, request.claim, promoted)

    async def find_marks(self) -> list[MarkFound]:
        marks = [record.mark for provider in self._workloads for record in await provider.records() if record.mark]
        return await asyncio.gather(*map(self._found, marks))

    async def find_promoted(self, request: FindPromoted) -> list[Promoted]:
        found = [
            kept
            for provider in self._workloads
            for record in await provider.records()
            for kept in record.kept
            if (kept.environment, kept.release) == (request.environment, request.release)
        ]
        return sorted(found, key=lambda kept: kept.at or datetime.min.replace(tzinfo=UTC), reverse=True)

    async def _capture(self, request: CaptureRequest) -> Captured:
        target, objects = request.target, await self._objects(request.target)
        await asyncio.gather(*(item.refuse_occupied() for item in objects if isinstance(item, Made)))
        syncs = await self._gitops.find(target, request.template, objects)
        claim = await self._claim(target, "release", objects)
        mark = Mark(
            target=target,
            release=request.release,
            rollout_run_id=caller().run_id,
            baseline=(await self._baseline(target)).model_copy(update={"syncs": syncs}),
            version=request.template.version,
            marked_at=datetime.now(UTC),
            temporal_namespace=self._runs.namespace,
        )
        placed = await self._workload(target).put_mark(mark, claim)
        if placed.rollout_run_id != mark.rollout_run_id:
            return await self._marked(placed, request)
        return await self._captured(placed, claim, request, objects)

    async def _marked(self, mark: Mark, request: CaptureRequest) -> Captured:
        """Answers for a target that carries a mark already: ours, an open run's, or an orphan."""
        target = request.target
        if mark.rollout_run_id == caller().run_id:
            objects = await self._objects(target)
            return await self._captured(mark, await self._claim(target, "release", objects), request, objects)
        holder = f"{mark.target.rollout_id} run {mark.rollout_run_id} of {mark.release.workflow_id} ({mark.version})"
        if self._is_foreign(mark):
            holder += f" in the Temporal namespace {mark.temporal_namespace}"
        if await self._is_open(mark):
            return Captured(status="held", holder=holder, mark=mark, message=f"{target.key} is held by {holder}")
        return Captured(
            status="orphaned",
            holder=holder,
            mark=mark,
            message=f"{target.key} carries the mark of {holder}, which has ended; it must be undone first",
        )

    async def _captured(
        self, mark: Mark, claim: Claim, request: CaptureRequest, objects: Sequence[FencedObject]
    ) -> Captured:
        """What follows a mark, whichever attempt wrote it."""
        await self._gitops.pause(mark.target, claim, mark.baseline.syncs)
        await self._workload(mark.target).hold(mark, claim)
        return Captured(
            status="captured",
            baseline=mark.baseline,
            claim=claim,
            mark=mark,
            advisory=tuple(item.label for item in objects if item.is_advisory),
            planned=planned(request, mark.baseline),
        )

    async def _claim(self, target: Target, purpose: str, objects: Sequence[FencedObject]) -> Claim:
        """Raises the fence, unless this is a late attempt of a run that has ended while another one took over."""
        who = caller()
        return await raise_fence(
            objects,
            target.key,
            caller=who,
            purpose=purpose,
            is_open=lambda: self._runs.is_open(*who),
        )

    async def _is_open(self, mark: Mark) -> bool:
        """Whether the run behind a mark is open, as far as anybody here can know."""
        return self._is_foreign(mark) or await self._runs.is_open(mark.target.rollout_id, mark.rollout_run_id)

    def _is_foreign(self, mark: Mark) -> bool:
        return mark.temporal_namespace not in ("", self._runs.namespace)

    async def _found(self, mark: Mark) -> MarkFound:
        """What became of the runs behind a mark."""
        named = mark.model_copy(update={"baseline": TargetState()})
        if not await self._is_open(mark):
            return MarkFound(mark=named, orphaned=await self._is_orphaned(mark))
        is_kept = self._is_foreign(mark) or await self._runs.is_open(mark.release.workflow_id, None)
        return MarkFound(mark=named, orphaned=False, forsaken=not is_kept)

    async def _is_orphaned(self, mark: Mark) -> bool:
        """Whether nobody settles a mark whose own run has ended."""
        if await self._runs.is_open(mark.target.rollout_id, None):
            return False
        # Its run may have settled it and ended since it was read.
        return await self.find_mark(mark.target) == mark

    async def _objects(self, target: Target) -> list[FencedObject]:
        workload = self._workload(target)
        return [*workload.objects(target), *await workload.scalers(target), *self._router(target).objects(target)]

    async def _lead(self, target: Target, claim: Claim, weights: dict[Backend, float]) -> None:
        router = self._router(target)
        await router.check(target, claim)
        await router.write(target, claim, router.wanted(target, weights, None))

    def _workload(self, target: Target) -> WorkloadProvider:
        return self._workloads.get(str(target.workload.get("kind", "")))

    def _router(self, target: Target) -> TrafficRouter:
        return self._routers.get(str(target.traffic.get("kind", "none")))


def planned(request: CaptureRequest, baseline: TargetState) -> RolloutPlanned | None:
    """The steps from a baseline, when the request asks for them; a refusal is a value."""
    if request.component is None:
        return None
    try:
        plan = rollout_plan(request.component, baseline, kind=request.kind, analysis_required=request.analysis_required)
    except PlanRefused as refusal:
        return RolloutPlanned(reason=refusal.reason, message=str(refusal))
    return RolloutPlanned(plan=plan)


def _rolled_back(record: Record, request: CaptureRequest) -> str:
    version = request.template.version
    newest = next((kept for kept in reversed(record.kept) if kept.version == version), None)
    if newest is None or newest.outcome != "rolledBack":
        return ""
    when = f" at {newest.at:%Y-%m-%d %H:%M} UTC" if newest.at else ""
    return f"{version} was rolled back on {request.target.key}{when}; release it with --again if you mean it"


def _runs_already(state: TargetState, request: CaptureRequest) -> bool:
    stable = state.slot("stable")
    digest = request.template.digest
    return (
        stable.template is not None
        and stable.template.digest == digest
        and stable.is_purely(digest)
        and stable.ready_of(digest) >= stable.replicas
        and all(state.slot(slot).is_empty for slot in SLOTS if slot != "stable")
        and (state.traffic is None or state.weight("stable") == 100)
    )
