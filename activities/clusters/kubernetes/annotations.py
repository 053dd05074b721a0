"""What we note on objects: messages as JSON in annotations; pure."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from activities.clusters.kubernetes.api import Object
from workflows.model.shapes import Message

M = TypeVar("M", bound=Message)


def noted(found: Object, name: str, message: type[M]) -> M | None:
    """What an annotation of an object holds; None where it is not there or cannot be read."""
    text = (found["metadata"].get("annotations") or {}).get(name)
    try:
        return message.model_validate_json(text) if text else None
    except ValidationError:
        return None
