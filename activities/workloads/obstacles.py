"""What keeps a workload from being ready, in one sentence, and whether waiting can help.

The first part is pure and reads one look at the slot; the last words of a container are asked for only in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import EVENT
from activities.clusters.kubernetes.pods import is_leaving, is_ready
from activities.workloads.sights import Sight
from workflows.errors import ProviderError
from workflows.model.target import Slot

CRASHES = 3
"""Restarts of a container after which a version without one ready pod is given up."""
WORDS = 300
"""Characters of what a pod said."""

_PULLING = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NEVER = ("not found", "manifest unknown", "denied", "unauthorized", "invalid reference", "authentication required")
"""What registries say when trying again will not help."""


class Obstacle(NamedTuple):
    """Why a pod, or the whole workload, is not ready."""

    sentence: str
    is_final: bool = False
    """Waiting helps nobody."""
    pod: str = ""
    container: str = ""
    said: str = ""
    """Its last words, where the pod's status holds them."""
    has_crashed: bool = False


def obstacle(sight: Sight) -> Obstacle | None:
    """The most telling one."""
    found = list(_obstacles(sight))
    return next((one for one in found if one.is_final), found[0] if found else None)


def is_hopeless(sight: Sight) -> bool:
    """Whether no pod of the wanted version can ever be ready, as far as anybody can tell."""
    if not sight.is_followed or any(is_ready(pod) for pod in sight.wanted_pods):
        return False
    found = obstacle(sight)
    return found is not None and found.is_final


async def blocker(api: Api, sight: Sight, slot: Slot, replicas: int) -> str:
    """One sentence on what keeps a slot from its wish, with the last words of the pod that it is about."""
    state = sight.state
    if state.template is None:
        return f"{slot} is empty" if not sight.pods else f"{len(sight.pods)} pods of {slot} still run{_late(sight)}"
    if replicas == 0:
        return f"{len(sight.pods)} pods of {sight.name} still run{_late(sight)}"
    said = (
        f"{state.ready_of(state.template.digest)} of {replicas} pods of {state.template.version} in {sight.name} "
        "are ready"
    )
    if state.replicas < replicas:
        return f"{said}, but only {state.replicas} are wanted"
    found = obstacle(sight) or await _refusal(api, sight)
    if found is None:
        others = len(sight.pods) - len(sight.wanted_pods)
        if not others:
            return f"{said}; the others have just started"
        return f"{said}, and {others} others have not left yet{_late(sight)}"
    words = await _last_words(api, sight, found)
    return f"{said}; {found.sentence}" + (f"; it last said: {words}" if words else "")


def _late(sight: Sight) -> str:
    """The first pod that was asked to stop, and where it still is."""
    for pod in filter(is_leaving, sight.pods):
        name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "no node")
        return f"; pod {name} on {node} was to stop by {pod['metadata']['deletionTimestamp']}"
    return ""


def _obstacles(sight: Sight) -> Iterator[Obstacle]:
    workload = sight.workload or {}
    if workload.get("spec", {}).get("paused"):
        yield Obstacle("the Deployment is paused; resume it with kubectl rollout resume", is_final=True)
    for pod in sight.wanted_pods:
        if not is_ready(pod):
            yield from _of_pod(pod)
    for condition in (workload.get("status") or {}).get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield Obstacle(f"no more pods can be made: {_cut(condition.get('message', ''))}")


def _of_pod(pod: Object) -> Iterator[Obstacle]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    for container in containers:
        yield from _of_container(name, container)
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield Obstacle(f"pod {name} has no node: {_cut(condition.get('message', ''))}", pod=name)
    unready = [container for container in containers if not container.get("ready") and "running" in _state(container)]
    if unready and not is_leaving(pod):
        yield Obstacle(f"pod {name} runs, but is not ready", pod=name, container=unready[0]["name"])


def _of_container(pod: str, container: dict[str, Any]) -> Iterator[Obstacle]:
    name, waiting = container["name"], _state(container).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _PULLING:
        is_final = reason in ("InvalidImageName", "ErrImageNeverPull") or any(w in message.lower() for w in _NEVER)
        why = f": {_cut(message)}" if message else ""
        yield Obstacle(f"image {container.get('image', '')} of pod {pod} cannot be pulled{why}", is_final, pod)
    elif reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        yield Obstacle(f"container {name} of pod {pod} cannot be made: {_cut(message)}", pod=pod)
    ended = (container.get("lastState") or {}).get("terminated") or _state(container).get("terminated")
    if (reason == "CrashLoopBackOff" or ended) and not container.get("ready"):
        ended, restarts = ended or {}, container.get("restartCount", 0)
        if not restarts and ended.get("exitCode") == 0:
            return  # An init container that has done its work.
        sentence = f"container {name} of pod {pod} ended with status {ended.get('exitCode', '?')}"
        sentence += f", {restarts} times so far" if restarts else ""
        said = ended.get("message", "")
        yield Obstacle(sentence, restarts >= CRASHES, pod, name, said, has_crashed=True)


async def _refusal(api: Api, sight: Sight) -> Obstacle | None:
    """Why a pod that is missing could not be made; StatefulSets and DaemonSets say so in events only."""
    if sight.workload is None or len(sight.wanted_pods) >= sight.replicas:
        return None
    metadata = sight.workload["metadata"]
    fields = f"involvedObject.uid={metadata['uid']},reason=FailedCreate"
    try:
        events = await api.search(EVENT, metadata["namespace"], fields=fields)
    except ProviderError:  # As of all words.
        return None
    return Obstacle(f"no more pods can be made: {_cut(events[-1].get('message', ''))}") if events else None


async def _last_words(api: Api, sight: Sight, found: Obstacle) -> str:
    if found.said or not found.container:
        return _cut(found.said)
    place = next(pod["metadata"] for pod in sight.pods if pod["metadata"]["name"] == found.pod)
    try:
        if not found.has_crashed:
            fields = f"involvedObject.uid={place['uid']},reason=Unhealthy"
            events = await api.search(EVENT, place["namespace"], fields=fields)
            if events:
                return _cut(events[-1].get("message", ""))
        log = await api.log(place["namespace"], found.pod, found.container, previous=found.has_crashed)
    except ProviderError:  # Words are a courtesy: a node that does not answer must not hide what blocks.
        return ""
    return _cut(log)


def _state(container: dict[str, Any]) -> dict[str, Any]:
    return container.get("state") or {}


def _cut(text: str) -> str:
    """The end of a text in one line: what matters in a stack trace comes last."""
    line = " ".join(text.split())
    return line if len(line) <= WORDS else f"…{line[1 - WORDS :]}"
