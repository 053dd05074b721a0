"""What runs: a component's artifact at one version, named by a digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from workflows.model.meaning import tagged
from workflows.model.release import Component, KubernetesWorkload, ProcessWorkload
from workflows.model.target import Template


def template(component: Component, version: str) -> Template:
    """The template of a component at a version; the same artifact at the same version always has the same digest."""
    return runnable(version, _body(component, version))


def runnable(version: str, body: dict[str, Any]) -> Template:
    """A version with what is to be started."""
    return Template(version=version, digest=digest_of({"version": version, "body": body}), body=body)


def _body(component: Component, version: str) -> dict[str, Any]:
    artifact, workload = component.artifact, component.workload
    match workload:
        case ProcessWorkload():
            return {
                "program": artifact.program or workload.service,
                "args": list(artifact.args),
                "env": dict(sorted(artifact.env.items())),
            }
        case KubernetesWorkload():
            images = {"": artifact.image} if artifact.image else artifact.images
            return {"images": {container: tagged(image, version) for container, image in sorted(images.items())}}


def digest_of(content: Any) -> str:
    """A short stable name for JSON content, the same on every worker and in every run."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
