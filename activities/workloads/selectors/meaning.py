"""What a label selector means once a canary stands beside the stable pods, with one label changed; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.kinds import Kind
from activities.clusters.kubernetes.labels import Labels, canary_labels, matches, target_label

Selector = Mapping[str, Any]


@dataclass(frozen=True)
class Meaning:
    """The labels of the stable pods and of the canary's."""

    stable: Labels
    canary: Labels
    key: str

    def is_missed(self, selector: Selector) -> bool:
        """Whether it means the stable pods and not the canary's."""
        return matches(selector, self.stable) and not matches(selector, self.canary)

    def is_met(self, selector: Selector) -> bool:
        """Whether it means the canary's pods."""
        return matches(selector, self.canary)

    def is_gained(self, selector: Selector) -> bool:
        """Whether it means the canary's pods and not the stable ones."""
        return self.is_met(selector) and not matches(selector, self.stable)

    @property
    def is_same(self) -> bool:
        """Whether no label was changed, so that whatever means the stable pods means the canary's too."""
        return self.stable.items() <= self.canary.items()

    @property
    def ours(self) -> dict[str, str]:
        """The labels of the canary's pods and of its Service, and of nothing else."""
        return canary_labels(self.key)

    def copy(self, kind: Kind, original: Object, spec: Object, *, suffix: str = "", labelled: bool = False) -> Copy:
        """A copy under a name of its own."""
        metadata = original["metadata"]
        labels = {"labels": _kept(metadata.get("labels") or {})} if labelled else {}
        name = f"{metadata['name']}{suffix}"
        body = {"metadata": {"name": f"{name[:220]}-{target_label(self.key)}", **labels}, "spec": spec}
        return Copy(kind, metadata["name"], body)


@dataclass(frozen=True)
class Copy:
    """An object that stands beside one of the user's for as long as there is a canary."""

    kind: Kind
    original: str
    body: Object


_CHOSEN_BY = ("app.kubernetes.io/component", "app.kubernetes.io/name", "app.kubernetes.io/part-of", "istio.io/rev")
_HELMS = ("chart", "heritage")


def _kept(labels: Labels) -> dict[str, str]:
    """Those by which readers of such objects choose them.

    Names without a prefix are the users' own (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels),
    so whatever tracks what it deployed has one; only Helm's oldest charts did not care.
    """
    return {
        name: value for name, value in labels.items() if name in _CHOSEN_BY or ("/" not in name and name not in _HELMS)
    }
