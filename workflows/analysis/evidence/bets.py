"""What one tick is worth: bets that win nothing on average while the new version is harmless.

Every test here is about hits among trials that the hypothesis gives at most a known share. Comparing, the trials are
the errors of both versions and the hits those of the new one; against a limit, the trials are its requests and the
hits those that failed. Factors multiply to an e-process, and by Ville's inequality such a process reaches 1/alpha with
a probability of at most alpha, however often one looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

HIGHEST_LOG = 690.0
HIGHEST = 1e299
"""No bet pays more, so that sums stay finite for any input; it acts at 100."""

SMALLEST_SHARE = 1e-9
"""No limit is lower: a larger one only makes the test more careful."""


LARGEST = 1e30
"""Counts beyond it are nonsense."""


class Pair(NamedTuple):
    """What both versions counted over the same time."""

    new_bad: float = 0.0
    new_total: float = 0.0
    old_bad: float = 0.0
    old_total: float = 0.0

    def plus(self, later: Pair) -> Pair:
        """Both times together."""
        return Pair(*map(sum, zip(self, later, strict=True)))

    @property
    def is_possible(self) -> bool:
        """Whether no more failed than there were; false for what is no number."""
        return 0 <= self.new_bad <= self.new_total <= LARGEST and 0 <= self.old_bad <= self.old_total <= LARGEST


class CountForm(Protocol):
    """The part of a form that request bets need."""

    @property
    def cluster(self) -> float:
        """Failures that hit one version together."""

    @property
    def logs_and_lifts(self) -> tuple[tuple[float, float], ...]:
        """Of each size its logarithm, and what it is above 1."""


class Trial(NamedTuple):
    """Hits among trials, and the largest share of hits that the hypothesis allows."""

    hits: float
    trials: float
    share: float


def compared(pair: Pair, ratio: float) -> Trial | None:
    """Whose errors these are, if the new version fails at most `ratio` times as often; None when nothing can be said.

    The share of the requests is the one observed in the tick, never the configured weight: a fixed 10 % where the
    router really sent 12 % gave 11.7 % false alarms (simulated), observed shares 0.3 %.
    """
    errors = pair.new_bad + pair.old_bad
    weighted = ratio * pair.new_total
    if errors <= 0 or pair.new_total <= 0 or pair.old_total <= 0:
        return None
    share = weighted / (weighted + pair.old_total)
    return Trial(pair.new_bad, errors, share) if share > 0 else None


def corrected(pair: Pair, ratio: float) -> float | None:
    """The ratio to compare with where errors need not be rare; None where a tick has too few requests to compare.

    With p_c = rho p_s the mean share of errors e_c/m is above rho n_c/(rho n_c + n_s), the more the less rare errors
    are (exact sums: up to 2 % a tick at rho = 1.25 and p_s = 30 %). With Z errors among the other requests,
    E[e_c/m] : E[e_s/m] = rho n_c/n_s x (1 - p_s d)/(1 - rho p_s d), where d is the mean of 1/(Z+2) weighted by
    1/(Z+1). For Z binomial p_s d <= 1/(n_c+n_s), and a larger p_c only makes Z larger. So rho(N-1)/(N-rho) is enough
    for any p_s, and close to rho where a tick has many requests.
    """
    requests = pair.new_total + pair.old_total
    return ratio * (requests - 1) / (requests - ratio) if requests > max(ratio, 1.0) else None


def limited(pair: Pair, limit: float) -> Trial | None:
    """The new version's own failures, if at most `limit` of its requests fail; None when nothing can be said."""
    if pair.new_total <= 0 or limit >= 1:
        return None
    return Trial(pair.new_bad, pair.new_total, max(limit, SMALLEST_SHARE))


def count_bets(trial: Trial, form: CountForm) -> list[float]:
    """What a unit staked on each size g becomes: (g^hits / (1 + (g-1) share)^trials) ^ (1/cluster).

    Comparing, this is the request bet g^e_c (1+(rho0-1)w)^m / (1+(rho0 g-1)w)^m (analysis specification 1.1). Given
    both request counts and m, e_c is hypergeometric, which is below Binomial(m, share) in convex order (Hoeffding
    1963), and the bet is convex in e_c, so its mean is at most 1. Against a limit it is the likelihood ratio of odds g
    times as large (1.5). The root of the cluster's size keeps that when errors come in groups (1.3, Jensen).
    """
    hits, trials, share = trial.hits / form.cluster, trial.trials / form.cluster, trial.share
    logs = [hits * log_size - trials * math.log1p(lift * share) for log_size, lift in form.logs_and_lifts]
    if max(logs) > HIGHEST_LOG:
        logs = [min(log, HIGHEST_LOG) for log in logs]
    return list(map(math.exp, logs))


def block_bets(trial: Trial, stakes: Sequence[float]) -> list[float]:
    """What a unit becomes with each stake b: 1 + (b/share)(hits/trials - share), and 1 without trials (1.4).

    It is linear in the share of hits, so only the mean of that share matters and errors of one tick may depend on each
    other in any way. A tick multiplies by at most 1/share.
    """
    hits, trials, share = trial
    if trials <= 0:
        return [1.0] * len(stakes)
    surplus = min(hits / trials / share, HIGHEST) - 1.0
    return [1.0 + b * surplus for b in stakes]
