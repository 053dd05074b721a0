"""The reference says what the commands do."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.manual import pages

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["cli.md", "exit-codes.md"])
def test_reference_pages_are_up_to_date(name: str) -> None:
    assert (ROOT / "docs/reference" / name).read_text(encoding="utf-8") == pages()[name], "run `python -m cli.manual`"
