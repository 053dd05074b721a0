"""Names of hosts that are Services; pure."""

from __future__ import annotations


def service_in(host: str, namespace: str) -> str:
    """The Service of a namespace that a host means, short or in full; empty for any other host."""
    name, _, place = host.partition(".")
    inside = place in ("", namespace, f"{namespace}.svc") or place.startswith(f"{namespace}.svc.")
    return name if inside else ""
