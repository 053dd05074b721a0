"""The chart as Helm renders it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.helm.schema import FILE
from infra.testbed.cache import root
from infra.testbed.programs import Builder

CHART = Path(__file__).parents[2] / "infra/helm/headgate"
FULL: dict[str, Any] = yaml.safe_load((CHART / "ci/full-values.yaml").read_text())
_CHOICES = json.loads(FILE.read_text())["properties"]["inCluster"]["properties"]
ROUTERS: list[str] = _CHOICES["routers"]["items"]["enum"]
WORKLOADS: list[str] = _CHOICES["workloads"]["items"]["enum"]
ADD_ONS: list[str] = _CHOICES["addOns"]["items"]["enum"]
ALL = {"routers": ROUTERS, "workloads": WORKLOADS, "addOns": ADD_ONS}
"""All that a Role can allow."""
KUBERNETES = "1.34.0"
"""Helm does not know by itself for which version it renders when it speaks to no cluster."""

Manifest = dict[str, Any]


class Refused(Exception):
    """What Helm said instead of doing it."""


@dataclass(frozen=True)
class Helm:
    """The program, and where it keeps its own files."""

    program: Path
    home: Path

    def run(self, *words: str | Path, values: Mapping[str, Any] | None = None) -> str:
        """One command; `values` go in as a file does. Errors: Refused."""
        environ = {**os.environ, "HELM_CACHE_HOME": str(self.home), "HELM_CONFIG_HOME": str(self.home)}
        given = ["--values", "-"] if values is not None else []
        text = json.dumps(values) if values is not None else None
        command = [self.program, *words, *given]
        done = subprocess.run(command, input=text, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(done.stderr)
        return done.stdout

    def render(self, namespace: str = "headgate", /, **values: Any) -> list[Manifest]:
        """Every object of a release called `headgate`, hooks included."""
        text = self.run(
            "template", "headgate", CHART, "--namespace", namespace, "--kube-version", KUBERNETES, values=values
        )
        return [found for found in yaml.safe_load_all(text) if found]


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return find_helm(tmp_path_factory.mktemp("helm"))


def find_helm(home: Path) -> Helm:
    """Skips where it is not built, which takes minutes, and where there is none to be found."""
    built = Builder(root(), print).path("helm")
    program = built if built.exists() else shutil.which("helm")
    if not program:
        pytest.skip("helm is not built; `make e2e` builds it")
    return Helm(Path(program), home)


def only(manifests: list[Manifest], kind: str) -> Manifest:
    """The one object of a kind."""
    [found] = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Values over values, as Helm lays them."""
    result = dict(values)
    for name, value in more.items():
        is_inner = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merged(result[name], value) if is_inner else value
    return result
