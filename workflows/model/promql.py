"""A person's own queries in PromQL: their variables, and what would make counters of them that are none. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from workflows.model.complaints import did_you_mean

VARIABLES: Final[dict[str, str]] = {
    "selector": "conditions on the pods of the version that is asked about, without braces",
    "pods": "a pattern of the names of its pods",
    "workload": "the name of its workload: the canary's ends with -canary",
    "slot": "stable or canary",
    "stable": "what selector is for the old version, whichever is asked about",
    "canary": "the same for the new version",
    "namespace": "the namespace of both",
    "version": "the version that is released",
    "window": "a time for rate() in gauges: the rule's interval, and four scrapes at least",
}
"""What `{{name}}` stands for."""

OF_A_VERSION: Final = ("selector", "pods", "workload", "slot")
"""Those that differ between the versions: with one of them a query is asked once for each."""

_VARIABLE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_RATE = re.compile(r"\b(i?rate|increase|i?delta|deriv)\s*\(")


def variables(query: str) -> list[str]:
    """The names in double braces, each once."""
    return list(dict.fromkeys(_VARIABLE.findall(query)))


def filled(query: str, values: Mapping[str, str]) -> str:
    """The query with its variables' values; those that it has must be given."""
    return _VARIABLE.sub(lambda match: values[match[1]], query)


def is_of_a_version(query: str) -> bool:
    """Whether it is another query for each version."""
    return any(name in OF_A_VERSION for name in variables(query))


def _known(query: str) -> str:
    for name in variables(query):
        if name not in VARIABLES:
            known = ", ".join(VARIABLES)
            raise ValueError(f"there is no variable {{{{{name}}}}}{did_you_mean(name, list(VARIABLES))} ({known})")
    return query


def _counting(query: str) -> str:
    _known(query)
    if found := _RATE.search(query):
        raise ValueError(f"counters are compared as they are, series by series; leave {found[1]}() out")
    if not is_of_a_version(query):
        named = ", ".join(f"{{{{{name}}}}}" for name in OF_A_VERSION)
        raise ValueError(f"the query is the same for both versions; use one of {named} in it")
    return query


_TEXT = Field(min_length=1, max_length=5000)

Query = Annotated[str, _TEXT, AfterValidator(_known)]
"""PromQL with variables."""

CounterQuery = Annotated[str, _TEXT, AfterValidator(_counting)]
"""PromQL whose series are counters of one version."""
