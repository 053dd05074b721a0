"""The objects that the test bed itself puts into a cluster."""

from pathlib import Path

MANIFESTS = Path(__file__).parent
