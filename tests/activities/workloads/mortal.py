"""A worker that dies at one exact write to an autoscaler: before it is sent, or before anybody hears of it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, Literal

from activities.clusters.kubernetes.api import Api
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.kinds import HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT
from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from tests.activities.world import Run, World
from workflows.contracts.targets import CaptureRequest, SettleRequest

Moment = Literal["before", "after"]
Request = CaptureRequest | SettleRequest
SCALERS = (HORIZONTAL_POD_AUTOSCALER.plural, SCALED_OBJECT.plural)


def carry_out(directory: Path, kubeconfig: Path, run: tuple[str, str], request: Request, moment: Moment) -> None:
    """One activity in a process of its own, ended by SIGKILL at the first change of an autoscaler's spec."""
    asyncio.run(_carry_out(directory, kubeconfig, Run(*run), request, moment))


async def _carry_out(directory: Path, kubeconfig: Path, run: Run, request: Request, moment: Moment) -> None:
    world = World(directory)
    namespaces = (request.target.namespace,)
    cluster = KubernetesCluster(kubeconfig=kubeconfig, namespaces=namespaces, calls_per_second=1000)
    world._clusters = Clusters(KubernetesSettings(clusters={"local": cluster}))
    world.rebuild(world.envoy, world.runs)
    _doom(world._clusters.get("local"), moment)
    capturing = isinstance(request, CaptureRequest)
    await run.call(world.targets.capture if capturing else world.targets.settle, request)


def _doom(api: Api, moment: Moment) -> None:
    send = api.patch

    async def patch(kind: Any, namespace: str, name: str, operations: Any, **more: Any) -> Any:
        is_last = kind.plural in SCALERS and any(one["path"].startswith("/spec/") for one in operations)
        if is_last and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await send(kind, namespace, name, operations, **more)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    api.patch = patch  # type: ignore[method-assign]
