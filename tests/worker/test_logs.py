"""Every line says which release it is about, and none holds a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

from tests.temporal import unique
from tests.worker.reporting import LoggingRelease, LoggingRollout, log_line
from worker import logs
from worker.context import ContextInterceptor
from worker.sandbox import workflow_runner
from worker.settings import LogSettings
from workflows.model.target import Target


class Stream:
    def __init__(self) -> None:
        self.text = io.StringIO()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.getvalue().splitlines()]

    def line(self, words: str) -> dict[str, Any]:
        return next(line for line in self.lines() if words in line["message"])


@pytest.fixture
def stream() -> Iterator[Stream]:
    """Everything logged as JSON; logging is as before in the end."""
    root = logging.getLogger()
    before, level, stream = list(root.handlers), root.level, Stream()
    adapters = (workflow.logger.workflow_info_on_message, activity.logger.activity_info_on_message)
    logs.configure(LogSettings(format="json"), stream.text)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    workflow.logger.workflow_info_on_message, activity.logger.activity_info_on_message = adapters
    workflow.logger.full_workflow_info_on_extra = False


async def test_lines_from_workflows_and_activities_name_their_release(stream: Stream, client: Client) -> None:
    queue = unique("logs")
    release = f"release/test/{queue}"
    target = Target(component="web", cluster="local", namespace="shop", workload={"kind": "process", "service": "web"})
    async with Worker(
        client,
        task_queue=queue,
        workflows=[LoggingRelease, LoggingRollout],
        activities=[log_line],
        interceptors=[ContextInterceptor()],
        workflow_runner=workflow_runner(),
    ):
        await client.execute_workflow(LoggingRelease.run, target, id=release, task_queue=queue)

    inside, outside = stream.line("from the workflow"), stream.line("from the activity")
    assert inside["message"] == "from the workflow"
    assert inside["release"] == outside["release"] == release
    assert inside["workflow"] == outside["workflow"] == f"rollout/{release}"
    assert inside["run"] == outside["run"]
    assert (outside["component"], outside["activity"], outside["attempt"]) == ("web", "log_line", 1)


def test_what_looks_like_a_credential_is_left_out(stream: Stream) -> None:
    logger = logging.getLogger("tests.logs")
    error = ValueError("cannot reach https://ann:hunter2@db.example/")
    logger.error("token=hunter2 was refused", exc_info=error)

    (line,) = stream.lines()
    assert "hunter2" not in json.dumps(line)
    assert "ValueError" in line["error"]


def test_the_console_names_what_a_line_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, "weight %s", (5,), None)
    record.release, record.component = "release/test/shop", "web"

    assert logs.ConsoleFormatter().format(record).endswith("warning weight 5  [release/test/shop web]")
