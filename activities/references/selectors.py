"""What selects pods by labels, and what becomes of it while a canary stands beside them; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.copies import changed_labels, pod_labels, refuse_unsuited
from activities.clusters.kubernetes.kinds import POD, SERVICE
from activities.clusters.kubernetes.labels import Labels, canary_labels, canary_name
from activities.clusters.kubernetes.volumes import claims_of
from activities.workloads.selectors import affinities
from activities.workloads.selectors.beside import Selection, selection
from activities.workloads.selectors.meaning import Meaning
from workflows.model.target import Target


class Beside(NamedTuple):
    """Sentences for the plan."""

    notes: tuple[str, ...] = ()
    """What is arranged for the new version's pods."""
    warnings: tuple[str, ...] = ()
    """What will not be as it is for the old ones."""


async def beside(api: Api, target: Target, stable: Object) -> Beside:
    """What a canary beside a Deployment meets. Errors: Unsupported where it can't be there at all; Denied."""
    refuse_unsuited(stable, await claims_of(api, target.namespace, stable["spec"]["template"]))
    services = await api.search(SERVICE, target.namespace)
    changed = changed_labels(stable, services, shared=target.shared_service)
    labels = pod_labels(stable)
    meaning = Meaning(labels, {**labels, **changed, **canary_labels(target.key)}, target.key)
    if meaning.is_same:
        return Beside()
    found = await selection(api, target, meaning)
    others = affinities.missed(await api.search(POD, target.namespace), meaning)
    return Beside(
        notes=tuple(_notes(stable, meaning, changed, found)),
        warnings=tuple(_warnings(meaning, changed, found, others)),
    )


def _notes(stable: Object, meaning: Meaning, changed: Labels, found: Selection) -> Iterator[str]:
    name = canary_name(stable["metadata"]["name"])
    yield f"the pods of {name} are labelled {_pairs(changed)} instead of {_pairs(_own(meaning, changed))}"
    if copied := dict.fromkeys(f"{copy.kind.name} {copy.original}" for copy in found.copies):
        yield f"copied for the pods of {name} while they are there: {', '.join(copied)}"
    if affinities.is_rewritten(stable["spec"]["template"], meaning):
        yield f"affinity and spread of the pods of {name} mean these pods, as those of the old version mean its own"


def _warnings(meaning: Meaning, changed: Labels, found: Selection, others: list[str]) -> Iterator[str]:
    ours, own = _pairs(changed), _pairs(_own(meaning, changed))
    if missed := [*found.missed, *others]:
        yield (
            f"{', '.join(missed)}: meant for pods with {own}, so the new version's pods beside them ({ours}) are left "
            f"out until promotion; {_remedy(meaning, changed)}"
        )
    if found.gained:
        yield (
            f"{', '.join(found.gained)}: not meant for pods with {own}, but the new version's pods beside them "
            f"({ours}) are taken in until promotion; {_remedy(meaning, changed)}"
        )


def _remedy(meaning: Meaning, changed: Labels) -> str:
    both = {name: value for name, value in meaning.stable.items() if name not in changed}
    if both:
        return f"where that matters, select by what both have ({_pairs(both)})"
    return "where that matters, give the pod template another label and select by that"


def _own(meaning: Meaning, changed: Labels) -> dict[str, str]:
    return {name: meaning.stable[name] for name in changed}


def _pairs(labels: Labels) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels.items())
