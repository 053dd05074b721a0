"""Whether two Release documents ask for the same: what makes a second start join the first."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from workflows.errors import HeadgateError


def digest(document: Any) -> str:
    """A hash of what the document means; who asks for it does not count, nor how a duration is written.

    A document that cannot be read, as a newer version may have started it, counts as it is written.
    """
    try:
        meaning = _normal(document)
    except (HeadgateError, ValueError, TypeError):
        meaning = document
    if isinstance(meaning, dict) and isinstance(meaning.get("metadata"), dict):
        metadata = {key: value for key, value in meaning["metadata"].items() if key != "requestedBy"}
        meaning = {**meaning, "metadata": metadata}
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def _normal(document: Any) -> Any:
    from workflows.model.documents import parse_release
    from workflows.model.shapes import dump

    return dump(parse_release(document))
