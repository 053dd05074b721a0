"""Reasons are an interface: each has a sentence, and the reference repeats it."""

from __future__ import annotations

from pathlib import Path

from workflows.analysis import reasons

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "reasons.md"


def constants() -> set[str]:
    return {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}


def test_every_reason_has_a_sentence() -> None:
    assert constants() == set(reasons.SENTENCES)


def test_reference_documents_every_reason_of_an_observation() -> None:
    text = PAGE.read_text(encoding="utf-8")
    missing = [
        f"| `{name}` | {said} |" for name, said in reasons.SENTENCES.items() if f"| `{name}` | {said} |" not in text
    ]
    assert not missing, "add to docs/reference/reasons.md:\n" + "\n".join(missing)
