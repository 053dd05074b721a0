"""A world in memory behind the real contracts, so that real workflows can be interrupted anywhere.

Every write tests the fence as a provider does. `violations` collects what must never happen: users sent to a version
without ready instances.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.boundary import implement
from activities.targets.activities import planned
from tests.builders import a_policy
from workflows.contracts.audit import AuditActivities, AuditRecord
from workflows.contracts.checks import CheckActivities, CheckRequest, CheckResult
from workflows.contracts.journal import Entries, JournalActivities, Missed
from workflows.contracts.metrics import (
    BacktestRequest,
    Examined,
    ExamineRequest,
    FollowRequest,
    Measured,
    MeasureRequest,
    MetricActivities,
    Observed,
    ObserveRequest,
)
from workflows.contracts.notifications import Notification, NotificationActivities
from workflows.contracts.planning import (
    Planned,
    PlanningActivities,
    PlanRequest,
    RollbackPlanRequest,
)
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
from workflows.contracts.targets import (
    Acquired,
    AcquireRequest,
    AwaitGitRequest,
    Captured,
    CaptureRequest,
    FindPromoted,
    GitState,
    MarkFound,
    SettleRequest,
    TakeOverRequest,
    TargetActivities,
    UndoRequest,
    UndoState,
)
from workflows.contracts.traffic import RestoreRequest, Shifted, ShiftRequest, TrafficActivities, VerifyRequest
from workflows.contracts.workers import CONTRACT, Introduction, WorkerActivities
from workflows.contracts.workloads import (
    DeployRequest,
    Gathered,
    GatherRequest,
    ReadyResult,
    RetireRequest,
    ScaleRequest,
    WaitReadyRequest,
    WorkloadActivities,
)
from workflows.errors import Fenced, ForeignChange, NotFound, NotReady, Rejected, Unavailable
from workflows.model.backtest import Backtested, Window
from workflows.model.decision import Decision
from workflows.model.plan import ComponentPlan, ReleasePlan
from workflows.model.status import LateRequests
from workflows.model.target import (
    PURPOSES,
    Claim,
    Mark,
    Promoted,
    ReleaseRef,
    Slot,
    SlotState,
    Sync,
    Target,
    TargetState,
    Template,
    TrafficState,
)
from workflows.planning.returns import return_plan
from workflows.planning.undo import next_undo_step

POLICY = a_policy().and_environment("test", targets=[{"cluster": "local", "namespaces": ["test"]}]).parsed()
Hook = Callable[[Any], Awaitable[None]]


@dataclass
class Place:
    """One target's state."""

    slots: dict[Slot, SlotState]
    traffic: TrafficState | None
    epoch: int = 0
    owner: Claim | None = None
    mark: Mark | None = None
    kept: list[Promoted] = field(default_factory=list)
    log: list[tuple[str, Any]] = field(default_factory=list)
    syncs: tuple[Sync, ...] = ()

    @property
    def called(self) -> list[str]:
        """The names of the activities so far, in order."""
        return [name for name, _ in self.log]

    def state(self) -> TargetState:
        return TargetState(slots=dict(self.slots), traffic=self.traffic, syncs=self.syncs)


@dataclass
class FakeWorld:
    """All targets, what observers say, and hooks that run before an activity of one target."""

    places: dict[str, Place] = field(default_factory=dict)
    plans: dict[str, ReleasePlan] = field(default_factory=dict)
    hooks: dict[tuple[str, str], Hook] = field(default_factory=dict)
    """By target key and activity name; `*` stands for every activity but the observer."""
    verdicts: dict[str, Callable[[ObserveRequest], Decision | None]] = field(default_factory=dict)
    """By target key: what an observer says at once; None lets time pass."""
    unready: set[str] = field(default_factory=set)
    """Digests that never become ready."""
    failed_checks: set[str] = field(default_factory=set)
    """Target keys."""
    closed_runs: set[str] = field(default_factory=set)
    """Ids of Rollouts' runs, and of the workflows that started them."""
    foreign: dict[str, str] = field(default_factory=dict)
    """By target key, a field that somebody else changed: forward writes are refused, and observers notice it."""
    silent: bool = False
    """Observers that noticed one tell it when they are interrupted."""
    noticed: int = 0
    """Changes that observers noticed."""
    unwritten: set[str] = field(default_factory=set)
    """Events that the record does not take."""
    unheard: set[str] = field(default_factory=set)
    """Events of notifications that no channel takes."""
    missing: list[ReferenceProblem] = field(default_factory=list)
    """What the check of references tells."""
    checking: asyncio.Event | None = None
    """What that check waits for."""
    surveyed: Surveyed = field(default_factory=Surveyed)
    """What doctors are told."""
    examined: Examined = field(default_factory=Examined)
    """What they are told of metrics."""
    described: dict[str, Described] = field(default_factory=dict)
    """What is around Deployments, by name."""
    half_captured: set[str] = field(default_factory=set)
    """Target keys: a capture fails for good once it has marked them."""
    pins: dict[str, Template] = field(default_factory=dict)
    """By component, what it puts in place of a template with a tag."""
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By target key: what its observer answers beside its decision: `evidence`, `metrics`, `weighed`."""
    arranged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By component, what it notes beside the steps."""
    audit: list[AuditRecord] = field(default_factory=list)
    notes: list[Notification] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    behind: dict[str, str] = field(default_factory=dict)
    """By target key: why Git does not name the new version."""
    introduction: Introduction = field(default_factory=lambda: Introduction(contract=CONTRACT, clusters=("local",)))
    traffic: dict[str, Measured] = field(default_factory=dict)
    """What users do before a release, by component."""
    tick: float = 0.02
    speed: float = 1.0
    """Observed seconds that pass in one real second."""

    def add(self, key: str, old: Template | None, replicas: int = 4, *, routed: bool = True) -> Place:
        ready = {old.digest: replicas} if old else {}
        stable = SlotState(template=old, replicas=replicas, ready=ready, running=replicas) if old else SlotState()
        traffic = TrafficState(weights={"stable": 100} if old else {}) if routed else None
        self.places[key] = Place({"stable": stable, "canary": SlotState()}, traffic)
        return self.places[key]

    def activities(self) -> list[Callable[..., Any]]:
        family: list[tuple[type, Any]] = [
            (TargetActivities, _Targets(self)),
            (WorkloadActivities, _Workloads(self)),
            (TrafficActivities, _Traffic(self)),
            (MetricActivities, _Metrics(self)),
            (CheckActivities, _Checks(self)),
            (NotificationActivities, _Notifications(self)),
            (AuditActivities, _Audit(self)),
            (JournalActivities, _Journal(self)),
            (PlanningActivities, _Planning(self)),
            (ReferenceActivities, _References(self)),
            (WorkerActivities, _Workers(self)),
        ]
        return [bound for contract, instance in family for bound in implement(contract, instance)]

    async def enter(self, target: Target, request: Any = None) -> Place:
        name = activity.info().activity_type
        place = self.places[target.key]
        for wanted in (name, "*"):
            hook = self.hooks.get((target.key, wanted))
            if hook is not None and (wanted != "*" or name != "metrics.observe"):
                await hook(request)
        place.log.append((name, request))
        return place

    def check_claim(self, place: Place, claim: Claim) -> None:
        info = activity.info()
        if place.owner != claim or (claim.workflow_id, claim.run_id) != (info.workflow_id, info.workflow_run_id):
            raise Fenced(f"the target belongs to {place.owner}")
        changed = next(
            (self.foreign[key] for key, other in self.places.items() if other is place and key in self.foreign), ""
        )
        if changed and claim.purpose == "release" and info.activity_type != "targets.take_over":
            raise ForeignChange(f"{changed} was 10 and is 50", field=changed)

    def raise_fence(self, place: Place, purpose: str) -> Claim:
        info = activity.info()
        owner = (info.workflow_id or "", info.workflow_run_id or "", purpose)
        held = place.owner
        if held is not None and (held.workflow_id, held.run_id) == owner[:2]:
            if held.purpose == purpose:
                return held
            if PURPOSES.index(held.purpose) > PURPOSES.index(purpose):
                raise Fenced(f"this run is at its {held.purpose} already")
        place.epoch += 1
        place.owner = Claim(epoch=place.epoch, workflow_id=owner[0], run_id=owner[1], purpose=purpose)
        return place.owner

    def see_users(self, key: str, place: Place) -> None:
        for backend, weight in (place.traffic.weights if place.traffic else {}).items():
            if weight and backend != "maintenance" and not sum(place.slots[backend].ready.values()):
                self.violations.append(f"{key}: {weight:g} % of the users reach {backend}, which has nothing ready")


class _Part:
    def __init__(self, world: FakeWorld) -> None:
        self.world = world


class _Targets(_Part):
    async def capture(self, request: CaptureRequest) -> Captured:
        place = await self.world.enter(request.target, request)
        info = activity.info()
        if place.mark is not None:
            if place.mark.rollout_run_id == info.workflow_run_id:
                return _captured(request, place.mark, place.owner)
            return Captured(status="orphaned", mark=place.mark, holder=place.mark.release.workflow_id)
        stable = place.slots["stable"]
        if (
            stable.template
            and stable.template.digest == request.template.digest
            and stable.ready_of(request.template.digest) == stable.replicas
            and not request.restart
        ):
            return Captured(status="running", message=f"{request.template.version} runs already")
        newest = next((kept for kept in reversed(place.kept) if kept.version == request.template.version), None)
        if newest is not None and newest.outcome == "rolledBack" and not request.again:
            return Captured(status="refused", message=f"{request.template.version} was rolled back here; use --again")
        claim = self.world.raise_fence(place, "release")
        place.mark = Mark(
            target=request.target,
            release=request.release,
            rollout_run_id=info.workflow_run_id or "",
            baseline=place.state(),
            version=request.template.version,
        )
        if request.target.key in self.world.half_captured:
            raise Rejected("the autoscaler is read-only")
        return _captured(request, place.mark, claim)

    async def acquire(self, request: AcquireRequest) -> Acquired:
        place = await self.world.enter(request.target, request)
        if place.mark and not request.is_about(place.mark):
            return Acquired()
        claim = self.world.raise_fence(place, request.purpose)
        step = next_undo_step(place.mark.baseline, place.state(), request.target) if place.mark else None
        return Acquired(claim=claim, state=place.state(), mark=place.mark, step=step)

    async def take_over(self, request: TakeOverRequest) -> None:
        place = await self.world.enter(request.target, request)
        self.world.check_claim(place, request.claim)
        self.world.foreign.pop(request.target.key, None)

    async def find_mark(self, target: Target) -> Mark | None:
        return self.world.places[target.key].mark

    async def next_undo(self, request: UndoRequest) -> UndoState:
        place = await self.world.enter(request.target, request)
        step = next_undo_step(request.mark.baseline, place.state(), request.target)
        return UndoState(state=place.state(), step=step)

    async def await_git(self, request: AwaitGitRequest) -> GitState:
        await self.world.enter(request.target, request)
        behind = self.world.behind.get(request.target.key, "")
        if behind:
            await asyncio.sleep(min(request.limit_seconds, 0.2))
        return GitState(named=not behind, message=behind)

    async def settle(self, request: SettleRequest) -> None:
        place = await self.world.enter(request.target, request)
        if place.mark is None:
            return
        self.world.check_claim(place, request.claim)
        if request.retire is not None:
            place.slots[request.retire.slot] = SlotState()
        if request.weights:
            assert place.slots["canary"].is_empty, "what is still there would be forgotten"
            place.log.append(("traffic.home", request))
        if request.promoted is not None:
            place.kept.append(request.promoted)
        place.mark = None

    async def find_marks(self) -> list[MarkFound]:
        found = [place.mark for place in self.world.places.values() if place.mark]
        closed = self.world.closed_runs
        return [
            MarkFound(
                mark=mark,
                orphaned=mark.rollout_run_id in closed,
                forsaken=mark.rollout_run_id not in closed and mark.release.workflow_id in closed,
            )
            for mark in found
        ]

    async def find_promoted(self, request: FindPromoted) -> list[Promoted]:
        wanted = (request.environment, request.release)
        kept = [k for place in self.world.places.values() for k in reversed(place.kept)]
        return [k for k in kept if (k.environment, k.release) == wanted]


def _captured(request: CaptureRequest, mark: Mark, claim: Claim | None) -> Captured:
    return Captured(status="captured", baseline=mark.baseline, claim=claim, planned=planned(request, mark.baseline))


class _Workers(_Part):
    async def introduce(self) -> Introduction:
        return self.world.introduction


class _Workloads(_Part):
    async def deploy(self, request: DeployRequest) -> ReadyResult:
        place = await self.world.enter(request.target, request)
        self.world.check_claim(place, request.claim)
        digest = request.template.digest
        running = place.slots[request.slot]
        ready = {} if digest in self.world.unready else {digest: request.replicas}
        if digest in self.world.unready:
            ready = running.ready if request.max_unavailable == 0 else {}
        place.slots[request.slot] = SlotState(
            template=request.template, replicas=request.replicas, ready=ready, running=request.replicas
        )
        self.world.see_users(request.target.key, place)
        return self._ready(place.slots[request.slot], request.replicas)

    async def scale(self, request: ScaleRequest) -> ReadyResult:
        place = await self.world.enter(request.target, request)
        self.world.check_claim(place, request.claim)
        slot = place.slots[request.slot]
        digest = slot.template.digest if slot.template else ""
        ready = {} if digest in self.world.unready or not request.replicas else {digest: request.replicas}
        changed = slot.model_copy(update={"replicas": request.replicas, "ready": ready, "running": request.replicas})
        place.slots[request.slot] = changed
        self.world.see_users(request.target.key, place)
        return self._ready(changed, request.replicas)

    async def wait_ready(self, request: WaitReadyRequest) -> ReadyResult:
        place = await self.world.enter(request.target, request)
        return self._ready(place.slots[request.slot], request.replicas)

    def _ready(self, slot: SlotState, replicas: int) -> ReadyResult:
        digest = slot.template.digest if slot.template else ""
        ready = slot.ready_of(digest) == replicas == sum(slot.ready.values())
        return ReadyResult(ready=ready, state=slot, message="" if ready else "the new instances never became ready")

    async def retire(self, request: RetireRequest) -> None:
        place = await self.world.enter(request.target, request)
        self.world.check_claim(place, request.claim)
        place.slots[request.slot] = SlotState()
        self.world.see_users(request.target.key, place)

    async def gather(self, request: GatherRequest) -> Gathered:
        place = await self.world.enter(request.target, request)
        running = [slot for slot, state in place.slots.items() if request.template.digest in state.ready]
        return Gathered(command=f"cat {request.template.version}-{'-'.join(running) or 'nothing'}.log")


class _Traffic(_Part):
    async def shift(self, request: ShiftRequest) -> Shifted:
        place = await self.world.enter(request.target, request)
        self.world.check_claim(place, request.claim)
        return self._write(request.target, place, request.weights, request.preview_to)

    async def verify(self, request: VerifyRequest) -> Shifted:
        place = await self.world.enter(request.target, request)
        return Shifted(verification="verified", state=place.traffic or TrafficState())

    async def restore(self, request: RestoreRequest) -> Shifted:
        place = await self.world.enter(request.target, request)
        self.world.check_claim(place, request.claim)
        return self._write(request.target, place, request.state.weights, request.state.preview_to)

    def _write(self, target: Target, place: Place, weights: dict[Any, float], preview: Slot | None) -> Shifted:
        before = place.traffic.weights if place.traffic else {}
        for backend, weight in weights.items():
            rises = weight > before.get(backend, 0)
            if rises and backend != "maintenance" and not sum(place.slots[backend].ready.values()):
                raise NotReady(f"{backend} has no ready instances")
        place.traffic = TrafficState(weights=weights, preview_to=preview)
        self.world.see_users(target.key, place)
        return Shifted(verification="verified", state=place.traffic)


class _Metrics(_Part):
    """Observes in short ticks; a verdict function may decide at each."""

    async def measure(self, request: MeasureRequest) -> Measured:
        return self.world.traffic.get(request.target.component, Measured(message="nobody counts"))

    async def follow(self, request: FollowRequest) -> LateRequests:
        """Counts a request for each instance that went before it was cancelled."""
        place = await self.world.enter(request.target, request)
        before = sum(place.slots[request.slot].ready.values())
        try:
            while True:
                activity.heartbeat()
                await asyncio.sleep(self.world.tick)
        except asyncio.CancelledError:
            count = before - sum(place.slots[request.slot].ready.values())
            return LateRequests(count=count, message=f"{count} requests came to {request.slot}")

    async def examine(self, request: ExamineRequest) -> Examined:
        return self.world.examined

    async def observe(self, request: ObserveRequest) -> Observed:
        await self.world.enter(request.target, request)
        passed = 0.0
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            while True:
                passed = (loop.time() - began) * self.world.speed
                if request.is_watchful and (changed := self.world.foreign.get(request.target.key)):
                    return await self._noticed(request, changed, passed)
                judge = self.world.verdicts.get(request.target.key)
                decision = judge(request) if judge else None
                if decision is not None:
                    return self._answer(request, decision, passed)
                if request.need_seconds is not None and passed >= request.need_seconds:
                    return self._answer(request, Decision(verdict="pass"), passed)
                if passed >= request.limit_seconds:
                    return self._answer(request, Decision(verdict="continue"), passed)
                activity.heartbeat(passed)
                await asyncio.sleep(self.world.tick)
        except asyncio.CancelledError:
            return self._answer(request, Decision(verdict="continue"), passed)

    async def backtest(self, request: BacktestRequest) -> Backtested:
        if "nothing" in request.canary:
            raise Rejected("Prometheus has no http_requests_total{...} in the last 45 s", provider="metrics")
        return Backtested(windows=(Window(seconds=0, decision=Decision(verdict="pass")),))

    async def _noticed(self, request: ObserveRequest, changed: str, passed: float) -> Observed:
        self.world.noticed += 1
        with suppress(asyncio.CancelledError):
            while self.world.silent:
                activity.heartbeat(passed)
                await asyncio.sleep(self.world.tick)
        decision = Decision(verdict="hold", reason="ForeignChange", message=f"{changed} was 10 and is 50")
        return self._answer(request, decision, passed).model_copy(update={"foreign": changed})

    def _answer(self, request: ObserveRequest, decision: Decision, passed: float) -> Observed:
        seen = self.world.seen.get(request.target.key, {"evidence": request.evidence})
        return Observed(segment=request.segment, decision=decision, observed_seconds=passed, **seen)


class _Checks(_Part):
    async def run(self, request: CheckRequest) -> CheckResult:
        await self.world.enter(request.target, request)
        passed = request.target.key not in self.world.failed_checks
        return CheckResult(passed=passed, message="all passed" if passed else "/health answered 500")


class _Notifications(_Part):
    async def send(self, notification: Notification) -> None:
        if notification.event in self.world.unheard:
            raise Unavailable("the channel is down")
        self.world.notes.append(notification)


class _Audit(_Part):
    async def append(self, records: list[AuditRecord]) -> None:
        if any(record.event in self.world.unwritten for record in records):
            raise Unavailable("the disk is full")
        known = {record.id for record in self.world.audit}
        self.world.audit += [record for record in records if record.id not in known]


class _Journal(_Part):
    async def write(self, entries: Entries) -> Missed:
        late = any(record.event in self.world.unwritten for record in entries.records)
        if not late:
            await _Audit(self.world).append(list(entries.records))
        unheard = tuple(note for note in entries.notes if note.event in self.world.unheard)
        self.world.notes += [note for note in entries.notes if note not in unheard]
        return Missed(records=entries.records if late else (), notes=unheard)


class _Planning(_Part):
    async def plan_release(self, request: PlanRequest) -> Planned:
        name = request.document.get("plan")
        if name in self.world.plans:
            return Planned(plan=self.world.plans[name])
        raise ApplicationError("no such plan", non_retryable=True)

    async def plan_rollback(self, request: RollbackPlanRequest) -> Planned:
        wanted = {"environment": request.environment, "release": request.release, "version": request.version}
        return Planned(plan=return_plan(request.promoted, POLICY, **wanted))


class _References(_Part):
    async def check(self, request: ReferencesRequest) -> ReferencesChecked:
        if self.world.checking:
            await self.world.checking.wait()
        mine = {component.name for component in request.components}
        seen = tuple(map(self._seen, request.components))
        return ReferencesChecked(problems=tuple(p for p in self.world.missing if p.component in mine), seen=seen)

    async def survey(self) -> Surveyed:
        return self.world.surveyed

    async def describe(self, request: DescribeRequest) -> Described:
        if request.deployment not in self.world.described:
            kind = f"{request.sort[0].upper()}{request.sort[1:]}"
            raise NotFound(f"{kind} {request.namespace}/{request.deployment} does not exist")
        return self.world.described[request.deployment]

    def _seen(self, component: ComponentPlan) -> ComponentSeen:
        template = self.world.pins.get(component.name, component.template)
        stable = self.world.places[component.target.key].slots["stable"]
        running = stable.template_version if stable.template else ""
        return ComponentSeen(
            component=component.name,
            template=template,
            running=running,
            replicas=stable.replicas,
            notes=self.world.arranged.get(component.name, ()),
        )


def a_release(key: str) -> ReleaseRef:
    return ReleaseRef(workflow_id=key, first_run_id="r", environment="test", name="shop", version="v2")
