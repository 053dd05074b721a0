"""Image references and pull secrets, as Kubernetes understands them; pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from activities.clusters.kubernetes.api import Object

_HUB = "docker.io"
_FIELDS = {".dockerconfigjson": "auths", ".dockercfg": None}


class Image(NamedTuple):
    """A reference in its parts."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def reference(self) -> str:
        """What a registry is asked for; the digest wins, as it does on a node."""
        return self.digest or self.tag


class Credential(NamedTuple):
    """How somebody signs in to a registry."""

    place: str
    """Host, port and path, as the pull secret has it."""
    user: str = ""
    password: str = ""
    identity: str = ""
    """A refresh token in place of a password."""


def parsed(image: str) -> Image:
    """The parts of a reference; what it leaves out is Docker's hub and the tag `latest`."""
    name, _, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and (first == "localhost" or "." in first or ":" in first)
    registry, path = (first, rest) if is_host else (_HUB, name)
    repository, _, tag = path.partition(":")
    if registry in (_HUB, f"index.{_HUB}"):
        registry, repository = _HUB, repository if "/" in repository else f"library/{repository}"
    return Image(registry, repository, tag or ("" if digest else "latest"), digest)


def pinned(image: str, digest: str) -> str:
    """The reference with a digest; its tag stays for people to read."""
    return image if "@" in image else f"{image}@{digest}"


def credentials(secrets: Iterable[Object]) -> list[Credential]:
    """What pull secrets hold; a secret that cannot be read holds nothing, as for a node."""
    return [credential for secret in secrets for credential in _held(secret)]


def matching(held: Iterable[Credential], image: Image) -> list[Credential]:
    """Those for an image, the most exact first."""
    wanted = f"{image.registry}/{image.repository}"
    found = [credential for credential in held if _covers(credential.place, wanted)]
    return sorted(found, key=lambda credential: len(_place(credential.place)), reverse=True)


def _held(secret: Object) -> Iterator[Credential]:
    for field, inner in _FIELDS.items():
        try:
            content = json.loads(base64.b64decode((secret.get("data") or {}).get(field, "")))
            entries = content.get(inner) or {} if inner else content
            yield from (_credential(place, entry) for place, entry in entries.items())
        except (ValueError, AttributeError):
            continue


def _credential(place: str, entry: dict[str, Any]) -> Credential:
    user, _, password = base64.b64decode(entry.get("auth") or "").decode().partition(":")
    return Credential(
        place, entry.get("username") or user, entry.get("password") or password, entry.get("identitytoken") or ""
    )


def _covers(place: str, wanted: str) -> bool:
    """Hosts part by part, so that `*` stands for one part; the path is a prefix."""
    host, _, path = _place(place).partition("/")
    other, _, rest = wanted.partition("/")
    parts, others = host.split("."), other.split(".")
    is_host = len(parts) == len(others) and all(map(fnmatchcase, others, parts))
    return is_host and (not path or f"{rest}/".startswith(f"{path}/"))


def _place(text: str) -> str:
    """As the hub's own address `https://index.docker.io/v1/` shows, there may be a scheme and a version around it."""
    host, _, path = text.partition("://")[2].partition("/") if "://" in text else text.partition("/")
    path = path.strip("/")
    host = _HUB if host in (f"index.{_HUB}", f"registry-1.{_HUB}") else host
    return host if path in ("", "v1", "v2") else f"{host}/{path}"
