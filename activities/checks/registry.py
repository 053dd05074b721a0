"""The kinds of checks that come with Headgate."""

from __future__ import annotations

from activities.checks.http import HttpChecks
from activities.checks.null import NullChecks
from activities.checks.protocol import CheckProvider
from activities.registry import Registry


def check_providers() -> Registry[CheckProvider]:
    """Every kind of check, third parties' included."""
    return Registry("checks", {"http": HttpChecks, "null": NullChecks})
