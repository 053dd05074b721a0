"""What a worker tells about itself: one Prometheus page and, where asked for, OpenTelemetry traces.

Temporal's core can only serve its metrics on a port of its own. That port is a free one on loopback, and the page that
people scrape joins its text to ours.
"""

from __future__ import annotations

import logging
import socket
from importlib.metadata import PackageNotFoundError, version

import aiohttp
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry, Gauge, Info, ProcessCollector, generate_latest
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from worker.logs import core_logging
from worker.measures import BUCKETS, READY
from worker.settings import TelemetrySettings

logger = logging.getLogger(__name__)

SCRAPE_PATIENCE = aiohttp.ClientTimeout(total=2)
FLUSH_MILLISECONDS = 3000


class MetricsPage:
    """The text that Prometheus scrapes: Temporal's metrics and ours."""

    def __init__(self, core_address: str) -> None:
        self.registry = CollectorRegistry()
        self.ready = Gauge(READY.name, READY.help, registry=self.registry)
        Info("headgate_build", "The version of this worker.", registry=self.registry).info(
            {"version": headgate_version()}
        )
        ProcessCollector(registry=self.registry)
        self._core = f"http://{core_address}/metrics"

    async def render(self) -> bytes:
        """Both parts; ours alone when Temporal's core does not answer."""
        ours = generate_latest(self.registry)
        try:
            async with aiohttp.ClientSession(timeout=SCRAPE_PATIENCE) as session, session.get(self._core) as answer:
                return ours + await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("Temporal's own metrics are missing from this scrape: %s", error)
            return ours


def make_runtime() -> tuple[Runtime, MetricsPage]:
    """Temporal's core with its metrics on, and the page that includes them."""
    for _ in range(20):
        address = f"127.0.0.1:{_free_port()}"
        metrics = PrometheusConfig(bind_address=address, durations_as_seconds=True, histogram_bucket_overrides=BUCKETS)
        telemetry = TelemetryConfig(logging=core_logging(), metrics=metrics, attach_service_name=False)
        try:
            return Runtime(telemetry=telemetry), MetricsPage(address)
        except ValueError:
            logger.debug("%s was taken in the meantime", address)
    raise OSError("no free port on 127.0.0.1 for Temporal's metrics")


class Tracing:
    """Traces of activities and workflows, exported by OTLP over HTTP."""

    def __init__(self, settings: TelemetrySettings) -> None:
        resource = Resource.create({"service.name": "headgate-worker", "service.version": headgate_version()})
        headers = {name: value.get_secret_value() for name, value in settings.otlp_headers.items()}
        exporter = OTLPSpanExporter(endpoint=f"{str(settings.otlp_endpoint).rstrip('/')}/v1/traces", headers=headers)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        # Releases are started by the bare CLI too, which opens no span for the workflow's to hang from.
        self.interceptor = TracingInterceptor(self._provider.get_tracer("headgate"), always_create_workflow_spans=True)

    def flush(self) -> None:
        """Sends what is left; blocks, for three seconds at most."""
        self._provider.force_flush(FLUSH_MILLISECONDS)


def headgate_version() -> str:
    """The installed version; `0` in a source tree that is not installed."""
    try:
        return version("headgate")
    except PackageNotFoundError:
        return "0"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
