"""What the workflow sandbox takes from outside: the one list that workers, tests and replay share.

A module that the sandbox imports again is another module: its classes are not the classes that the data converter made,
and `except SpecError` misses. So everything that carries types across is passed through, together with everything it
imports. `workflows` itself must never be on the list, or the sandbox would stop watching workflow code.
"""

from __future__ import annotations

from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from worker.ordering import OneByOne

PASSTHROUGH: tuple[str, ...] = (
    "workflows.errors",
    "workflows.model",
    "workflows.planning",
    "workflows.analysis",
    "workflows.governance",
    "workflows.contracts",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "typing_inspection",
)
"""Modules with everything below them; pure by the import contracts in pyproject.toml."""


def workflow_runner() -> WorkflowRunner:
    """The sandbox that runs Headgate's workflows, everywhere."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSTHROUGH)
    return OneByOne(SandboxedWorkflowRunner(restrictions=restrictions))
