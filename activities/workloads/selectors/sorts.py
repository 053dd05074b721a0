"""The kinds of objects that select pods by their labels, and what each needs beside it for a canary; pure.

A kind that a project brings is looked for where the cluster has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import (
    AUTHORIZATION_POLICY,
    ENVOY_FILTER,
    NETWORK_POLICY,
    PEER_AUTHENTICATION,
    POD_DISRUPTION_BUDGET,
    POD_MONITOR,
    REQUEST_AUTHENTICATION,
    SERVICE_MONITOR,
    SIDECAR,
    TELEMETRY,
    WASM_PLUGIN,
    Kind,
)
from activities.workloads.selectors import network_policies
from activities.workloads.selectors.meaning import Copy, Meaning, Selector


@dataclass(frozen=True)
class Sort:
    """One kind, by where its selector is."""

    kind: Kind
    field: str = "selector"
    labels: str = ""
    """Where the selector is no LabelSelector: the field in it that holds the labels."""
    is_labelled: bool = True
    """Whether its readers choose objects by labels: Prometheus by any, Istio by its revision."""
    is_single: bool = False
    """Whether a pod may be meant by one at most."""

    def selector(self, found: Object) -> Selector | None:
        """Which pods an object means; None for none of its namespace by their labels."""
        spec = found.get("spec") or {}
        places = (spec.get("namespaceSelector") or {}).get("matchNames")
        if self.field not in spec or (places and found["metadata"]["namespace"] not in places):
            return None
        chosen: Selector = spec[self.field] or {}
        return {"matchLabels": chosen.get(self.labels)} if self.labels else chosen

    def copies(self, objects: Iterable[Object], meaning: Meaning) -> Iterator[Copy]:
        """What has to stand beside the objects of a namespace."""
        selectors = [(found, chosen) for found in objects if (chosen := self.selector(found)) is not None]
        missed = [found for found, chosen in selectors if meaning.is_missed(chosen)]
        if self.is_single:
            missed = [] if any(meaning.is_met(chosen) for _, chosen in selectors) else missed[:1]
        for found in missed:
            yield from self._copies(found, meaning)

    def _copies(self, found: Object, meaning: Meaning) -> Iterator[Copy]:
        ours = {self.labels or "matchLabels": meaning.ours}
        spec = {**deepcopy(found["spec"]), self.field: ours}
        yield meaning.copy(self.kind, found, spec, labelled=self.is_labelled)


class NetworkPolicies(Sort):
    """The kind that also means pods as peers of others."""

    def copies(self, objects: Iterable[Object], meaning: Meaning) -> Iterator[Copy]:
        for found in objects:
            yield from network_policies.copies(found, meaning)


SORTS = (
    NetworkPolicies(NETWORK_POLICY, "podSelector", is_labelled=False),
    # The API that evicts pods refuses those that two budgets mean.
    Sort(POD_DISRUPTION_BUDGET, is_labelled=False, is_single=True),
    Sort(POD_MONITOR),
    Sort(AUTHORIZATION_POLICY),
    Sort(PEER_AUTHENTICATION),
    Sort(REQUEST_AUTHENTICATION),
    Sort(TELEMETRY),
    Sort(WASM_PLUGIN),
    Sort(SIDECAR, "workloadSelector", "labels"),
    Sort(ENVOY_FILTER, "workloadSelector", "labels"),
)
KINDS = (*(sort.kind for sort in SORTS), SERVICE_MONITOR)
"""All that may be copied for a canary."""
