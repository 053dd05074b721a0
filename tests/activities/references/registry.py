"""An image registry on loopback that answers as the OCI distribution specification says."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web


@dataclass
class LoopbackRegistry:
    """What it has, who may pull, and what it was asked."""

    images: dict[str, str] = field(default_factory=dict)
    """Digests by `repository:tag`."""
    sign_in: Literal["none", "basic", "token"] = "none"
    users: dict[str, str] = field(default_factory=dict)
    """Passwords by user; without one anybody gets a token that is good for nothing."""
    broken: int = 0
    """A status that it answers to everything."""
    address: str = ""
    asked: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)

    def push(self, name: str) -> str:
        """An image and its digest."""
        self.images[name] = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
        return self.images[name]

    def secret(self, user: str, password: str, place: str = "") -> dict[str, Any]:
        """A pull secret as kubectl makes one."""
        auth = base64.b64encode(f"{user}:{password}".encode()).decode()
        return pull_secret({place or self.address: {"auth": auth}})

    async def manifest(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        if self.broken:
            return web.Response(status=self.broken)
        if not self._is_allowed(request):
            return web.Response(status=401, headers={"WWW-Authenticate": self._challenge(request)})
        name, reference = request.match_info["name"], request.match_info["reference"]
        held = self.images.get(f"{name}:{reference}") or (reference if reference in self.images.values() else "")
        if not held:
            return web.Response(status=404)
        assert "application/vnd.oci.image.index.v1+json" in request.headers["Accept"]
        return web.Response(headers={"Docker-Content-Digest": held})

    async def token(self, request: web.Request) -> web.Response:
        """The token itself tells who asked for it."""
        if request.method == "POST":
            form = await request.post()
            self.refreshed.append(str(form["refresh_token"]))
            user = "by-refresh"
        else:
            user, password = decoded(request.headers.get("Authorization", "Basic bm9ib2R5Og=="))
            if user != "nobody" and self.users.get(user) != password:
                return web.Response(status=401)
        assert request.query.get("service", "shop") == "shop"
        return web.json_response({"access_token" if request.method == "POST" else "token": user})

    def _is_allowed(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        if self.sign_in == "basic" and given:
            user, password = decoded(given)
            return self.users.get(user) == password
        if self.sign_in == "token":
            return given.removeprefix("Bearer ") in (*self.users, "by-refresh")
        return self.sign_in == "none"

    def _challenge(self, request: web.Request) -> str:
        if self.sign_in == "basic":
            return 'Basic realm="shop"'
        scope = f"repository:{request.match_info['name']}:pull"
        return f'Bearer realm="http://{self.address}/token",service="shop",scope="{scope}"'


def decoded(header: str) -> tuple[str, str]:
    """User and password of a basic sign-in."""
    user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    return user, password


def pull_secret(auths: dict[str, Any]) -> dict[str, Any]:
    """A Secret of type dockerconfigjson."""
    content = base64.b64encode(json.dumps({"auths": auths}).encode()).decode()
    return {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": content}}


@asynccontextmanager
async def a_registry(**fields: Any) -> AsyncIterator[LoopbackRegistry]:
    registry, application = LoopbackRegistry(**fields), web.Application()
    application.router.add_route("*", "/v2/{name:.+}/manifests/{reference}", registry.manifest)
    application.router.add_route("*", "/token", registry.token)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    registry.address = f"{host}:{port}"
    try:
        yield registry
    finally:
        await runner.cleanup()
