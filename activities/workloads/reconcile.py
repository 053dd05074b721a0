"""One pass over a local service: look at the world, then bring it one step nearer to the wish.

A pass may die anywhere. What it is going to do is on disk before it is done: the intent before the start, the shorter
endpoint list before an instance counts as draining, the drain before the signal. So the next pass, of any worker,
goes on.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from activities.clusters.files import Edit, locked
from activities.clusters.local import endpoints, processes
from activities.clusters.local.processes import Launch, Process
from activities.clusters.local.programs import command, environment, recipe
from activities.clusters.local.settings import ProcessSettings, Program
from activities.clusters.local.state import Crashes, Instance, Service, ServiceState, Wish, crash_key
from activities.workloads.replacement import decide
from workflows.errors import Rejected
from workflows.model.target import SLOTS, Slot

PROBE_TIMEOUT = 1.0
MISSES = 3
"""Readiness answers in a row that an instance may miss before its endpoint is taken away."""
INTENT_PATIENCE = 0.25
"""Seconds that an intent without a process is left alone: its writer may have died between start and exec."""
IDLE_PATIENCE = 0.2
"""Seconds without a connection after which a draining instance counts as idle."""

Guard = Callable[[ServiceState], None]
"""Raises when the caller may no longer write."""


@dataclass(frozen=True)
class Sight:
    """What a pass saw of one process."""

    pid: int
    is_alive: bool
    is_ready: bool = False
    is_idle: bool = False


Sights = Mapping[str, Sight]
"""By token."""


class Reconciler:
    """Keeps local services as their wishes say."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._settings = settings

    async def step(self, service: Service, guard: Guard | None = None) -> ServiceState:
        """One pass; returns the state it left. Errors: whatever the guard raises, before any write."""
        sights = await self.look(await asyncio.to_thread(service.file.read))
        return await asyncio.to_thread(self._act, service, sights, guard)

    async def look(self, state: ServiceState, slots: Sequence[Slot] = SLOTS) -> dict[str, Sight]:
        """Asks every process in the slots how it is; changes nothing."""
        known = [i for i in state.instances.values() if i.pid is not None and i.slot in slots]
        sights = await asyncio.to_thread(_vitals, known)
        asked = [i for i in known if sights[i.token].is_alive and not i.is_draining]
        answers = await asyncio.gather(*(self._is_ready(i) for i in asked))
        for instance, is_ready in zip(asked, answers, strict=True):
            sights[instance.token] = Sight(sights[instance.token].pid, is_alive=True, is_ready=is_ready)
        return sights

    async def _is_ready(self, instance: Instance) -> bool:
        program = self._settings.programs.get(instance.program)
        return await answers(self._settings.host, instance.port, program.ready if program else "/ready")

    def _act(self, service: Service, sights: Sights, guard: Guard | None) -> ServiceState:
        with service.file.edit() as edit:
            if guard:
                guard(edit.state)
            now = time.time()
            edit.state.bound_times(now)
            _recover(edit.state, now)
            for token, sight in sights.items():
                _note(service, edit.state, token, sight, now=now)
            for token in self._plan(service, edit, now):
                self._start(service, edit, token)
            self._signal(edit.state, now)
            return edit.state

    def _plan(self, service: Service, edit: Edit[ServiceState], now: float) -> list[str]:
        """Writes down what changes, endpoints first, and returns the tokens of what is to be started."""
        state = edit.state
        wanted: list[Slot] = []
        for slot in SLOTS:
            wish = state.wishes.get(slot)
            change = decide(wish, state.of(slot), now=now, propagation=self._settings.propagation)
            for token in change.drain:
                state.instances[token].draining_since = now
                state.instances[token].drain_seconds = wish.drain_seconds if wish else 0
            wanted += [slot] * change.start if wish and _may_try(state, slot, wish, now) else []
        self._mark_stopping(state, now)
        endpoints.publish(service, state, self._settings.host)
        with self._room(service, state) as room:
            starting = [self._intend(state, slot, now) for slot in wanted[:room]]
            edit.save()
        return starting

    @contextmanager
    def _room(self, service: Service, state: ServiceState) -> Iterator[int | None]:
        """How many instances the namespace may still start; nobody else in it starts one meanwhile."""
        if self._settings.limit is None:
            yield None
            return
        with locked(service.directory.parent / ".limit.lock"):
            others = sum(len(other.file.read().instances) for other in service.neighbours())
            yield max(0, self._settings.limit - others - len(state.instances))

    def _intend(self, state: ServiceState, slot: Slot, now: float) -> str:
        template = state.wishes[slot].template
        instance = Instance(
            token=uuid.uuid4().hex,
            slot=slot,
            digest=template.digest,
            version=template.version,
            program=str(template.body.get("program", "")),
            port=processes.free_port(
                self._settings.host, self._settings.port_range, taken={i.port for i in state.instances.values()}
            ),
            created_at=now,
        )
        state.instances[instance.token] = instance
        return instance.token

    def _start(self, service: Service, edit: Edit[ServiceState], token: str) -> None:
        instance = edit.state.instances[token]
        try:
            process = processes.launch(self._launch(service, edit.state.wishes[instance.slot], instance))
        except (OSError, Rejected) as error:
            del edit.state.instances[token]
            _crashed(edit.state, instance, message=f"did not start: {error}", now=time.time())
        else:
            instance.pid, instance.born = process.pid, process.born
        edit.save()

    def _launch(self, service: Service, wish: Wish, instance: Instance) -> Launch:
        wanted = recipe(self._settings, wish.template)
        program = self._settings.programs[wanted.program]
        return Launch(
            command=command(program, wanted),
            directory=program.directory or service.directory,
            env=environment(program, wanted, port=instance.port, version=instance.version),
            log=service.log(instance.token),
            token=instance.token,
        )

    def _mark_stopping(self, state: ServiceState, now: float) -> None:
        for instance in state.instances.values():
            if instance.draining_since is None or instance.stopping_since is not None:
                continue
            drained = now - instance.draining_since
            is_idle = instance.idle_since is not None and now - instance.idle_since >= IDLE_PATIENCE
            if drained >= self._settings.quiet and (is_idle or drained >= instance.drain_seconds):
                instance.stopping_since = now

    def _signal(self, state: ServiceState, now: float) -> None:
        for instance in state.instances.values():
            if instance.stopping_since is not None and instance.pid is not None:
                grace = self._settings.programs.get(instance.program, Program(command=("",))).stop_grace
                processes.stop(_process(instance), kill=now - instance.stopping_since > grace)


async def answers(host: str, port: int, path: str) -> bool:
    """Whether a GET is answered with 2xx in time; over a connection of its own, so that it never counts as a user's."""
    with suppress(OSError, TimeoutError, ValueError, IndexError):
        async with asyncio.timeout(PROBE_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                status = int((await reader.readline()).split()[1])
            finally:
                writer.close()
            return 200 <= status < 300
    return False


def _vitals(instances: list[Instance]) -> dict[str, Sight]:
    busy = processes.connected_ports() if any(i.is_draining for i in instances) else set()
    return {
        i.token: Sight(i.pid or 0, is_alive=processes.is_alive(_process(i)), is_idle=i.port not in busy)
        for i in instances
    }


def _recover(state: ServiceState, now: float) -> None:
    """Finds the process of each intent whose writer died, or forgets an intent that never became one."""
    lost = [i for i in state.instances.values() if i.pid is None]
    found = processes.find([i.token for i in lost])
    for instance in lost:
        if process := found.get(instance.token):
            instance.pid, instance.born = process.pid, process.born
        elif now - instance.created_at > INTENT_PATIENCE:
            del state.instances[instance.token]


def _note(service: Service, state: ServiceState, token: str, sight: Sight, *, now: float) -> None:
    instance = state.instances.get(token)
    if instance is None or instance.pid != sight.pid:
        return
    processes.bound_log(service.log(token))
    if not sight.is_alive:
        _bury(service, state, instance, now)
    elif instance.is_draining:
        instance.idle_since = (instance.idle_since or now) if sight.is_idle else None
    elif sight.is_ready:
        instance.misses = 0
        if instance.ready_since is None:
            instance.ready_since = now
            state.crashes.pop(crash_key(instance.slot, instance.digest), None)
    elif instance.ready_since is not None:
        instance.misses += 1
        if instance.misses >= MISSES:
            instance.ready_since = None


def _bury(service: Service, state: ServiceState, instance: Instance, now: float) -> None:
    del state.instances[instance.token]
    processes.sweep(instance.token)
    log = service.log(instance.token)
    if not instance.is_draining:
        status = processes.exit_status(instance.pid or 0)
        words = processes.last_words(log)
        ended = "ended" if status is None else f"ended with status {status}"
        _crashed(state, instance, message=f"{ended}, saying: {words}" if words else ended, now=now)
    log.unlink(missing_ok=True)


def _crashed(state: ServiceState, instance: Instance, *, message: str, now: float) -> None:
    crashes = state.crashes.setdefault(crash_key(instance.slot, instance.digest), Crashes())
    crashes.count += 1
    crashes.at = now
    crashes.message = message


def _may_try(state: ServiceState, slot: Slot, wish: Wish, now: float) -> bool:
    crashes = state.crashes.get(crash_key(slot, wish.template.digest))
    return crashes is None or now - crashes.at >= min(10.0, 0.2 * 2 ** (crashes.count - 1))


def _process(instance: Instance) -> Process:
    return Process(instance.pid or 0, instance.born)
