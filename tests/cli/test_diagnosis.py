"""A failure is told with what usually is behind it, in the words of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.diagnosis import PATTERNS, diagnose

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "diagnose.md"
CASES = {
    "image x:v9 of pod trip-1 cannot be pulled: manifest unknown": "Image",
    "pod trip-1 has no node: 0/3 nodes are available: 3 Insufficient cpu": "Capacity",
    'no more pods can be made: pods "trip-1" is forbidden: exceeded quota: small': "Capacity",
    'container trip of pod trip-1 cannot be made: secret "db" not found': "Configuration",
    "container trip ended with status 1; it last said: relation orders does not exist": "Migration",
    "container trip ended with status 1; it last said: dial tcp 10.0.0.1:5432: i/o timeout": "Network",
    "container trip of pod trip-1 ended with status 137, 3 times so far": "Memory",
    "container trip of pod trip-1 ended with status 2, 3 times so far": "Crash",
    "pod trip-1 runs, but is not ready; it last said: HTTP probe failed with statuscode: 500": "Health",
}
REASONS = {
    "GateFailed": "Gate",
    "VulnerableImage": "Vulnerability",
    "ForeignChange": "Foreign change",
    "WeightNotVerified": "Router",
    "CheckFailed": "Health",
    "HoldExpired": "Blind",
    "RuleFailed": "Regression",
}


@pytest.mark.parametrize(("message", "name"), CASES.items())
def test_a_failed_step_has_a_likely_cause(message: str, name: str) -> None:
    found = diagnose("NotReady", message)
    assert found
    assert found.name == name


@pytest.mark.parametrize(("reason", "name"), REASONS.items())
def test_a_reason_has_a_likely_cause(reason: str, name: str) -> None:
    found = diagnose(reason, "errors: 5 % are above 1 %")
    assert found
    assert found.name == name


def test_what_nobody_foresaw_is_not_guessed_at() -> None:
    assert diagnose("Aborted", "aborted by ann: enough") is None


def test_the_documentation_has_the_same_table() -> None:
    rows = [tuple(pattern.diagnosis) for pattern in PATTERNS]
    cells = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [row for row in cells if row in rows]
    assert len(rows) == len({row[0] for row in rows})
