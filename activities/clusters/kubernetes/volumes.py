"""The volumes of pods."""

from __future__ import annotations

import asyncio

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import PERSISTENT_VOLUME_CLAIM


async def claims_of(api: Api, namespace: str, pod: Object) -> list[Object]:
    """The PersistentVolumeClaims that a pod template names, those that are there. Errors: Denied."""
    volumes = pod["spec"].get("volumes") or []
    names = [v["persistentVolumeClaim"]["claimName"] for v in volumes if v.get("persistentVolumeClaim")]
    found = await asyncio.gather(*(api.find(PERSISTENT_VOLUME_CLAIM, namespace, name) for name in names))
    return [claim for claim in found if claim]
