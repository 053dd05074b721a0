"""On what the numbers were measured."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.tools import Toolbox


def facts() -> dict[str, Any]:
    """Date, commit, machine and the versions of what took part."""
    tools = Toolbox(say=lambda _: None)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memoryGiB": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "python": platform.python_version(),
        "temporal": tools.temporal().version,
        "envoy": tools.envoy().version,
    }


def sentences(machine: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    yield (
        f"{machine['date']}, commit {machine['commit']}: {machine['cores']} cores ({machine['processor']}), "
        f"{machine['memoryGiB']} GiB, Python {machine['python']}, Temporal CLI {machine['temporal']}, "
        f"Envoy {machine['envoy']}."
    )


def commit() -> str:
    """What was measured."""
    try:
        found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
