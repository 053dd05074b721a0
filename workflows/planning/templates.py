"""What runs: a component's artifact at one version, named by a digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from workflows.model.release import Component
from workflows.model.target import Template


def template(component: Component, version: str) -> Template:
    """The template of a component at a version; the same artifact at the same version always has the same digest."""
    artifact = component.artifact
    body = {
        "program": artifact.program or component.workload.service,
        "args": list(artifact.args),
        "env": dict(sorted(artifact.env.items())),
    }
    return Template(version=version, digest=digest_of({"version": version, "body": body}), body=body)


def digest_of(content: Any) -> str:
    """A short stable name for JSON content, the same on every worker and in every run."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
