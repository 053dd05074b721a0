"""`python -m tests.replay.record [SCENARIO... | --all]`: plays scenarios in the lab and writes their histories down.

Without names it records what is missing; a history that is there is evidence of what a released version did and is
only written again when it is asked for. CONTRIBUTING.md says when that is right.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from cli.tools import Toolbox
from tests.replay.scenarios import SCENARIOS, Scenario, histories
from tests.workflows.lab import a_lab
from workflows.engine.visibility import KEYS

FOLDER = Path(__file__).with_name("histories")


def file_of(scenario: str) -> Path:
    """Where the histories of a scenario are."""
    return FOLDER / f"{scenario}.json"


def read(scenario: str) -> list[WorkflowHistory]:
    """The histories of a scenario."""
    recorded = json.loads(file_of(scenario).read_text(encoding="utf-8"))
    return [WorkflowHistory.from_json(item["workflowId"], {"events": item["events"]}) for item in recorded]


async def record(scenario: Scenario) -> list[WorkflowHistory]:
    """Plays a scenario on a server of its own."""
    async with (
        await WorkflowEnvironment.start_local(
            data_converter=pydantic_data_converter,
            dev_server_existing_path=str(Toolbox().temporal().path),
            dev_server_log_level="error",
            search_attributes=KEYS,
        ) as server,
        a_lab(server.client) as lab,
    ):
        await scenario(lab)
        return await histories(server.client)


NOISE = frozenset({"identity", "requestId", "taskId", "workerVersion"})
"""Fields of events that say who did something on which machine; a seventh of what a history of ours would weigh."""


def quiet(event: Any) -> Any:
    """The event without what no replay looks at."""
    if isinstance(event, list):
        return [quiet(item) for item in event]
    if isinstance(event, dict):
        return {name: quiet(value) for name, value in event.items() if name not in NOISE}
    return event


def write(scenario: str, found: list[WorkflowHistory]) -> None:
    """Writes histories without a needless byte, in a steady order."""
    items: list[dict[str, Any]] = [
        {"workflowId": history.workflow_id, "events": quiet(json.loads(history.to_json())["events"])}
        for history in found
    ]
    items.sort(key=lambda item: (item["events"][0]["eventTime"], item["workflowId"]))
    FOLDER.mkdir(exist_ok=True)
    file_of(scenario).write_text(json.dumps(items, separators=(",", ":")) + "\n", encoding="utf-8")


def main() -> None:
    """Records what is asked for."""
    missing = [name for name in SCENARIOS if not file_of(name).exists()]
    for name in SCENARIOS if sys.argv[1:] == ["--all"] else sys.argv[1:] or missing:
        write(name, asyncio.run(record(SCENARIOS[name])))
        print(f"{file_of(name)}: {file_of(name).stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
