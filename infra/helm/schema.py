"""The schema of the chart's values: the hand-written part, and what a worker and a policy take, out of their models.

So `helm install` refuses what a worker would refuse at its start. Where a value must not be given at all, its only
allowed value is the sentence that says where it belongs, because that is what Helm then prints.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from worker.settings import Settings
from workflows.model.policy import Policy

Schema = dict[str, Any]

FOLDER = Path(__file__).parent
FILE = FOLDER / "headgate" / "values.schema.json"

_SECRET = "left out here, because it is a secret: name its Secret under secretEnv"  # noqa: S105 - a sentence.
_DROPPED = ("title", "default", "examples", "format", "writeOnly")


def values_schema() -> str:
    """The file as it should be."""
    schema: Schema = yaml.safe_load((FOLDER / "values.schema.yaml").read_text())
    schema["properties"] |= {"settings": _settings(schema["$defs"]), "policy": _policy(schema["$defs"])}
    return json.dumps(schema, indent=2) + "\n"


def _settings(defs: Schema) -> Schema:
    settings = _adopted(Settings.model_json_schema(), "settings", defs)
    settings["properties"]["policy"] = {"const": "left out here; write the document under policy"}
    bind = defs["settings.HealthSettings"]["properties"]["bind"]
    bind |= {"type": "string", "pattern": "^.+:[1-9][0-9]{0,4}$"}  # Probes need a port that is known.
    cluster = defs["settings.KubernetesCluster"]["properties"]
    cluster["inCluster"] = {"const": "left out here; list namespaces under inCluster"}
    return settings


def _policy(defs: Schema) -> Schema:
    defs["policy"] = _adopted(Policy.model_json_schema(), "policy", defs)
    return {"type": "object", "if": {"minProperties": 1}, "then": {"$ref": "#/$defs/policy"}}


def _adopted(schema: Schema, name: str, defs: Schema) -> Schema:
    """A model's schema, whose definitions go to the others under names of their own."""
    text = json.dumps(schema).replace('"#/$defs/', f'"#/$defs/{name}.')
    adopted: Schema = _plain(json.loads(text))
    defs |= {f"{name}.{key}": found for key, found in adopted.pop("$defs").items()}
    return adopted


def _plain(found: Any) -> Any:
    """The same schema for people: one complaint for each mistake, and none that a secret is missing."""
    if isinstance(found, list):
        return [_plain(item) for item in found]
    if not isinstance(found, dict):
        return found
    if _is_secret(found):
        return {"const": _SECRET}
    if "discriminator" in found:
        return _by_kind(found["discriminator"])
    one = [item for item in found.get("anyOf", []) if item != {"type": "null"}]
    if len(one) == 1:  # Helm drops every null before anybody sees it.
        return _plain({**one[0], **{key: value for key, value in found.items() if key != "anyOf"}})
    kept = {key: _part(key, value) for key, value in found.items() if key not in _DROPPED or isinstance(value, dict)}
    if "patternProperties" in kept:
        kept.setdefault("additionalProperties", False)
    if "required" in kept:
        fields = found["properties"]
        kept["required"] = [name for name in kept["required"] if not _is_secret(fields[name])]
    return kept


def _part(key: str, value: Any) -> Any:
    """A keyword's value; the names under some keywords are fields and not keywords."""
    if key in ("properties", "patternProperties", "$defs"):
        return {name: _plain(found) for name, found in value.items()}
    return _plain(value)


def _by_kind(discriminator: Schema) -> Schema:
    """A union: which kinds there are, and what each takes."""
    kinds = discriminator["mapping"]
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(kinds)}},
        "allOf": [
            {"if": {"required": ["kind"], "properties": {"kind": {"const": kind}}}, "then": {"$ref": reference}}
            for kind, reference in kinds.items()
        ],
    }


def _is_secret(field: Any) -> bool:
    """Whether a field holds a secret, or a list or mapping of secrets."""
    if not isinstance(field, dict):
        return False
    inner = (*field.get("anyOf", []), field.get("items"), field.get("additionalProperties"))
    return bool(field.get("writeOnly")) or any(map(_is_secret, inner))
