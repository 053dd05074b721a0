"""Pod templates as versions: which of ours a template is, and how a version's images are put into one; pure.

A pod template carries no mark of ours, because a mark would restart the user's pods. What we wrote is known again by a
hash of what the API server stored, in notes on the workload's own metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from activities.clusters.kubernetes.annotations import noted
from activities.clusters.kubernetes.api import Object
from activities.clusters.kubernetes.patch import Operation, replace
from activities.clusters.kubernetes.resources import ANNOTATIONS
from workflows.errors import Rejected
from workflows.model.shapes import Message
from workflows.model.target import Template
from workflows.planning.templates import digest_of

NOTES = "headgate.dev/release"
"""The annotation on a workload that holds our notes."""
RESTART = "headgate.dev/restart"
"""The annotation on a pod template that replaces pods which would otherwise stay, where a restart is asked for."""
KEPT = 20
"""Templates that a workload's notes know; more than the old revisions that it keeps, as a rule."""

_HASH_LABEL = "pod-template-hash"


class Known(Message):
    """What a pod template that we wrote stands for."""

    version: str
    digest: str


class Notes(Message):
    """What we remember on a workload."""

    templates: dict[str, Known] = {}
    """By hash of the pod template, the one written last at the end."""
    strategy: dict[str, Any] | None = None
    """The user's own update strategy, while a release has another one there."""
    paced: dict[str, Any] | None = None
    """The update strategy as a release left it; another one there is the user's own by now. None in older notes."""
    wrote: str = ""
    """Hash of the pod template that is ours during a release; another one there is somebody else's change."""
    size: int | None = None
    """As `wrote`, the number of pods; None where an autoscaler moves it."""

    def knowing(self, template: Template, pod: Object) -> Notes:
        """With a pod template, as the API server stored it, known as a version."""
        name = pod_hash(pod)
        others = [(other, known) for other, known in self.templates.items() if other != name]
        known = Known(version=template.version, digest=template.digest)
        return self.model_copy(update={"templates": {**dict(others[-KEPT + 1 :]), name: known}, "wrote": name})

    def sized(self, pods: int) -> Notes:
        """With another number of pods, where that is ours."""
        return self if self.size is None else self.model_copy(update={"size": pods})


def notes_of(found: Object) -> Notes:
    """The notes on an object; none where there are none, or none that can be read."""
    return noted(found, NOTES, Notes) or Notes()


def is_foreign(found: Object) -> bool:
    """Whether a pod template that is ours during a release was changed by somebody else."""
    return notes_of(found).wrote not in ("", pod_hash(found["spec"]["template"]))


def is_resized(found: Object) -> bool:
    """Whether a number of pods that is ours during a release was changed by somebody else."""
    return notes_of(found).size not in (None, found["spec"].get("replicas"))


def note(found: Object, notes: Notes) -> list[Operation]:
    """Puts the notes on an object that has annotations."""
    return replace(found, (*ANNOTATIONS, NOTES), notes.model_dump_json(by_alias=True, exclude_defaults=True))


def pod_hash(pod: Object) -> str:
    """The same for a workload's pod template and for those of its revisions that come from it."""
    return digest_of(plain(pod))


def plain(pod: Object) -> Object:
    """A pod template without what a ReplicaSet adds to it."""
    pod = {**pod, "metadata": {key: value for key, value in (pod.get("metadata") or {}).items() if value}}
    labels = pod["metadata"].get("labels") or {}
    pod["metadata"]["labels"] = {key: value for key, value in labels.items() if key != _HASH_LABEL}
    return pod


def described(pod: Object, notes: Notes) -> Template:
    """A stored pod template as a version: one of ours, or what its first container runs."""
    name = pod_hash(pod)
    known = notes.templates.get(name) or Known(version=_version(pod["spec"]["containers"][0]["image"]), digest=name)
    return Template(version=known.version, digest=known.digest, body={"pod": plain(pod)})


def wanted_pod(template: Template, base: Object, notes: Notes, *, name: str) -> Object:
    """The pod template that runs a version: the version's own, or another one with the version's images.

    Errors: Rejected.
    """
    if pod := template.body.get("pod"):
        return dict(pod)
    images = template.body.get("images")
    if not isinstance(images, dict) or not images:
        raise Rejected(f"version {template.version} is no pod template: it needs images", provider="kubernetes")
    pod = _with_images(base, images, name)
    known = notes.templates.get(pod_hash(pod))
    if pod == base and known and known.digest != template.digest:
        pod["metadata"]["annotations"] = {**(pod["metadata"].get("annotations") or {}), RESTART: template.digest}
    return pod


def _with_images(base: Object, images: dict[str, str], name: str) -> Object:
    pod = deepcopy(base)
    for container, image in images.items():
        for found in _containers(pod, container, image, name):
            found["image"] = image
    return pod


def _containers(pod: Object, wanted: str, image: str, name: str) -> list[Object]:
    """The containers that an image is for.

    Without a name those that run the same repository, init containers too; else the only container, or the one that is
    called as the workload.
    """
    everything = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    if wanted:
        found = [container for container in everything if container["name"] == wanted]
    else:
        found = [c for c in everything if repository(c["image"]) == repository(image)] or _main(pod, name)
    if found:
        return found
    known = ", ".join(container["name"] for container in everything)
    asked = f"no container {wanted}" if wanted else f"several containers, and none runs {repository(image)}"
    raise Rejected(f"{name} has {asked}; name its containers ({known}) in artifact.images", provider="kubernetes")


def image_places(template: Template, deployment: Object) -> list[tuple[str, int]]:
    """Which images of a Deployment a version sets: the list of containers and the place in it. Errors: Rejected."""
    pod, name = deployment["spec"]["template"], deployment["metadata"]["name"]
    wanted = [
        id(found)
        for container, image in template.body["images"].items()
        for found in _containers(pod, container, image, name)
    ]
    return [
        (group, index)
        for group in ("initContainers", "containers")
        for index, container in enumerate(pod["spec"].get(group) or [])
        if id(container) in wanted
    ]


def _main(pod: Object, name: str) -> list[Object]:
    containers: list[Object] = pod["spec"]["containers"]
    return containers if len(containers) == 1 else [c for c in containers if c["name"] == name]


def repository(image: str) -> str:
    """An image's name without tag and digest."""
    return re.sub(r":[^:/]+$", "", image.partition("@")[0])


def _version(image: str) -> str:
    name, _, digest = image.partition("@")
    tag = name.removeprefix(repository(image)).lstrip(":")
    return tag or digest.removeprefix("sha256:")[:12] or "latest"


def selectors_in(pod: Object) -> Iterator[Object]:
    """Every label selector inside a pod template: of affinities and of spread constraints."""
    affinity = pod["spec"].get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        required = terms.get("requiredDuringSchedulingIgnoredDuringExecution") or []
        preferred = terms.get("preferredDuringSchedulingIgnoredDuringExecution") or []
        for term in [*required, *(item["podAffinityTerm"] for item in preferred)]:
            if term.get("labelSelector"):
                yield term["labelSelector"]
    for constraint in pod["spec"].get("topologySpreadConstraints") or []:
        if constraint.get("labelSelector"):
            yield constraint["labelSelector"]
