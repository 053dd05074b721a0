"""The shape of everything that a worker's settings configure; each provider's settings are models of this kind."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class SettingsModel(BaseModel):
    """A part of the settings: frozen, camelCase in files, and every unknown key is an error.

    A relative path in any field of type `Path` is resolved against the settings file. What must not be shown is a
    `SecretStr`. The sentence under a field is its line in docs/reference/settings.md.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )
