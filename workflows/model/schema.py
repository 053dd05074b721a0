"""JSON Schema of the documents, for editors: generated from the models, which stay the only truth.

The committed files lie in docs/reference/schema; a test says when they are stale.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from workflows.model.documents import KINDS
from workflows.model.shapes import Share, dump, format_duration, format_percent

_SHARE_PATTERN = TypeAdapter(Share).json_schema()["pattern"]


class _AsWritten(GenerateJsonSchema):
    """Shows defaults the way a person would write them."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, BaseModel):
            return dump(dft)
        if isinstance(dft, tuple | list):
            return [self.encode_default(each) for each in dft]
        return super().encode_default(dft)


def json_schema(kind: str) -> dict[str, Any]:
    """The schema of a kind of document, `Release` or `Policy`. Errors: KeyError for others."""
    made = KINDS[kind].model_json_schema(by_alias=True, schema_generator=_AsWritten)
    if spec := made["$defs"].get("ReleaseSpec"):
        # Whoever starts a release may give these instead of the file; an editor must not ask for them.
        spec["required"] = [name for name in spec["required"] if name not in ("environment", "version")]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://headgate.dev/schema/v1/{kind.lower()}.schema.json",
        **_tidied(made),
        "title": f"Headgate {kind}",
    }


def _tidied(node: Any) -> Any:
    """Without generated titles, which only repeat the field's name; shares with their percent sign."""
    if isinstance(node, list):
        return [_tidied(each) for each in node]
    if not isinstance(node, dict):
        return node
    tidy = {
        name: {field: _tidied(schema) for field, schema in value.items()}
        if name in ("properties", "$defs")
        else _tidied(value)
        for name, value in node.items()
        if name != "title"
    }
    default: Any = tidy.get("default")
    if tidy.get("pattern") == _SHARE_PATTERN and isinstance(default, float):
        tidy["default"] = format_percent(default * 100)
    return tidy
