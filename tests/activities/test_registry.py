from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from activities import registry
from activities.registry import Registry
from workflows.errors import Unsupported


def theirs() -> str:
    return "theirs"


def test_a_member_is_made_once_at_its_first_use() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    family = Registry("family", {"one": make})
    assert made == []
    assert family.get("one") is family.get("one")
    assert len(made) == 1


def test_an_unknown_kind_is_refused_naming_the_known_ones() -> None:
    with pytest.raises(Unsupported, match="no family provider of kind 'x'; it has one, two"):
        Registry("family", {"two": object, "one": object}).get("x")


def test_third_parties_add_kinds_but_replace_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def entries(*, group: str) -> list[EntryPoint]:
        return [EntryPoint(kind, f"{__name__}:theirs", group) for kind in ("mine", "other")]

    monkeypatch.setattr(registry, "entry_points", entries)
    family = Registry("family", {"mine": lambda: "mine"})
    assert list(family) == ["mine", "theirs"]
    assert family.kinds == ("mine", "other")
