"""What an HPA asks for its number, so that its own controller measures and scales: the API of external metrics."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from infra.testbed.credentials import Authority
from tests.e2e.site import Site

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
METRIC = "queue_length"


@dataclass
class Queue:
    """A number that decides how many pods there should be."""

    length: int
    asked: int = 0
    """How often the controller wanted to know."""

    async def list(self, _: web.Request) -> web.Response:
        resource = {"name": METRIC, "singularName": "", "namespaced": True, "kind": "ExternalMetricValueList"}
        found = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}"}
        return web.json_response({**found, "resources": [{**resource, "verbs": ["get"]}]})

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        item = {"metricName": METRIC, "metricLabels": {}, "timestamp": now, "value": str(self.length)}
        kind = {"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}}
        return web.json_response({**kind, "items": [item]})


@asynccontextmanager
async def a_queue(site: Site, folder: Path, length: int) -> AsyncIterator[Queue]:
    """A queue that the API server of the site's cluster knows, for as long as the context lasts."""
    queue, address = Queue(length), site.bed.cluster.layout.host_address
    app = web.Application()
    place = f"/apis/{GROUP}/{VERSION}"
    app.router.add_get(place, queue.list)
    app.router.add_get(f"{place}/namespaces/{{namespace}}/{METRIC}", queue.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, 0, ssl_context=_encrypted(folder)).start()
    registered = f"/apis/apiregistration.k8s.io/v1/apiservices/{VERSION}.{GROUP}"
    try:
        _register(site, address, runner.addresses[0][1])
        yield queue
    finally:
        site.bed.api.request("DELETE", registered)
        await runner.cleanup()


def _encrypted(folder: Path) -> ssl.SSLContext:
    authority = Authority(folder / "pki")
    authority.create()
    authority.issue_server("metrics", "/CN=metrics", ["DNS:metrics"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.folder / "metrics.crt", authority.folder / "metrics.key")
    return context


def _register(site: Site, address: str, port: int) -> None:
    """Says where the metrics are: at a Service without pods, whose endpoint is this process."""
    space = site.namespace
    space.apply("v1", "Service", "metrics", spec={"ports": [{"name": "https", "port": 443, "targetPort": port}]})
    where: dict[str, Any] = {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    labels = {"kubernetes.io/service-name": "metrics"}
    space.apply("discovery.k8s.io/v1", "EndpointSlice", "metrics", metadata={"labels": labels}, **where)
    spec = {
        "group": GROUP,
        "version": VERSION,
        "service": {"name": "metrics", "namespace": space.name, "port": 443},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    kind = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"}
    site.bed.api.apply_object({**kind, "metadata": {"name": f"{VERSION}.{GROUP}"}, "spec": spec})
