"""`init`, `validate`, `explain`, `schema`: everything about documents, without any server."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Adds the commands."""
