"""How the presets count outcomes: `simple`, `argo` and `flagger`, with the semantics of the tools they are named after.

Each is one function from the counts so far and one outcome to the new counts and, when a limit is passed, a verdict.
Two things hold for all of them, because they are Headgate's own rules: missing data alone never rolls back, and a hold
asks people, so the counts that led to it start again after it. Failed samples are never forgotten (but by
`consecutive`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from workflows.analysis import reasons
from workflows.model.analysis import Like, Rule
from workflows.model.shapes import Message

Outcome = Literal["good", "bad", "between", "empty", "error"]
"""`empty`: the source answered and there was nothing to judge. `error`: it did not answer."""

ERROR_RETRY_SECONDS = 10.0
"""Argo Rollouts asks again this soon after an error."""


class Tally(Message):
    """Everything a preset counts; the release's whole memory of a rule."""

    failed: int = 0
    """Samples beyond the limit."""
    missing: int = 0
    """`flagger`: checks without a value."""
    inconclusive: int = 0
    errors: int = 0
    """`argo`: in a row."""
    good: int = 0
    """`argo`: good samples in a row."""
    measured: int = 0
    """Samples with a value."""
    is_done: bool = False
    """`argo`: succeeded; no more samples are taken."""


class Counted(NamedTuple):
    """The counts after an outcome; `verdict` and `reason` are empty as long as no limit is passed."""

    tally: Tally
    verdict: Literal["", "hold", "rollback"] = ""
    reason: str = ""


Counting = Callable[[Rule[Any], Tally, Outcome], Counted]


def simple(rule: Rule[Any], tally: Tally, outcome: Outcome) -> Counted:
    """A monitor: one sample per interval, and more failed ones than `failureLimit` roll back.

    Samples without a value are not counted; the no-data policy of the release deals with them.
    """
    if outcome == "good":
        failed = 0 if rule.consecutive else tally.failed
        return Counted(tally.model_copy(update={"measured": tally.measured + 1, "failed": failed}))
    if outcome == "bad":
        return _failed(tally, limit=rule.failure_limit or 0)
    return Counted(tally)


def argo(rule: Rule[Any], tally: Tally, outcome: Outcome) -> Counted:
    """An AnalysisRun of Argo Rollouts over the whole release.

    It fails when failed > `failureLimit` (a limit of 3 is the 4th failure), cumulatively. Inconclusive samples and
    errors in a row have limits of their own (0 and 4), beyond which the release is held. Reaching `count`, or
    `consecutiveSuccessLimit` good samples in a row, is success. Argo aborts on errors; Headgate holds.
    """
    if tally.is_done or outcome == "empty":
        return Counted(tally)
    if outcome == "error":
        errors = tally.errors + 1
        counted = tally.model_copy(update={"errors": errors, "good": 0})
        limit = 4 if rule.consecutive_error_limit is None else rule.consecutive_error_limit
        return _held(counted, reasons.PROVIDER_ERRORS) if errors > limit else Counted(counted)
    answered = tally.model_copy(update={"errors": 0})
    if outcome == "bad":
        failed = _failed(answered.model_copy(update={"good": 0}), limit=rule.failure_limit or 0)
        return failed if failed.verdict else _completed(rule, failed.tally)
    if outcome == "between":
        return _undecided(rule, answered)
    good = answered.model_copy(update={"measured": answered.measured + 1, "good": answered.good + 1})
    return _completed(rule, good)


def flagger(rule: Rule[Any], tally: Tally, outcome: Outcome) -> Counted:
    """A canary analysis of Flagger over the whole release.

    Failed checks are cumulative and never lowered by a success. The limit is tested at the start of the next check, so
    a threshold of 5 at 1m acts in the 6th minute. A check without a value counts as a failed one; but as Headgate
    never rolls back on missing data alone, it rolls back only when at least one of the counted checks had a value
    beyond the limit, and holds otherwise.
    """
    if tally.failed + tally.missing >= (rule.threshold or 1):
        if tally.failed:
            return Counted(tally, "rollback", reasons.RULE_FAILED)
        return _held(tally, reasons.NO_DATA)
    if outcome == "bad":
        return Counted(tally.model_copy(update={"failed": tally.failed + 1, "measured": tally.measured + 1}))
    if outcome in {"empty", "error"}:
        return Counted(tally.model_copy(update={"missing": tally.missing + 1}))
    return Counted(tally.model_copy(update={"measured": tally.measured + 1}))


COUNTINGS: dict[Like, Counting] = {"simple": simple, "argo": argo, "flagger": flagger}


def tolerated(rule: Rule[Any]) -> int:
    """Failed samples after which the rule has not acted yet."""
    return (rule.threshold or 1) - 1 if rule.like == "flagger" else rule.failure_limit or 0


def _failed(tally: Tally, *, limit: int) -> Counted:
    counted = tally.model_copy(update={"failed": tally.failed + 1, "measured": tally.measured + 1})
    return Counted(counted, "rollback", reasons.RULE_FAILED) if counted.failed > limit else Counted(counted)


def _undecided(rule: Rule[Any], tally: Tally) -> Counted:
    counted = tally.model_copy(
        update={"inconclusive": tally.inconclusive + 1, "measured": tally.measured + 1, "good": 0}
    )
    if counted.inconclusive > (rule.inconclusive_limit or 0):
        return _held(counted, reasons.INCONCLUSIVE)
    return _completed(rule, counted)


def _completed(rule: Rule[Any], tally: Tally) -> Counted:
    wanted = rule.consecutive_success_limit
    if wanted is not None and tally.good >= wanted:
        return Counted(tally.model_copy(update={"is_done": True}))
    if rule.count is None or tally.measured < rule.count:
        return Counted(tally)
    if wanted is not None:
        return _held(tally.model_copy(update={"measured": 0}), reasons.INCONCLUSIVE)
    return Counted(tally.model_copy(update={"is_done": True}))


def _held(tally: Tally, reason: str) -> Counted:
    again = tally.model_copy(update={"missing": 0, "inconclusive": 0, "errors": 0})
    return Counted(again, "hold", reason)
