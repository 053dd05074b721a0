"""The files an Envoy starts from: bootstrap, listeners and clusters, one of each per route of the settings.

A worker with an Envoy in its settings calls `write_bootstrap` when it starts; whoever runs the Envoy starts it with::

    envoy -c <directory>/bootstrap.json --concurrency 2 --disable-hot-restart --log-level warning
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from activities.clusters.envoy.routes import RouteFile, cluster_name
from activities.clusters.envoy.settings import EnvoySettings, Route
from activities.clusters.files import locked, replace_if_changed, to_json
from activities.clusters.local import endpoints
from activities.clusters.local.settings import LocalCluster
from activities.clusters.local.state import Service
from workflows.errors import NotFound
from workflows.model.target import SLOTS, Slot

_TYPES = "type.googleapis.com/envoy"


def write_bootstrap(settings: EnvoySettings, clusters: Mapping[str, LocalCluster]) -> Path:
    """Writes everything that Envoy needs to start and returns the file to start it with. Idempotent; blocks."""
    admin = urlsplit(settings.admin)
    path = settings.directory / "bootstrap.json"
    with locked(settings.directory / "bootstrap.lock"):
        _write_listeners(settings, clusters)
        replace_if_changed(
            path,
            to_json(
                {
                    "node": {"id": "headgate", "cluster": "headgate"},
                    "stats_flush_interval": "1s",  # Durations move only then, and rules on them want samples.
                    "admin": {"address": _address(admin.hostname or "127.0.0.1", admin.port or 9901)},
                    "dynamic_resources": {
                        "lds_config": _watched(settings.directory / "lds.json"),
                        "cds_config": _watched(settings.directory / "cds.json"),
                    },
                }
            ),
        )
    return path


def write_listeners(settings: EnvoySettings, clusters: Mapping[str, LocalCluster]) -> None:
    """Writes listeners and clusters for the routes of the settings, with every file they point to.

    Idempotent; blocks. Several workers may start at the same moment.
    """
    with locked(settings.directory / "bootstrap.lock"):
        _write_listeners(settings, clusters)


def _write_listeners(settings: EnvoySettings, clusters: Mapping[str, LocalCluster]) -> None:
    listeners = []
    upstreams = []
    for name, route in sorted(settings.routes.items()):
        file = RouteFile(settings, name)
        with file.file.edit() as edit:
            file.derive(edit.state)
        service = _service(name, route, clusters)
        endpoints.prepare(service)
        listeners.append(_listener(settings, name, file))
        upstreams += [_cluster(name, route, service, slot) for slot in SLOTS]
    # Clusters first: a listener whose routes name an unknown cluster is refused by Envoy.
    replace_if_changed(settings.directory / "cds.json", to_json({"resources": upstreams}))
    replace_if_changed(settings.directory / "lds.json", to_json({"resources": listeners}))


def _service(name: str, route: Route, clusters: Mapping[str, LocalCluster]) -> Service:
    if route.cluster not in clusters:
        raise NotFound(f"Envoy route {name} names the cluster {route.cluster!r}, which the settings do not have")
    return Service(clusters[route.cluster].root, route.namespace, route.service)


def _listener(settings: EnvoySettings, name: str, file: RouteFile) -> dict[str, Any]:
    manager = {
        "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "rds": {"route_config_name": name, "config_source": _watched(file.configuration)},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.extensions.filters.http.router.v3.Router"},
            }
        ],
        "common_http_protocol_options": {"idle_timeout": "60s"},
    }
    return {
        "@type": f"{_TYPES}.config.listener.v3.Listener",
        "name": name,
        "address": _address(settings.listen, file.route.port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _cluster(name: str, route: Route, service: Service, slot: Slot) -> dict[str, Any]:
    return {
        "@type": f"{_TYPES}.config.cluster.v3.Cluster",
        "name": cluster_name(name, slot),
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": endpoints.endpoint_set(service, slot),
            "eds_config": _watched(service.endpoints(slot)),
        },
        "connect_timeout": "1s",
        # An endpoint that is taken out of the file leaves at once, whatever its health says; open requests finish.
        "ignore_health_on_host_removal": True,
        "health_checks": [_health(route)],
        # Shorter than any server's keep-alive: the side that closes an idle connection must not be the other one.
        "typed_extension_protocol_options": {
            f"{_TYPES[20:]}.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": "10s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _health(route: Route) -> dict[str, Any]:
    return {
        "http_health_check": {"path": route.health},
        "timeout": "1s",
        "interval": "1s",
        "no_traffic_interval": "1s",
        "unhealthy_interval": "0.25s",
        "no_traffic_healthy_interval": "1s",
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
        "reuse_connection": False,
    }


def _watched(path: Path) -> dict[str, Any]:
    return {
        "resource_api_version": "V3",
        "path_config_source": {
            "path": str(path.resolve()),
            "watched_directory": {"path": str(path.resolve().parent)},
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
