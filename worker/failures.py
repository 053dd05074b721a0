"""How failures are written into histories: what a person reads, without the Python under it.

A release that ends RolledBack is no crash. Its failure carries a sentence and its result; a stack trace below them
would only send people to look for a defect, in the Temporal UI and on the command line alike.
"""

from __future__ import annotations

import dataclasses

from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError

from workflows.model.status import EXIT_CODES

_ENDS = {*EXIT_CODES, "PolicyRefused", "PlanRefused", "PreflightFailed", "BadStart", "Refused"}


class PlainFailures(DefaultFailureConverter):
    """The SDK's converter, without stack traces for the ends of releases and for refused messages."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        super().to_failure(exception, payload_converter, failure)
        if isinstance(exception, ApplicationError) and exception.type in _ENDS:
            failure.stack_trace = ""


data_converter = dataclasses.replace(pydantic_data_converter, failure_converter_class=PlainFailures)
"""What a worker encodes with; clients decode it with the plain pydantic converter."""
