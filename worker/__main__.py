"""`python -m worker`: the same as `headgate worker`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from worker.main import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m worker", description="Run a Headgate worker.")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings file; HEADGATE_SETTINGS when not given")
    sys.exit(run(parser.parse_args().settings))
