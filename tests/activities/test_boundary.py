from __future__ import annotations

import asyncio
import uuid
from abc import ABC, abstractmethod
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.boundary import MESSAGE_LIMIT, implement, redact, translate
from workflows import errors
from workflows.errors import Fenced, NotReady, PlanRefused, Problem, RateLimited, SpecError, Unavailable
from workflows.model.shapes import Message
from workflows.model.target import Target


class Asked(Message):
    target: Target
    weights: dict[str, float] = {}


class Answered(Message):
    component: str
    heavy: str = ""


class Contract(ABC):
    @activity.defn(name="sample.ask")
    @abstractmethod
    async def ask(self, request: Asked) -> Answered:
        """Asks."""

    @activity.defn(name="sample.count")
    @abstractmethod
    async def count(self) -> int:
        """Counts."""


class Sample(Contract):
    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    async def ask(self, request: Asked) -> Answered:
        if self.error:
            raise self.error
        assert isinstance(request, Asked)
        assert isinstance(request.target, Target)
        return Answered(
            component=request.target.component, heavy=max(request.weights, key=lambda b: request.weights[b])
        )

    async def count(self) -> int:
        return 7

    def _private(self) -> None: ...


REQUEST = Asked(
    target=Target(component="trip", cluster="local", namespace="test", workload={"kind": "process", "service": "trip"}),
    weights={"stable": 5, "canary": 95},
)


async def call(error: BaseException) -> None:
    ask = implement(Contract, Sample(error))[0]
    await ActivityEnvironment().run(ask, REQUEST)


async def raised(error: BaseException) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await call(error)
    return caught.value


def test_a_missing_method_is_refused() -> None:
    class Half:
        async def ask(self, request: Asked) -> Answered:
            raise NotImplementedError

    with pytest.raises(TypeError, match="missing count"):
        implement(Contract, Half())


def test_an_extra_public_coroutine_is_refused() -> None:
    class More(Sample):
        async def asc(self) -> None: ...

    with pytest.raises(TypeError, match="not in the contract asc"):
        implement(Contract, More())


def test_name_and_types_come_from_the_contract() -> None:
    ask = implement(Contract, Sample())[0]
    definition = activity._Definition.must_from_callable(ask)
    assert (definition.name, definition.arg_types, definition.ret_type) == ("sample.ask", [Asked], Answered)


async def test_a_permanent_error_is_never_retried() -> None:
    error = await raised(Fenced("route trip now belongs to others", provider="envoy", operation="shift"))
    assert (error.type, error.non_retryable) == ("Fenced", True)
    assert error.details == ({"provider": "envoy", "operation": "shift"},)


PROVIDER_ERRORS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ProviderError)
]


@pytest.mark.parametrize("kind", PROVIDER_ERRORS)
def test_every_error_of_the_tree_keeps_its_name(kind: type[errors.ProviderError]) -> None:
    error = translate(kind("no"))
    assert (error.type, error.non_retryable) == (kind.__name__, issubclass(kind, errors.PermanentError))


async def test_a_temporary_error_says_when_to_try_again() -> None:
    error = await raised(RateLimited("slowly", retry_after=7))
    assert (error.non_retryable, error.next_retry_delay) == (False, timedelta(seconds=7))


async def test_expected_waiting_is_no_alarm() -> None:
    assert (await raised(NotReady("soon"))).category == ApplicationErrorCategory.BENIGN
    assert (await raised(Unavailable("down"))).category == ApplicationErrorCategory.UNSPECIFIED


async def test_bad_documents_and_refused_plans_carry_their_reasons() -> None:
    bad = await raised(SpecError([Problem("spec.version", "is missing", 3)]))
    assert bad.non_retryable
    assert bad.details[0]["problems"] == [{"path": "spec.version", "message": "is missing", "line": 3}]
    refused = await raised(PlanRefused("Unguarded", "no metric"))
    assert (refused.non_retryable, refused.details[0]["reason"]) == (True, "Unguarded")


async def test_an_unknown_error_counts_as_temporary() -> None:
    error = await raised(ValueError("what"))
    assert (error.type, error.non_retryable) == ("ValueError", False)
    assert "sample.ask" in error.message


async def test_cancellation_passes_untouched() -> None:
    with pytest.raises(asyncio.CancelledError):
        await call(asyncio.CancelledError())


async def test_causes_stay_out_of_the_history() -> None:
    error = Unavailable("the store is down")
    error.__cause__ = ValueError("http://user:hunter2@store")
    assert (await raised(error)).__cause__ is None


@pytest.mark.parametrize(
    "text",
    [
        "GET http://user:hunter2@store/api failed",
        "Authorization: Bearer hunter2hunter2",
        "token=hunter2 is wrong",
        '{"password": "hunter2"}',
        "X-Api-Key: hunter2",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str) -> None:
    assert "hunter2" not in redact(text)


async def test_long_bodies_are_cut() -> None:
    error = await raised(Unavailable("x" * 100_000))
    assert len(error.message) == MESSAGE_LIMIT


@workflow.defn(name="Caller")
class Calling:
    @workflow.run
    async def run(self, request: Asked) -> Answered:
        return await workflow.execute_activity_method(
            Contract.ask,
            request,
            start_to_close_timeout=timedelta(seconds=5),
            retry_policy=RetryPolicy(maximum_attempts=3),
        )


async def test_a_real_worker_decodes_arguments_and_reports_our_types(client: Client) -> None:
    async def execute(sample: Sample) -> Answered:
        queue = uuid.uuid4().hex
        async with Worker(
            client,
            task_queue=queue,
            workflows=[Calling],
            activities=implement(Contract, sample),
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            return await client.execute_workflow(Calling.run, REQUEST, id=queue, task_queue=queue)

    assert await execute(Sample()) == Answered(component="trip", heavy="canary")
    with pytest.raises(WorkflowFailureError) as caught:
        await execute(Sample(Fenced("not yours")))
    assert isinstance(failure := caught.value.cause, ActivityError)
    assert isinstance(failure.cause, ApplicationError)
    assert (failure.cause.type, failure.cause.non_retryable) == ("Fenced", True)
