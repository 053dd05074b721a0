"""How far a slot is from its wish, and what blocks it: pure, but for the log line it quotes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from activities.clusters.local.processes import last_words
from activities.clusters.local.settings import ProcessSettings
from activities.clusters.local.state import Crashes, Instance, Service, ServiceState, crash_key
from activities.workloads.reconcile import Sight
from workflows.model.target import Pace, Slot, SlotState


def slot_state(state: ServiceState, slot: Slot, sights: Mapping[str, Sight] | None = None) -> SlotState:
    """A slot as workflows see it; with a fresh look, only what answered it counts as ready."""
    published = [i for i in state.of(slot) if i.is_published]
    if sights is not None:
        published = [i for i in published if (sight := sights.get(i.token)) and sight.is_ready]
    wish = state.wishes.get(slot)
    return SlotState(
        template=wish.template if wish else None,
        replicas=wish.replicas if wish else 0,
        ready=dict(Counter(i.digest for i in published)),
        running=len([i for i in state.of(slot) if sights is None or i.pid is None or sights[i.token].is_alive]),
        pace=Pace(surge=wish.max_surge, unavailable=wish.max_unavailable) if wish else None,
    )


def is_done(state: ServiceState, slot: Slot, replicas: int) -> bool:
    """Whether the slot has the replicas of its wanted template ready and nothing else is left."""
    instances = state.of(slot)
    if replicas == 0:
        return not instances
    wish = state.wishes.get(slot)
    if wish is None:
        return False
    others = [i for i in instances if i.digest != wish.template.digest or i.is_draining]
    return not others and len(instances) <= wish.replicas and sum(i.is_published for i in instances) >= replicas


def is_hopeless(state: ServiceState, slot: Slot, limit: int) -> bool:
    """Whether the slot's template crashed so often without one ready instance that waiting helps nobody."""
    crashes = _crashes(state, slot)
    return crashes is not None and crashes.count >= limit


def blocker(service: Service, state: ServiceState, slot: Slot, *, replicas: int, settings: ProcessSettings) -> str:
    """One sentence on what keeps a slot from its wish."""
    wish = state.wishes.get(slot)
    instances = state.of(slot)
    if wish is None or replicas == 0:
        return f"{len(instances)} instances of {slot} still run" if instances else f"{slot} is empty"
    wanted = [i for i in instances if i.digest == wish.template.digest and not i.is_draining]
    ready = sum(i.is_published for i in wanted)
    said = f"{ready} of {replicas} instances of {wish.template.version} in {slot} are ready"
    if ready >= replicas:
        return f"{said}, and {len(instances) - len(wanted)} others still drain"
    if wish.replicas < replicas:
        return f"{said}, but only {wish.replicas} are wanted"
    if crashes := _crashes(state, slot):
        return f"{said}; the last of {crashes.count} that ended at once {crashes.message}"
    if settings.limit is not None and len(wanted) < replicas:
        return f"{said}; namespace {service.namespace} may run no more than {settings.limit} instances at a time"
    return f"{said}{_unready(service, wanted, settings)}"


def _unready(service: Service, wanted: list[Instance], settings: ProcessSettings) -> str:
    waiting = next((i for i in wanted if not i.is_published), None)
    if waiting is None:
        return "; the others were not started yet"
    program = settings.programs.get(waiting.program)
    words = last_words(service.log(waiting.token))
    said = f"; it last said: {words}" if words else ""
    return f"; port {waiting.port} does not answer {program.ready if program else '/ready'} with 2xx{said}"


def _crashes(state: ServiceState, slot: Slot) -> Crashes | None:
    wish = state.wishes.get(slot)
    return state.crashes.get(crash_key(slot, wish.template.digest)) if wish else None
