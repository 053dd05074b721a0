"""How a worker starts, serves, drains and dies, as a real process against a real server."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from cli.tools import Toolbox
from tests.temporal import address_of, unique
from tests.worker.process import Collector, Teller, Webhook, a_worker
from worker.measures import MEASURES
from worker.sandbox import workflow_runner
from workflows.engine.visibility import KEYS


@pytest.fixture
def address(dev_server: WorkflowEnvironment) -> str:
    return address_of(dev_server)


@pytest.fixture
async def teller(client: Client) -> AsyncIterator[str]:
    """A queue on which the test itself runs `Teller`."""
    queue = unique("teller")
    async with Worker(client, task_queue=queue, workflows=[Teller], workflow_runner=workflow_runner()):
        yield queue


async def tell(client: Client, teller: str, queue: str, patience: float = 100) -> WorkflowHandle[Teller, None]:
    return await client.start_workflow(Teller.run, args=[queue, patience], id=unique("tell"), task_queue=teller)


async def test_a_worker_serves_its_health_and_drains_on_sigterm(tmp_path: Path, address: str) -> None:
    async with a_worker(tmp_path, address, HEADGATE_TASK_QUEUE=unique("q")) as worker:
        await worker.ready()
        assert await worker.get("/livez") == (200, "alive\n")
        assert await worker.get("/readyz") == (200, "polling\n")

        worker.signal(signal.SIGTERM)

        assert await worker.ended() == 0
        assert worker.lines[-1].endswith("drained")


async def test_the_metrics_page_holds_temporals_metrics_and_ours(tmp_path: Path, address: str) -> None:
    async with a_worker(tmp_path, address, HEADGATE_TASK_QUEUE=unique("q")) as worker:
        await worker.ready()

        status, text = await worker.get("/metrics")

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert status == 200
    assert families["headgate_worker_ready"].samples[0].value == 1
    assert {measure.name for measure in MEASURES if measure.kind == "gauge"} <= families.keys()
    assert any(name.startswith("temporal_") for name in families)
    assert "process_resident_memory_bytes" in families


async def test_workflows_and_activities_are_traced_and_the_last_spans_leave_with_the_drain(
    tmp_path: Path, address: str, client: Client, teller: str
) -> None:
    queue, hook, collector = unique("q"), Webhook(), Collector()
    hook.answer.set()
    async with (
        hook.served() as settings,
        collector.served() as endpoint,
        a_worker(
            tmp_path,
            address,
            f"{settings}\ntelemetry: {{otlpEndpoint: '{endpoint}', otlpHeaders: {{authorization: Bearer s3cret}}}}",
            HEADGATE_TASK_QUEUE=queue,
        ) as worker,
    ):
        await worker.ready()
        await client.execute_workflow("Janitor", id=unique("janitor"), task_queue=queue)
        await (await tell(client, teller, queue)).result()

        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0

    assert {
        "RunWorkflow:Janitor",
        "RunActivity:targets.find_marks",
        "RunActivity:notifications.send",
    } <= collector.spans
    assert collector.headers == {"Bearer s3cret"}
    assert "s3cret" not in worker.output


async def test_sigterm_lets_a_running_activity_finish_and_says_not_ready_meanwhile(
    tmp_path: Path, address: str, client: Client, teller: str
) -> None:
    queue, hook = unique("q"), Webhook()
    async with hook.served() as settings, a_worker(tmp_path, address, settings, HEADGATE_TASK_QUEUE=queue) as worker:
        await worker.ready()
        told = await tell(client, teller, queue)
        await hook.called.wait()

        worker.signal(signal.SIGTERM)
        await worker.says("draining")

        assert await worker.get("/readyz") == (503, "draining\n")
        assert await worker.get("/livez") == (200, "alive\n")
        hook.answer.set()
        assert await worker.ended() == 0
        await told.result()
        assert hook.calls == 1
        assert worker.lines[-1].endswith("drained")


async def test_an_activity_that_outlasts_the_grace_is_cancelled(
    tmp_path: Path, address: str, client: Client, teller: str
) -> None:
    queue, hook = unique("q"), Webhook()
    async with (
        hook.served() as settings,
        a_worker(tmp_path, address, settings, HEADGATE_TASK_QUEUE=queue, HEADGATE_SHUTDOWN__GRACE="100ms") as worker,
    ):
        await worker.ready()
        told = await tell(client, teller, queue)
        await hook.called.wait()

        worker.signal(signal.SIGINT)

        assert await worker.ended() == 0
        assert worker.lines[-1].endswith("drained")
        await told.terminate()


async def test_a_second_signal_ends_at_once(tmp_path: Path, address: str, client: Client, teller: str) -> None:
    queue, hook = unique("q"), Webhook()
    async with hook.served() as settings, a_worker(tmp_path, address, settings, HEADGATE_TASK_QUEUE=queue) as worker:
        await worker.ready()
        told = await tell(client, teller, queue)
        await hook.called.wait()
        worker.signal(signal.SIGTERM)
        await worker.says("draining")

        async def insist() -> None:
            # Within half a second it would count as an echo of the first one.
            while worker.process.returncode is None:
                worker.signal(signal.SIGTERM)
                await asyncio.sleep(0.1)

        insisting = asyncio.create_task(insist())

        assert await worker.ended() == 128 + signal.SIGTERM
        await insisting
        assert "drained" not in worker.output
        await told.terminate()


async def test_a_killed_workers_activity_is_done_by_another(
    tmp_path: Path, address: str, client: Client, teller: str
) -> None:
    queue, hook = unique("q"), Webhook()
    async with hook.served() as settings:
        async with a_worker(tmp_path, address, settings, HEADGATE_TASK_QUEUE=queue) as first:
            await first.ready()
            told = await tell(client, teller, queue, patience=3)
            await hook.called.wait()
            first.signal(signal.SIGKILL)
            assert await first.ended() == -signal.SIGKILL
        hook.answer.set()
        async with a_worker(tmp_path, address, settings, HEADGATE_TASK_QUEUE=queue):
            async with asyncio.timeout(60):
                await told.result()

    assert hook.calls > 1


async def test_without_search_attributes_a_worker_says_so_and_does_not_poll(
    tmp_path: Path, address: str, client: Client
) -> None:
    namespace = unique("bare")
    request = RegisterNamespaceRequest(namespace=namespace)
    request.workflow_execution_retention_period.FromSeconds(86400)
    await client.workflow_service.register_namespace(request)

    async with a_worker(tmp_path, address, TEMPORAL_NAMESPACE=namespace) as worker:
        assert await worker.ended() == 1

    for key in KEYS:
        assert key.name in worker.output
    assert "headgate setup" in worker.lines[-1]
    assert "polling" not in worker.output


async def test_a_worker_waits_for_a_server_that_is_not_up_yet(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with a_worker(tmp_path, f"127.0.0.1:{port}") as worker:
        await worker.says("waiting for Temporal")
        assert await worker.get("/readyz") == (503, "connecting\n")
        assert await worker.get("/livez") == (200, "alive\n")
        async with await WorkflowEnvironment.start_local(
            port=port,
            data_converter=pydantic_data_converter,
            dev_server_existing_path=str(Toolbox().temporal().path),
            dev_server_log_level="error",
            search_attributes=KEYS,
        ):
            await worker.ready()
            worker.signal(signal.SIGTERM)
            assert await worker.ended() == 0

    waits = [line for line in worker.lines if "waiting for Temporal" in line]
    assert len(waits) == len({line.split(" ", 1)[1] for line in waits})


async def test_a_worker_that_still_waits_stops_at_the_first_signal(tmp_path: Path) -> None:
    async with a_worker(tmp_path, "127.0.0.1:1") as worker:
        await worker.says("waiting for Temporal")

        worker.signal(signal.SIGTERM)

        assert await worker.ended() == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("slot: {undo: 1}", "slot: there is no field"),
        ("policy: missing.yaml", "missing.yaml"),
        ("notifications: {chat: {kind: apprise, urls: ['nonsense']}}", "address 1 of the apprise channel"),
    ],
    ids=["unknown-key", "no-policy-file", "useless-channel"],
)
async def test_wrong_settings_end_a_worker_with_status_2(
    tmp_path: Path, address: str, settings: str, words: str
) -> None:
    async with a_worker(tmp_path, address, settings) as worker:
        assert await worker.ended() == 2

    assert words in worker.output


async def test_a_taken_health_address_is_named(tmp_path: Path, address: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        async with a_worker(tmp_path, address, HEADGATE_HEALTH__BIND=bind) as worker:
            assert await worker.ended() == 2

    assert bind in worker.output
