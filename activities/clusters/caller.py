"""Who is writing: the workflow run that Temporal says this activity belongs to."""

from __future__ import annotations

from typing import NamedTuple

from temporalio import activity

from workflows.errors import Denied


class Caller(NamedTuple):
    """One run of one workflow."""

    workflow_id: str
    run_id: str


def caller() -> Caller:
    """The run behind the current activity, from the server and never from an argument.

    A reset run replays the arguments of the run it replaces, so only Temporal can tell the two apart.
    """
    info = activity.info()
    if info.workflow_id is None or info.workflow_run_id is None:
        raise Denied("only a workflow may write to a target; this activity was started without one")
    return Caller(info.workflow_id, info.workflow_run_id)
