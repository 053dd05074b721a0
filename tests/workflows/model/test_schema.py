import json
from pathlib import Path

import pytest

from workflows.model.documents import KINDS
from workflows.model.locations import field_names
from workflows.model.release import ReleaseSpec
from workflows.model.schema import json_schema

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "schema"


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_schema_is_what_the_models_say(kind: str) -> None:
    path = COMMITTED / f"{kind.lower()}.schema.json"
    assert json.loads(path.read_text("utf-8")) == json_schema(kind), f"headgate schema {kind.lower()} > {path}"


def test_every_field_of_a_document_explains_itself() -> None:
    silent = [
        f"{name}.{field}"
        for kind in KINDS
        for name, model in json_schema(kind)["$defs"].items()
        for field, schema in model.get("properties", {}).items()
        if "description" not in schema and "$ref" not in schema and field not in UNDERSTOOD
    ]
    assert silent == []


UNDERSTOOD = {"kind", "apiVersion", "name"}
"""Fields that need no sentence of their own."""


def test_defaults_are_shown_as_a_person_writes_them() -> None:
    schema = json_schema("Release")["$defs"]
    assert schema["Canary"]["properties"]["watch"]["default"] == "30m"
    assert schema["HistogramMetric"]["properties"]["quantile"]["default"] == "95%"


def test_an_editor_does_not_ask_for_what_the_command_line_can_give() -> None:
    spec = json_schema("Release")["$defs"]["ReleaseSpec"]
    assert spec["required"] == ["components"]
    assert set(spec["properties"]) == set(field_names(ReleaseSpec))
