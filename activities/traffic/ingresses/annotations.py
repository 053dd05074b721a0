"""What ingress-nginx is told by annotations on a canary Ingress; pure.

A weight is a whole number of a total, which is 100 unless it says more. A header match goes before the weight. Of the
user's own annotations a canary Ingress needs those of load balancing and sessions; it inherits all others.
"""

from __future__ import annotations

from collections.abc import Mapping

from activities.clusters.kubernetes.api import Object
from workflows.model.target import TrafficState

PREFIX = "nginx.ingress.kubernetes.io/"
CANARY = f"{PREFIX}canary"
_TOTALS = (100, 1000, 10_000)
_NOT_INHERITED = ("load-balance", "upstream-hash-by", "affinity", "session-cookie-")


def canary_annotations(ingress: Object, state: TrafficState) -> dict[str, str]:
    """Those of a canary Ingress beside an Ingress that ask for a state."""
    weight, total = _expressed(state.weights.get("canary", 0))
    made = {"canary": "true", "canary-weight": str(weight)}
    if total != _TOTALS[0]:
        made["canary-weight-total"] = str(total)
    for match in state.raw.get("match") or ():
        made |= {"canary-by-header": match["header"], "canary-by-header-value": match["exact"]}
    own = {key: value for key, value in told(ingress).items() if key.removeprefix(PREFIX).startswith(_NOT_INHERITED)}
    return own | {f"{PREFIX}{name}": value for name, value in made.items()}


def told(ingress: Object) -> dict[str, str]:
    """All that an Ingress tells ingress-nginx."""
    return {key: value for key, value in _all(ingress).items() if key.startswith(PREFIX)}


def is_canary(ingress: Object) -> bool:
    """Whether it is a canary of another Ingress."""
    return _all(ingress).get(CANARY, "").lower() in ("1", "t", "true")


def weight(ingress: Object) -> float:
    """The percentage that a canary Ingress takes as it is written; nothing that cannot be read counts as all."""
    given = _all(ingress)
    try:
        part = int(given.get(f"{CANARY}-weight", "0"))
        total = max(100, int(given.get(f"{CANARY}-weight-total", "100")))
    except ValueError:
        return 100.0
    return round(min(100.0, max(0.0, 100 * part / total)), 2)


def _expressed(percent: float) -> tuple[int, int]:
    """The percentage as a part of the smallest total that has it as a whole number."""
    hundredths = round(percent * 100)
    total = next(total for total in _TOTALS if hundredths * total % 10_000 == 0)
    return hundredths * total // 10_000, total


def _all(ingress: Object) -> Mapping[str, str]:
    return ingress["metadata"].get("annotations") or {}
