"""The numbers of the specification, digit by digit."""

from __future__ import annotations

import math

import pytest

from tests.workflows.analysis.evidence.builders import Four, Judge
from workflows.analysis.evidence.bets import Pair, Trial, block_bets, compared, count_bets
from workflows.analysis.evidence.mixture import LIMIT_SIZES, STAKES, Form

BAD: Four = (5, 100, 1, 900)
GOOD: Four = (0, 100, 1, 900)


def a_form(*sizes: float) -> Form:
    return Form(sizes, (1 / len(sizes),) * len(sizes), cluster=1)


def close(*values: float) -> object:
    return pytest.approx(list(values), abs=1e-6)


def logs(bets: list[float]) -> list[float]:
    return list(map(math.log, bets))


def a_trial(counts: Four, ratio: float = 1.0) -> Trial:
    trial = compared(Pair(*counts), ratio)
    assert trial
    return trial


@pytest.mark.parametrize(
    ("counts", "size", "ratio", "expected"),
    [
        ((3, 50, 1, 950), 10, 1, 5.421501),
        ((0, 50, 4, 950), 10, 1, -1.486254),
        ((1, 5, 0, 95), 100, 1, 2.821779),
        ((3, 50, 1, 950), 10, 1.25, 5.140424),
    ],
)
def test_request_bet(counts: Four, size: float, ratio: float, expected: float) -> None:
    assert logs(count_bets(a_trial(counts, ratio), a_form(size))) == close(expected)


def test_block_bets() -> None:
    expected = (0.530628, 0.875469, 1.335001, 1.887070, 2.379546, 2.660260)
    assert logs(block_bets(a_trial((3, 50, 1, 950)), STAKES)) == close(*expected)


def test_bets_against_a_limit() -> None:
    expected = (1.528571, 2.470703, 3.512799, 4.125118, 2.895156, -2.416669, -20.317497)
    assert logs(count_bets(Trial(5, 100, 0.01), a_form(*LIMIT_SIZES))) == close(*expected)


@pytest.mark.parametrize(
    ("sequence", "log_e", "tick"),
    [
        pytest.param([GOOD] * 12, -0.495529, None, id="12 good ticks"),
        pytest.param([BAD] * 6, 7.767787, 5, id="6 bad ticks"),
        pytest.param([GOOD] * 60 + [BAD] * 12, 13.779838, 67, id="60 good ticks, then 12 bad ones"),
    ],
)
def test_sequences(sequence: list[Four], log_e: float, tick: int | None) -> None:
    judge = Judge().count(*sequence)
    assert judge.log_e == pytest.approx(log_e, abs=1e-6)
    assert judge.acted == tick
