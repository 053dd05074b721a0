"""What a worker says of itself: so a release finds the workers inside clusters, and refuses one that is too old."""

from __future__ import annotations

from abc import ABC, abstractmethod

from temporalio import activity

from workflows.model.shapes import Message

CONTRACT = 1
"""What workflows expect of the worker inside a cluster.

Raised when they come to need something that an older worker would leave out without an error: an activity, or a field
that it must not ignore.
"""


class Introduction(Message):
    """Who answered on a queue."""

    contract: int = 0
    """The worker's `CONTRACT`."""
    version: str = ""
    clusters: tuple[str, ...] = ()
    """Aliases of the Kubernetes clusters whose API servers it speaks to itself."""
    queues: tuple[str, ...] = ()
    """Queues of the workers inside the clusters that it does not reach."""
    reached: dict[str, str] = {}
    """These queues by the alias of the cluster."""


class WorkerActivities(ABC):
    """What workflows ask workers about themselves."""

    @activity.defn(name="workers.introduce")
    @abstractmethod
    async def introduce(self) -> Introduction:
        """Says who polls this queue; touches nothing."""
