"""What the Envoy itself says: the route configuration it uses, and the endpoints it takes for healthy."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from workflows.errors import Unavailable

TIMEOUT = aiohttp.ClientTimeout(total=2)


class EnvoyAdmin:
    """Reads an Envoy's admin endpoint; a session per question, because questions are rare and workers many."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def route(self, name: str) -> dict[str, Any] | None:
        """The active dynamic configuration of a route with its `version_info`, or None. Errors: Unavailable."""
        answer = await self._get(f"/config_dump?resource=dynamic_route_configs&name_regex=^{name}$")
        for found in answer.get("configs", []):
            if found.get("route_config", {}).get("name") == name:
                return dict(found)
        return None

    async def healthy(self, cluster: str) -> int:
        """Endpoints of a cluster that Envoy sends requests to. Errors: Unavailable."""
        answer = await self._get(f"/clusters?format=json&filter=^{cluster}$")
        hosts = [
            host
            for status in answer.get("cluster_statuses", [])
            if status.get("name") == cluster
            for host in status.get("host_statuses", [])
        ]
        return sum(_is_healthy(host.get("health_status", {})) for host in hosts)

    async def _get(self, path: str) -> dict[str, Any]:
        try:
            async with aiohttp.ClientSession(timeout=TIMEOUT) as session, session.get(self._url + path) as answer:
                if answer.status == 404:
                    return {}
                answer.raise_for_status()
                return dict(json.loads(await answer.text()))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(
                f"Envoy's admin endpoint {self._url} does not answer ({type(error).__name__}); is the Envoy running?",
                provider="envoy",
                operation="verify",
            ) from error


def _is_healthy(status: dict[str, Any]) -> bool:
    failed = any(value is True for name, value in status.items() if name.startswith(("failed", "pending")))
    return not failed and status.get("eds_health_status", "HEALTHY") in {"HEALTHY", "UNKNOWN"}
