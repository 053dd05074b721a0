"""Which instances of a slot to start and which to drain: pure, decided from the wish and what is there.

Availability comes first: an instance that serves leaves only while enough others serve, a template that never gets
ready replaces nothing, and what was going to be started is never started before there is room for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from activities.clusters.local.state import Instance, Wish


@dataclass(frozen=True)
class Change:
    """What to do with a slot now."""

    start: int = 0
    drain: tuple[str, ...] = ()
    """Tokens."""


def decide(wish: Wish | None, instances: Sequence[Instance], *, now: float, propagation: float) -> Change:
    """The next change of one slot, which may be none; asked again after each change of the world.

    `instances` are the slot's, the oldest first, those draining included. An instance counts as available once it has
    been published for `propagation` seconds, because routers need that long to learn of it.
    """
    staying = [i for i in instances if not i.is_draining]
    if wish is None or wish.replicas == 0:
        return Change(drain=tuple(i.token for i in staying))
    new = [i for i in staying if i.digest == wish.template.digest]
    old = [i for i in staying if i.digest != wish.template.digest]
    # Neither room above nor below would replace nothing for ever.
    surge = wish.max_surge if wish.max_surge or wish.max_unavailable else 1
    ceiling = wish.replicas + (surge if old else 0)
    return Change(
        start=max(0, min(wish.replicas - len(new), ceiling - len(staying))),
        drain=_drain(wish, new, old, now=now, propagation=propagation),
    )


def _drain(
    wish: Wish, new: Sequence[Instance], old: Sequence[Instance], *, now: float, propagation: float
) -> tuple[str, ...]:
    available = [i for i in (*new, *old) if i.ready_since is not None and now - i.ready_since >= propagation]
    spare = len(available) - (wish.replicas - wish.max_unavailable)
    if not old:
        spare = len(available) - wish.replicas
    serving = {i.token for i in available}
    # Those that do not serve go first: they cost nobody anything. Then the youngest, which know the least.
    surplus = sorted(new, key=lambda i: (i.is_published, -i.created_at))[: max(0, len(new) - wish.replicas)]
    leaving: list[str] = []
    for instance in (*sorted(old, key=lambda i: (i.is_published, i.created_at)), *surplus):
        if not instance.is_published:
            leaving.append(instance.token)
        elif instance.token in serving and spare > 0:
            leaving.append(instance.token)
            spare -= 1
    return tuple(leaving)
