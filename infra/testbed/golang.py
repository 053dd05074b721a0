"""Go, as far as the test bed uses it: the program, and modules of others."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from infra.testbed.errors import BedError
from infra.testbed.processes import last_words


def go() -> str:
    """The path of Go; BedError when there is none."""
    if not (found := shutil.which("go")):
        raise BedError("Go is not on PATH, and the cluster's programs are built with it. Install Go 1.26 or newer.")
    return found


def module(path: str, version: str, digest: str) -> Path:
    """The folder of a module in Go's cache, downloaded on first use; BedError unless it has this digest, Go's own."""
    command = [go(), "mod", "download", "-json", f"{path}@{version}"]
    # At the top of the file system no go.mod is in the way.
    environ = {**os.environ, "GOWORK": "off"}
    done = subprocess.run(command, cwd="/", env=environ, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout or "{}")
    if done.returncode or "Dir" not in found:
        said = last_words(found.get("Error", "") or done.stderr)
        raise BedError(f"{path} could not be downloaded: {said}\nIs a Go module proxy reachable (`go env GOPROXY`)?")
    if found["Sum"] != digest:
        raise BedError(f"{path}@{version} is {found['Sum']}, not {digest}. Somebody changed it.")
    return Path(found["Dir"])
