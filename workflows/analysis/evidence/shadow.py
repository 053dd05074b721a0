"""The A/A shadow behind `dependence: auto`: the same test between two halves of the old version, in both directions.

While it is quiet for a day, requests seem to fail independently of each other and the faster form may be chosen, before
a release begins and never during one. A heuristic, not a bound: it fires in 74 % of half hours with one retry that
sticks to its version, and a burst that it never saw still breaks the independent form.
"""

from __future__ import annotations

from workflows.analysis.evidence.bets import Pair, compared
from workflows.analysis.evidence.mixture import ERROR_SIZES, SIZE_PRIOR, Form, Mixture, Start, advanced, evidence
from workflows.analysis.evidence.parameters import Dependence
from workflows.model.shapes import Message

ALPHA = 0.05
QUIET_SECONDS = 86_400.0


class Shadow(Message):
    """What the shadow remembers."""

    first: Mixture = Mixture()
    """Bets that the first half fails more often."""
    second: Mixture = Mixture()
    start: Start = Start()
    quiet: float = 0.0
    """Seconds since it last fired, or since it began."""
    fired: int = 0


def advance(shadow: Shadow, pair: Pair, *, seconds: float, horizon: int) -> Shadow:
    """One tick further; after it fired it begins anew."""
    if not pair.is_possible or pair.new_total <= 0 or pair.old_total <= 0:
        return shadow
    form = _form(horizon)
    starting, start = shadow.start.share(form), shadow.start.after(form)
    other = Pair(pair.old_bad, pair.old_total, pair.new_bad, pair.new_total)
    first = advanced(form, shadow.first, compared(pair, 1.0), starting=starting)
    second = advanced(form, shadow.second, compared(other, 1.0), starting=starting)
    found = (evidence(form, first, idle=start.idle) + evidence(form, second, idle=start.idle)) / 2
    if found >= 1 / ALPHA:
        return Shadow(fired=shadow.fired + 1)
    quiet = min(shadow.quiet + seconds, 2 * QUIET_SECONDS)
    return Shadow(first=first, second=second, start=start, quiet=quiet, fired=shadow.fired)


def dependence(shadow: Shadow) -> Dependence:
    """What `auto` means for a release that begins now."""
    return "independent" if shadow.quiet >= QUIET_SECONDS else "robust"


def _form(horizon: int) -> Form:
    return Form(ERROR_SIZES, SIZE_PRIOR, cluster=1.0, is_robust=False, horizon=horizon)
