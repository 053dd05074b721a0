"""NetworkPolicies that mean the stable pods, or let them in or out of others; pure.

Policies only ever add up, so the user's own stay as they are and ours stand beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import NETWORK_POLICY
from activities.workloads.selectors.meaning import Copy, Meaning

_SIDES = (("Ingress", "ingress", "from"), ("Egress", "egress", "to"))


def copies(policy: Object, meaning: Meaning) -> Iterator[Copy]:
    """What has to stand beside a policy: one for the canary's pods, one for the pods that let the stable ones in."""
    spec, ours = policy.get("spec") or {}, {"matchLabels": meaning.ours}
    sides = _sides(spec, meaning)
    if meaning.is_missed(spec.get("podSelector") or {}):
        among = {field: [*spec[field], *rules] for field, rules in sides.items()}
        yield meaning.copy(NETWORK_POLICY, policy, deepcopy({**spec, **among, "podSelector": ours}))
    if sides:
        kinds = [kind for kind, field, _ in _SIDES if field in sides]
        peers = {"podSelector": spec.get("podSelector") or {}, "policyTypes": kinds, **sides}
        yield meaning.copy(NETWORK_POLICY, policy, peers, suffix="-peers")


def _sides(spec: Object, meaning: Meaning) -> dict[str, list[Any]]:
    """The rules that let the stable pods in or out, for the canary's alone."""
    return {
        field: rules
        for _, field, peers in _SIDES
        if (rules := [one for rule in spec.get(field) or () if (one := _rule(rule, peers, meaning))])
    }


def _rule(rule: Object, peers: str, meaning: Meaning) -> Object | None:
    missed = [peer for peer in rule.get(peers) or () if meaning.is_missed(peer.get("podSelector") or {})]
    ours = [{**deepcopy(peer), "podSelector": {"matchLabels": meaning.ours}} for peer in missed]
    return {**deepcopy(rule), peers: ours} if ours else None
