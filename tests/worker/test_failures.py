"""What a failed release leaves in its history."""

from __future__ import annotations

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from worker.failures import data_converter


def written(error: Exception) -> Failure:
    failure = Failure()
    data_converter.failure_converter.to_failure(_raised(error), data_converter.payload_converter, failure)
    return failure


def _raised(error: Exception) -> Exception:
    try:
        raise error  # noqa: TRY301
    except Exception as raised:  # noqa: BLE001
        return raised


@pytest.mark.parametrize(
    "end", ["RolledBack", "Aborted", "Rejected", "Failed", "BadSpec", "PreflightFailed", "Refused"]
)
def test_the_end_of_a_release_has_a_sentence_and_no_stack_trace(end: str) -> None:
    failure = written(ApplicationError("errors 5 %, limit 1 %", type=end))
    assert (failure.message, failure.stack_trace) == ("errors 5 %, limit 1 %", "")


def test_a_defect_keeps_its_stack_trace() -> None:
    assert "test_failures" in written(ValueError("surprise")).stack_trace
