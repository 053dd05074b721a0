"""One route: the wish and the fences in a state file, and the route configuration that follows from the wish.

::

    <directory>/routes/<route>/state.json  the object of the write set
                               state.lock  its lock
                               rds.json    derived, what Envoy reads

The state is written first, the configuration after it under the same lock. A crash between the two is healed by whoever
edits the route next, retries of the same write included.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from activities.clusters.envoy.settings import EnvoySettings, Route
from activities.clusters.fence import FencedState
from activities.clusters.files import StateFile, replace_if_changed, to_json
from workflows.errors import NotFound
from workflows.model.shapes import NAME_PATTERN
from workflows.model.target import Backend, Slot, TrafficState

TOTAL = 10_000
"""Envoy's weights are hundredths of a percent."""
_RDS = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


class RouteState(FencedState):
    """What one route shall do."""

    wish: TrafficState = TrafficState()
    writes: int = 0
    version: str = "0-0"
    """Epoch and number of the write; Envoy reports it back."""


class RouteFile:
    """Where one route keeps everything. Errors: NotFound when the settings do not know it."""

    def __init__(self, settings: EnvoySettings, name: str) -> None:
        if name not in settings.routes or not re.match(NAME_PATTERN, name):
            known = ", ".join(sorted(settings.routes)) or "none"
            raise NotFound(f"this worker's settings have no Envoy route {name!r}; they have {known}", provider="envoy")
        self.name = name
        self.route: Route = settings.routes[name]
        self.directory: Path = settings.directory / "routes" / name
        self.file = StateFile(self.directory / "state.json", RouteState)

    @property
    def label(self) -> str:
        return f"route {self.name}"

    @property
    def configuration(self) -> Path:
        """The file that Envoy reads."""
        return self.directory / "rds.json"

    def derive(self, state: RouteState) -> None:
        """Makes the configuration follow the state; the caller holds the route's lock."""
        resource = {"@type": _RDS, "name": self.name, "virtual_hosts": virtual_hosts(self.name, self.route, state.wish)}
        replace_if_changed(self.configuration, to_json({"version_info": state.version, "resources": [resource]}))


def cluster_name(route: str, slot: Slot) -> str:
    """The Envoy cluster of a slot, which is also its name in Envoy's statistics."""
    return f"{route}.{slot}"


def units(weights: dict[Backend, float]) -> dict[Backend, int]:
    """Weights in hundredths of a percent, rounded down; what is left over stays with stable, else with the largest."""
    rounded: dict[Backend, int] = {backend: int(weight * 100 + 1e-6) for backend, weight in weights.items()}
    if rest := (TOTAL - sum(rounded.values())) if rounded else 0:
        keeper: Backend = "stable" if rounded.get("stable") else max(rounded, key=lambda b: rounded[b])
        rounded[keeper] += rest
    return {backend: share for backend, share in rounded.items() if share > 0}


def virtual_hosts(name: str, route: Route, wish: TrafficState) -> list[dict[str, Any]]:
    """Envoy's virtual hosts for a wish: the preview host first, then header matches, then everybody by weight."""
    hosts = []
    default: list[dict[str, Any]] = []
    if wish.preview_to:
        preview = _to(route, cluster_name(name, wish.preview_to))
        if host := wish.raw.get("preview"):
            hosts.append(
                {"name": "preview", "domains": [host, f"{host}:*"], "routes": [{"match": {"prefix": "/"}, **preview}]}
            )
        default += [
            {"match": {"prefix": "/", "headers": [_header(match)]}, **preview} for match in wish.raw.get("match", [])
        ]
    hosts.append({"name": "users", "domains": ["*"], "routes": [*default, *_weighted(name, route, wish)]})
    return hosts


def _weighted(name: str, route: Route, wish: TrafficState) -> list[dict[str, Any]]:
    if not wish.weights:
        return [_answer(route, {"prefix": "/"}, kind="unrouted", text="Nothing has been released here yet.")]
    shares = units(wish.weights)
    closed = shares.pop("maintenance", 0)
    routes = []
    if closed:
        match: dict[str, Any] = {"prefix": "/"}
        if closed < TOTAL:
            match["runtime_fraction"] = {"default_value": {"numerator": closed, "denominator": "TEN_THOUSAND"}}
        routes.append(_answer(route, match, kind="maintenance", text="Down for maintenance; please try again soon."))
    if shares:
        clusters = [
            {"name": cluster_name(name, backend), "weight": share}
            for backend, share in sorted(shares.items())
            if backend != "maintenance"
        ]
        action = _action(route) | {"weighted_clusters": {"clusters": clusters}}
        routes.append({"match": {"prefix": "/"}, "route": action})
    return routes


def _to(route: Route, cluster: str) -> dict[str, Any]:
    return {"route": _action(route) | {"cluster": cluster}}


def _action(route: Route) -> dict[str, Any]:
    return {"timeout": f"{route.timeout:g}s"}


def _header(match: dict[str, str]) -> dict[str, Any]:
    return {"name": match["header"], "string_match": {"exact": match["exact"]}}


def _answer(route: Route, match: dict[str, Any], *, kind: str, text: str) -> dict[str, Any]:
    headers = {"x-headgate": kind, "retry-after": str(route.retry_after)}
    return {
        "match": match,
        "direct_response": {"status": 503, "body": {"inline_string": f"{text}\n"}},
        "response_headers_to_add": [{"header": {"key": key, "value": value}} for key, value in headers.items()],
    }
