"""Pod templates and numbers of pods that somebody else changed in the middle of a release: found and told.

Our notes hold a hash of what was written; the ReplicaSet that the controller made of it holds the template itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.patch import Path, pointer
from activities.clusters.kubernetes.templates import is_foreign, is_resized, notes_of, plain, pod_hash
from activities.workloads.autoscalers import Autoscalers
from activities.workloads.sights import look_at, resource, slots_of
from workflows.errors import ForeignChange
from workflows.model.target import Slot, Target

_TEMPLATE = ("spec", "template")
_NAMED = 3
"""Fields that a sentence names."""


async def refuse_foreign(api: Api, target: Target) -> None:
    """Errors: ForeignChange where a slot's pod template, or its number of pods, is not what was written last."""
    for slot in slots_of(target):
        found = await resource(api, target, slot).find()
        if found is not None and is_foreign(found):
            raise foreign_change(found, await written(api, target, slot, found))
        if found is not None and is_resized(found) and not await _is_scaled(api, target, slot):
            raise _resized(found)


async def _is_scaled(api: Api, target: Target, slot: Slot) -> bool:
    """Whether an autoscaler that came in mid-release moves the number, which it may unless that is the weight."""
    return slot == "stable" and not target.is_counted and bool(await Autoscalers(api, target).find())


def _resized(found: Object) -> ForeignChange:
    field = _field(found, ("spec", "replicas"))
    message = f"{field} was {notes_of(found).size} and is {found['spec']['replicas']}"
    return ForeignChange(message, field=field, provider="kubernetes", operation="look")


def foreign_change(found: Object, written: Object | None = None) -> ForeignChange:
    """What became of a workload's pod template; values only of images, because others may be secrets."""
    field, there = _field(found, _TEMPLATE), plain(found["spec"]["template"])
    differing = list(_differences(written, there)) if written else []
    words = [_words(path, before, after) for path, before, after in differing[:_NAMED]]
    more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
    where = f" in {', '.join(words)}{more}" if words else ""
    message = f"{field} is not what the release wrote{where}"
    return ForeignChange(message, field=field, provider="kubernetes", operation="look")


def _field(found: Object, path: Path) -> str:
    metadata = found["metadata"]
    return f"{found['kind']} {metadata['namespace']}/{metadata['name']}: {pointer(path)}"


async def written(api: Api, target: Target, slot: Slot, found: Object) -> Object | None:
    """The pod template of a slot that was written last, where the controller still keeps it."""
    wrote = notes_of(found).wrote
    sight = await look_at(api, target, slot, found)
    templates = [plain(sight.controller.template_of(revision)) for revision in sight.revisions]
    return next((pod for pod in templates if pod_hash(pod) == wrote), None)


def _differences(before: Any, after: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """The smallest fields that differ; lists of the same length are compared item by item."""
    if before == after:
        return
    pairs: list[tuple[str | int, Any, Any]] | None = None
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = [(key, before.get(key), after.get(key)) for key in sorted({*before, *after})]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(i, *both) for i, both in enumerate(zip(before, after, strict=True))]
    if pairs is None:
        yield path, before, after
        return
    for key, was, now in pairs:
        yield from _differences(was, now, (*path, key))


def _words(path: Path, before: Any, after: Any) -> str:
    name = pointer(path)
    return f"{name} (was {before}, is {after})" if path[-1] == "image" else name
