"""Ask clusters and registries what a document refers to, before anything is touched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from temporalio import activity

from workflows.model.plan import ComponentPlan
from workflows.model.shapes import Message, Sentence
from workflows.model.target import Template


class ReferenceProblem(Message):
    """What a component refers to and what is wrong with it, with the remedy."""

    component: str
    field: str = ""
    """Below the component, such as `workload.deployment`."""
    message: Sentence
    is_certain: bool = True
    """Otherwise a warning and no reason to refuse: nobody could tell, or somebody must know."""


class ReferencesRequest(Message):
    components: tuple[ComponentPlan, ...]
    """Of one cluster."""
    analysis_required: bool = False
    """As of the release's plan."""


class ComponentSeen(Message):
    """What a release of one component would find."""

    component: str
    template: Template
    """What would run, its tags replaced by the digests that their registries answered."""
    running: str = ""
    """The version that runs now; empty where none does, or where nobody could tell."""
    replicas: int | None = None
    """Its instances; None where nobody could tell."""
    notes: tuple[Sentence, ...] = ()
    """What the release arranges beside its own objects, such as policies that it copies."""


class ReferencesChecked(Message):
    problems: tuple[ReferenceProblem, ...] = ()
    seen: tuple[ComponentSeen, ...] = ()
    """One for each component of the request, in its order."""


class DescribeRequest(Message):
    cluster: str
    namespace: str
    deployment: str
    """Its name, of whatever sort it is."""
    sort: str = "deployment"
    """The field of a document's `workload` that names it: `deployment`, `statefulSet` or `daemonSet`."""


class ContainerSeen(Message):
    name: str
    image: str
    ports: tuple[int, ...] = ()


class Described(Message):
    """What is around a workload; enough to write the first document of its releases."""

    containers: tuple[ContainerSeen, ...] = ()
    replicas: int = 0
    services: tuple[str, ...] = ()
    """Those that select its pods."""
    routes: tuple[dict[str, Any], ...] = ()
    """What leads to these Services, each as the `traffic` of a document."""
    check_path: str = ""
    """Where its probes ask, the one for readiness first."""
    autoscalers: tuple[str, ...] = ()
    """HorizontalPodAutoscalers of the workload."""
    alone: Sentence = ""
    """Why two versions of it can't run at the same time, where they can't."""
    unseen: tuple[str, ...] = ()
    """What the worker may not look at."""


class Leftover(Message):
    """Something of ours that no release owns any more."""

    object: str
    message: Sentence
    fix: Sentence = ""
    """The command that takes it away."""


class ClusterSeen(Message):
    cluster: str
    is_reached: bool = False
    message: Sentence = ""
    """Why it is not reached."""
    lacking: tuple[Sentence, ...] = ()
    """Rights that a release would miss, by namespace."""
    leftovers: tuple[Leftover, ...] = ()


class Surveyed(Message):
    clusters: tuple[ClusterSeen, ...] = ()
    """Those that the workers which answered reach themselves."""
    orphans: tuple[str, ...] = ()
    """Targets whose mark no open run holds; the janitor settles them."""
    silent: tuple[str, ...] = ()
    """Queues of workers inside clusters from which no answer came."""


class ReferenceActivities(ABC):
    """The third pass over a document: what shape and meaning can't tell."""

    @activity.defn(name="references.check")
    @abstractmethod
    async def check(self, request: ReferencesRequest) -> ReferencesChecked:
        """Everything that is missing or in the way, at once; changes nothing. Errors: Unavailable."""

    @activity.defn(name="references.describe")
    @abstractmethod
    async def describe(self, request: DescribeRequest) -> Described:
        """What is around a workload; changes nothing. Errors: NotFound, Denied, Unavailable."""

    @activity.defn(name="references.survey")
    @abstractmethod
    async def survey(self) -> Surveyed:
        """All clusters of this worker as they are for releases; changes nothing."""
