"""NetworkPolicies that mean the user's pods by the label that the canary's have changed: copied, so they mean both.

Policies only ever add up, so the user's own stay as they are and ours stand beside them. They belong to the canary's
Deployment and go with it, even when nobody deletes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.copies import pod_labels
from activities.clusters.kubernetes.kinds import NETWORK_POLICY
from activities.clusters.kubernetes.labels import MANAGED, Labels, canary_labels, matches, target_label
from activities.clusters.kubernetes.resources import Resource
from activities.traffic.weighted.companions import Companion
from workflows.model.target import Claim, Target

_SIDES = (("Ingress", "ingress", "from"), ("Egress", "egress", "to"))


async def admit(api: Api, target: Target, claim: Claim, *, stable: Object, canary: Object) -> None:
    """Makes, or makes right, the policies that the canary's pods need. Errors: Fenced, Rejected."""
    meaning = Meaning(pod_labels(stable), pod_labels(canary), target.key)
    found = await api.search(NETWORK_POLICY, target.namespace)
    await asyncio.gather(*(_ensure(api, target, claim, canary, body) for body in meaning.copies(found)))


@dataclass(frozen=True)
class Meaning:
    """Which selectors mean the stable pods and miss the canary's."""

    stable: Labels
    canary: Labels
    key: str

    def copies(self, policies: Iterable[Object]) -> Iterator[Object]:
        """What has to stand beside the policies of a namespace."""
        for policy in policies:
            if MANAGED.items() <= (policy["metadata"].get("labels") or {}).items():
                continue
            name, spec = policy["metadata"]["name"], policy["spec"]
            if self._is_missed(spec.get("podSelector") or {}):
                yield self._named(name, {**deepcopy(spec), "podSelector": self._ours})
            if sides := self._sides(spec):
                kinds = [kind for kind, field, _ in _SIDES if field in sides]
                yield self._named(
                    f"{name}-peers", {"podSelector": spec.get("podSelector") or {}, "policyTypes": kinds, **sides}
                )

    @property
    def _ours(self) -> dict[str, Any]:
        return {"matchLabels": canary_labels(self.key)}

    def _sides(self, spec: Object) -> dict[str, list[Any]]:
        """The rules that let the stable pods in or out, for the canary's alone."""
        return {
            field: rules
            for _, field, peers in _SIDES
            if (rules := [one for rule in spec.get(field) or () if (one := self._rule(rule, peers))])
        }

    def _rule(self, rule: dict[str, Any], peers: str) -> dict[str, Any] | None:
        missed = [peer for peer in rule.get(peers) or () if self._is_missed(peer.get("podSelector") or {})]
        ours = [{**deepcopy(peer), "podSelector": self._ours} for peer in missed]
        return {**deepcopy(rule), peers: ours} if ours else None

    def _is_missed(self, selector: dict[str, Any]) -> bool:
        return matches(selector, self.stable) and not matches(selector, self.canary)

    def _named(self, name: str, spec: Object) -> Object:
        return {"metadata": {"name": f"{name[:220]}-{target_label(self.key)}"}, "spec": spec}


async def _ensure(api: Api, target: Target, claim: Claim, canary: Object, body: Object) -> None:
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        **{field: canary["metadata"][field] for field in ("name", "uid")},
    }
    place = Resource(api, NETWORK_POLICY, target.namespace, body["metadata"]["name"])
    metadata = {**body["metadata"], "ownerReferences": [owner]}
    await Companion(place, target.key, claim).ensure({**body, "metadata": metadata})
