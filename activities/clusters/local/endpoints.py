"""Ready instances as Envoy's endpoint discovery reads them: one file per slot, replaced as a whole.

The workload publishes them, as Kubernetes publishes EndpointSlices; a router only points to the files.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from typing import Any

from activities.clusters.files import replace_if_changed, to_json
from activities.clusters.local.state import Service, ServiceState
from workflows.model.target import SLOTS, Slot

_ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


def endpoint_set(service: Service, slot: Slot) -> str:
    """The name under which Envoy asks for a slot's endpoints."""
    return f"{service.namespace}/{service.name}/{slot}"


def publish(service: Service, state: ServiceState, host: str) -> None:
    """Writes both slots' files where they differ from the state; the caller holds the service's lock."""
    for slot in SLOTS:
        ports = sorted(i.port for i in state.of(slot) if i.is_published)
        replace_if_changed(service.endpoints(slot), _discovery(endpoint_set(service, slot), host, ports))


def prepare(service: Service) -> None:
    """Makes sure that both files exist, because Envoy refuses a path that does not; never replaces one."""
    for slot in SLOTS:
        path = service.endpoints(slot)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        draft.write_text(_discovery(endpoint_set(service, slot), "", []), encoding="utf-8")
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()


def _discovery(name: str, host: str, ports: list[int]) -> str:
    hosts = [{"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}} for port in ports]
    assignment: dict[str, Any] = {
        "@type": _ASSIGNMENT,
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": hosts}] if hosts else [],
    }
    version = hashlib.sha256(repr((host, ports)).encode()).hexdigest()[:12]
    return to_json({"version_info": version, "resources": [assignment]})
