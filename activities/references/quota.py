"""Whether a namespace has room for more pods: ResourceQuotas and LimitRanges, computed as the API server does; pure.

https://kubernetes.io/docs/concepts/policy/resource-quotas/ and .../limit-range/ say what counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import Kind

Amounts = dict[str, Decimal]
"""By the names that quotas use, such as `requests.cpu`."""

_NONE = Decimal(0)
_ALIASES = {"cpu": "requests.cpu", "memory": "requests.memory", "ephemeral-storage": "requests.ephemeral-storage"}
_DEMANDED = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
"""A pod that does not say these is refused where a quota counts them."""
_OLD = ("services", "secrets", "configmaps", "persistentvolumeclaims", "pods")
"""Kinds that quotas also count by their bare names."""


def pod_cost(spec: Object, ranges: Iterable[Object] = ()) -> Amounts:
    """What one pod with this spec takes, with the defaults that LimitRanges fill in."""
    defaults, cost = _defaults(ranges), {"pods": Decimal(1), "count/pods": Decimal(1)}
    for kind in ("requests", "limits"):
        overhead = _amounts(spec.get("overhead") or {})
        for name, amount in added([_most(spec, kind, defaults), overhead]).items():
            cost[f"{kind}.{name}"] = amount
    return cost


def _most(spec: Object, kind: str, defaults: Mapping[str, Mapping[str, str]]) -> Amounts:
    """A pod takes what its containers and sidecars take together, or an init container beside earlier sidecars."""
    beside: Amounts = {}
    peaks = []
    first = spec.get("initContainers") or []
    for container, need in zip(first, _needs(first, kind, defaults), strict=True):
        if container.get("restartPolicy") == "Always":
            beside = added([beside, need])
        else:
            peaks.append(added([beside, need]))
    running = added([beside, *_needs(spec["containers"], kind, defaults)])
    return {
        name: max(some.get(name, _NONE) for some in (running, *peaks)) for some in (running, *peaks) for name in some
    }


def object_cost(kinds: Iterable[Kind]) -> Amounts:
    """What objects of these kinds take, pods not included."""
    names = []
    for kind in kinds:
        group = kind.api_version.rpartition("/")[0]
        names.append(f"count/{kind.plural}{'.' if group else ''}{group}")
        names += [kind.plural] if kind.plural in _OLD else []
    return added({name: Decimal(1)} for name in names)


def added(amounts: Iterable[Amounts]) -> Amounts:
    """All of them together."""
    total: Amounts = defaultdict(Decimal)
    for some in amounts:
        for name, amount in some.items():
            total[name] += amount
    return dict(total)


def times(amounts: Amounts, count: int) -> Amounts:
    """So many of the same."""
    return {name: amount * count for name, amount in amounts.items()}


def counts(quota: Object, spec: Object) -> bool:
    """Whether pods with this spec are in the scope of a quota."""
    expressions = (quota["spec"].get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(_SCOPES.get(scope, _never)(spec) for scope in quota["spec"].get("scopes") or ()) and all(
        _selects(expression, spec) for expression in expressions
    )


def shortages(quota: Object, needed: Sequence[Amounts]) -> Iterator[str]:
    """A sentence for each limit of a quota that is too low for all that is needed in its scope."""
    status, total = quota.get("status") or {}, added(needed)
    hard, used = status.get("hard") or quota["spec"].get("hard") or {}, status.get("used") or {}
    for name, limit in hard.items():
        counted = _ALIASES.get(name, name)
        if counted in _DEMANDED and any(some.get("pods") and not some.get(counted) for some in needed):
            yield f"ResourceQuota {quota['metadata']['name']} wants {name} of each container, and these have none"
        need, left = total.get(counted, _NONE), _number(limit) - _number(used.get(name, 0))
        if need > max(left, _NONE):
            yield (
                f"ResourceQuota {quota['metadata']['name']} leaves {plain(max(left, _NONE))} of {limit} {name}, "
                f"and the release takes {plain(need)} more at its peak"
            )


def beyond_limits(ranges: Iterable[Object], spec: Object) -> Iterator[str]:
    """A sentence for each container that a LimitRange would refuse."""
    for found in ranges:
        for item in found["spec"]["limits"]:
            for container in spec["containers"] if item["type"] == "Container" else ():
                yield from _outside(found["metadata"]["name"], item, container)


def plain(amount: Decimal) -> str:
    """Without an exponent, in binary units where those are even."""
    for unit, size in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if amount >= size and amount % size == 0:
            return f"{int(amount // size)}{unit}"
    return f"{amount * 1000:.0f}m" if 0 < amount < 1 else f"{amount.normalize():f}"


def _number(text: Any) -> Decimal:
    return Decimal(parse_quantity(text))  # type: ignore[no-untyped-call]


def _outside(name: str, item: Mapping[str, Any], container: Object) -> Iterator[str]:
    resources = container.get("resources") or {}
    for bound, values, is_beyond in (
        ("max", resources.get("limits") or {}, Decimal.__gt__),
        ("min", resources.get("requests") or {}, Decimal.__lt__),
    ):
        for resource, allowed in (item.get(bound) or {}).items():
            given = values.get(resource)
            if given is not None and is_beyond(_number(given), _number(allowed)):
                yield f"LimitRange {name} has {bound} {resource} {allowed}, container {container['name']} {given}"


def _defaults(ranges: Iterable[Object]) -> dict[str, dict[str, str]]:
    items = [item for found in ranges for item in found["spec"]["limits"] if item["type"] == "Container"]
    limits = {key: value for item in items for key, value in (item.get("default") or {}).items()}
    requests = {key: value for item in items for key, value in (item.get("defaultRequest") or {}).items()}
    return {"limits": limits, "requests": {**limits, **requests}}


def _needs(containers: Iterable[Object], kind: str, defaults: Mapping[str, Mapping[str, str]]) -> list[Amounts]:
    """Per container; a limit stands in for a request that is missing."""
    found = []
    for container in containers:
        resources = container.get("resources") or {}
        given = {**defaults[kind], **(resources.get("limits") or {} if kind == "requests" else {})}
        given |= resources.get(kind) or {}
        found.append(_amounts(given))
    return found


def _amounts(given: Mapping[str, str]) -> Amounts:
    return {name: _number(value) for name, value in given.items()}


def _never(_: Object) -> bool:
    return False


def _is_best_effort(spec: Object) -> bool:
    return not any(container.get("resources") for container in spec["containers"])


_SCOPES: dict[str, Callable[[Object], bool]] = {
    "Terminating": lambda spec: spec.get("activeDeadlineSeconds") is not None,
    "NotTerminating": lambda spec: spec.get("activeDeadlineSeconds") is None,
    "BestEffort": _is_best_effort,
    "NotBestEffort": lambda spec: not _is_best_effort(spec),
    "PriorityClass": lambda spec: bool(spec.get("priorityClassName")),
}


def _selects(expression: Mapping[str, Any], spec: Object) -> bool:
    scope, operator, values = expression["scopeName"], expression["operator"], expression.get("values") or ()
    if scope != "PriorityClass":
        return _SCOPES.get(scope, _never)(spec)
    name = spec.get("priorityClassName") or ""
    return {"In": name in values, "NotIn": name not in values, "Exists": bool(name)}.get(operator, not name)
