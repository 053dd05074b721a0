"""One document for several environments."""

from __future__ import annotations

from typing import Any

from tests.builders import a_release
from workflows.model.documents import parse_release
from workflows.model.release import Release
from workflows.model.shapes import format_duration


def read(overrides: dict[str, Any], *, environment: str | None = None, version: str | None = None) -> Release:
    written = a_release().canary(5, 50).spec(overrides=overrides).document()
    return parse_release(written, environment=environment, version=version)


def test_components_are_merged_by_name_and_deeply() -> None:
    change = {"components": [{"name": "trip", "strategy": {"watch": "1h"}, "drain": "5s"}], "onFailure": "hold"}
    release = read({"production": change})
    component = release.spec.components[0]
    assert format_duration(component.strategy.watch) == "1h"
    assert [stage.weight for stage in component.strategy.stages] == [5, 50]  # type: ignore[union-attr]
    assert format_duration(component.drain) == "5s"
    assert release.spec.on_failure == "hold"


def test_lists_are_replaced() -> None:
    release = read({"production": {"components": [{"name": "trip", "strategy": {"stages": [{"weight": 20}]}}]}})
    assert [stage.weight for stage in release.spec.components[0].strategy.stages] == [20]  # type: ignore[union-attr]


def test_another_kind_replaces_the_whole() -> None:
    release = read({"production": {"components": [{"name": "trip", "strategy": {"kind": "rolling"}}]}})
    assert release.spec.components[0].strategy.kind == "rolling"


def test_only_the_environments_own_overrides_count() -> None:
    overrides = {"staging": {"components": [{"name": "trip", "strategy": {"kind": "rolling"}}]}}
    assert read(overrides).spec.components[0].strategy.kind == "canary"
    staging = read(overrides, environment="staging")
    assert staging.spec.environment == "staging"
    assert staging.spec.components[0].strategy.kind == "rolling"


def test_what_was_read_has_no_overrides_left() -> None:
    assert read({"staging": {"onFailure": "hold"}}).spec.overrides == {}


def test_a_version_from_outside_wins_over_document_and_override() -> None:
    assert read({"production": {"version": "v8"}}).spec.version == "v8"
    assert read({"production": {"version": "v8"}}, version="v9").spec.version == "v9"


def test_environment_and_version_may_come_from_outside_alone() -> None:
    written = a_release().document()
    del written["spec"]["environment"], written["spec"]["version"]
    release = parse_release(written, environment="production", version="v9")
    assert (release.spec.environment, release.spec.version) == ("production", "v9")
