"""The reference says what the code does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from worker.measures import MEASURES
from worker.reference import pages
from worker.settings import load

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(pages()))
def test_reference_pages_are_up_to_date(name: str) -> None:
    assert (ROOT / "docs/reference" / name).read_text() == pages()[name], "run `python -m worker.reference`"


def test_every_metric_is_in_the_table_that_is_documented() -> None:
    named = {
        node.value
        for file in (ROOT / "worker").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("headgate_")
    }

    assert {name for name in named if name.replace("_", "").isalpha()} - {measure.name for measure in MEASURES} == {
        "headgate_build",
        "headgate_log_fields",
    }


def test_every_setting_has_a_meaning() -> None:
    rows = [line for line in pages()["settings.md"].splitlines() if line.startswith("| `")]

    assert rows
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_settings_of_the_how_to_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/run-a-worker.md").read_text()
    file = tmp_path / "headgate.yaml"
    file.write_text(text.split("```yaml\n")[1].split("```")[0])

    settings = load(file, {})

    assert settings.policy == tmp_path / "policy.yaml"
    assert settings.log.format == "json"
