"""A person's return to a version that ran here before: quick, checked and watched for a moment, and itself undoable."""

from __future__ import annotations

from datetime import timedelta

from workflows.model.release import BlueGreen, Recreate, Rolling, Stage
from workflows.planning import blue_green, recreate, rolling
from workflows.planning.draft import Draft

AVAILABLE_WITHIN = timedelta(seconds=120)
"""How long the earlier version may take to get ready, and how long it is watched."""


def steps(draft: Draft) -> None:
    """Takes the fastest way that keeps users served: a switch where users can be switched, else in place."""
    draft.component = draft.component.model_copy(update={"ready_within": AVAILABLE_WITHIN})
    if draft.plan.target.exclusive:
        recreate.steps(draft, Recreate(kind="recreate", timeout=AVAILABLE_WITHIN, watch=AVAILABLE_WITHIN))
    elif draft.is_routed and not draft.plan.target.is_in_place:
        switch = BlueGreen(kind="blueGreen", stages=(Stage(weight=100),), watch=AVAILABLE_WITHIN)
        blue_green.steps(draft, switch)
    else:
        rolling.steps(draft, Rolling(kind="rolling", timeout=AVAILABLE_WITHIN, watch=AVAILABLE_WITHIN))
