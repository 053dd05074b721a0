"""The specification's acceptance: how often a harmless version is rolled back, and how soon a bad one is.

Fewer runs than `python -m tests.bench evidence`, which also prints what it found; from the same seed.
"""

from __future__ import annotations

from statistics import median

import pytest

from tests.workflows.analysis.evidence.simulation import CLUSTERED, FALSE_PASS, FAULTS, HARMLESS, HEALTHY_PASS, Scenario

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ALPHA = 0.01


def rolled_back(scenario: Scenario, runs: int) -> float:
    return sum(scenario.release(run).rolled_back is not None for run in range(runs)) / runs


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_versions_are_rarely_rolled_back(name: str) -> None:
    assert rolled_back(HARMLESS[name], 300) <= ALPHA


def test_clusters_break_the_independent_form() -> None:
    """Which shows that the test above bites."""
    assert rolled_back(CLUSTERED, 100) > 0.2


@pytest.mark.parametrize(("name", "limit"), [(name, limit) for name, (_, limit) in FAULTS.items() if limit])
def test_bad_versions_are_found_in_time(name: str, limit: float) -> None:
    found = [FAULTS[name][0].release(run).rolled_back for run in range(200)]
    assert median(9e9 if at is None else at for at in found) <= limit


def test_good_version_is_promoted_early_and_a_bad_one_rarely() -> None:
    found = [HEALTHY_PASS.release(run).passed for run in range(100)]
    assert median(9e9 if at is None else at for at in found) <= 600
    assert sum(FALSE_PASS.release(run).passed is not None for run in range(200)) / 200 <= 0.05
