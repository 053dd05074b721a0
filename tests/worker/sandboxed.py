"""A workflow that tells which classes it sees from inside the sandbox."""

from __future__ import annotations

from temporalio import workflow

from workflows import errors
from workflows.analysis import batches
from workflows.contracts import traffic
from workflows.engine import guard
from workflows.governance import quorum
from workflows.model import plan, target
from workflows.planning import rollouts

PASSED = (errors.Fenced, batches.Batch, traffic.ShiftRequest, plan.RolloutPlan, target.Claim)
FUNCTIONS = (rollouts.rollout_plan,)
WATCHED = (guard.Guard,)
MODULES = (quorum,)


def identities() -> dict[str, int]:
    """Where each class is in memory."""
    found = {f"{item.__module__}.{item.__qualname__}": id(item) for item in (*PASSED, *FUNCTIONS, *WATCHED)}
    return found | {module.__name__: id(module) for module in MODULES}


@workflow.defn
class Sandboxed:
    """Answers with what it sees."""

    @workflow.run
    async def run(self) -> dict[str, int]:
        return identities()
