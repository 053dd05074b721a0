"""An Envoy that reads its routes from files: the embedded router.

The router owns its route files and nothing else. It writes; `admin.py` asks the Envoy itself whether it follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from activities.clusters import fence
from activities.clusters.caller import Caller, caller
from activities.clusters.envoy.admin import EnvoyAdmin
from activities.clusters.envoy.routes import RouteFile, RouteState, cluster_name, units, virtual_hosts
from activities.clusters.envoy.settings import EnvoySettings
from activities.clusters.fence import FencedFile, FencedObject
from activities.traffic.following import refuse_unbalanced, until_followed
from activities.traffic.protocol import Verified
from workflows.errors import Rejected, Unavailable
from workflows.model.target import SLOTS, Backend, Claim, Slot, Target, TrafficState

POLL = 0.03
"""Seconds between two questions to the admin endpoint."""


class EnvoyRouter:
    """Writes the routes of its settings."""

    def __init__(self, settings: EnvoySettings) -> None:
        self._settings = settings
        self._admin = EnvoyAdmin(settings.admin)

    def objects(self, target: Target) -> Sequence[FencedObject]:
        route = self._route(target)
        return (FencedFile(route.label, route.file, after=lambda edit: route.derive(edit.state)),)

    async def read(self, target: Target) -> TrafficState | None:
        return (await asyncio.to_thread(self._route(target).file.read)).wish

    def wanted(self, target: Target, weights: dict[Backend, float], preview_to: Slot | None) -> TrafficState:
        refuse_unbalanced(target, weights, provider="envoy")
        raw: dict[str, Any] = {}
        if match := target.traffic.get("match"):
            raw["match"] = [{"header": item["header"], "exact": item["exact"]} for item in match]
        if preview := target.traffic.get("preview"):
            raw["preview"] = preview["host"]
        expressed: dict[Backend, float] = {backend: share / 100 for backend, share in units(weights).items()}
        return TrafficState(weights=dict.fromkeys(weights, 0.0) | expressed, preview_to=preview_to, raw=raw)

    async def check(self, target: Target, claim: Claim) -> None:
        route = self._route(target)
        state = await asyncio.to_thread(route.file.read)
        fence.check(state.fences, target.key, claim=claim, caller=caller(), label=route.label)

    async def write(self, target: Target, claim: Claim, state: TrafficState) -> None:
        await asyncio.to_thread(_write, self._route(target), target.key, claim, caller(), state)

    async def verify(self, target: Target, weights: dict[Backend, float], *, patience: float = 0) -> Verified:
        look = partial(self._difference, self._route(target), weights)
        return await until_followed(look, patience=patience, pause=POLL)

    async def _difference(self, route: RouteFile, weights: dict[Backend, float]) -> str:
        """What still differs between the weights and the Envoy, or nothing."""
        state = await asyncio.to_thread(route.file.read)
        if units(state.wish.weights) != units(weights):
            return f"{route.label} asks for {_words(state.wish.weights)}, not for {_words(weights)}"
        try:
            active = await self._admin.route(route.name)
            if active is None or active.get("version_info") != state.version:
                seen = active.get("version_info") if active else "no configuration"
                return f"the Envoy uses {seen} of {route.label}, not yet {state.version}"
            if not _same_routes(active, virtual_hosts(route.name, route.route, state.wish)):
                return f"the Envoy's configuration of {route.label} is not the one that was written"
            for slot in SLOTS:
                if weights.get(slot) and not await self._admin.healthy(cluster_name(route.name, slot)):
                    return f"the Envoy finds no healthy endpoint of {slot} on {route.label}"
        except Unavailable as error:
            return str(error)
        return ""

    def _route(self, target: Target) -> RouteFile:
        route = RouteFile(self._settings, str(target.traffic.get("route", "")))
        serves = (route.route.cluster, route.route.namespace, route.route.service)
        if serves != (target.cluster, target.namespace, target.workload.get("service")):
            raise Rejected(f"{route.label} serves {'/'.join(serves)}, not {target.key}", provider="envoy")
        return route


def _write(route: RouteFile, key: str, claim: Claim, who: Caller, wish: TrafficState) -> None:
    with route.file.edit() as edit:
        state: RouteState = edit.state
        fence.check(state.fences, key, claim=claim, caller=who, label=route.label)
        if state.wish != wish:
            state.wish = wish
            state.writes += 1
            state.version = f"{claim.epoch}-{state.writes}"
            edit.save()
        route.derive(state)


def _same_routes(active: dict[str, Any], wanted: list[dict[str, Any]]) -> bool:
    """Whether users' weights are in use as written; Envoy's dump leaves defaults out and adds some of its own."""
    hosts = active.get("route_config", {}).get("virtual_hosts", [])
    return [_shares(host) for host in hosts] == [_shares(host) for host in wanted]


def _shares(host: dict[str, Any]) -> tuple[str, list[dict[str, int]]]:
    return host.get("name", ""), [
        {cluster["name"]: cluster.get("weight", 0) for cluster in _clusters(route)} for route in host.get("routes", [])
    ]


def _clusters(route: dict[str, Any]) -> list[dict[str, Any]]:
    action = route.get("route", {})
    if "cluster" in action:
        return [{"name": action["cluster"], "weight": 1}]
    return list(action.get("weighted_clusters", {}).get("clusters", []))


def _words(weights: dict[Backend, float]) -> str:
    return ", ".join(f"{backend} {weight:g}%" for backend, weight in sorted(weights.items())) or "nothing"
