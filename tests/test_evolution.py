"""Workers of two versions share histories, heartbeats and marks: neither may stumble over what the other wrote.

What fails here fails a release in the middle, because decoding comes before any of our code.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter

from tests.builders import a_release
from tests.evolution import activities, grown, messages, promised, samples, survey
from workflows.model.documents import parse_release
from workflows.model.release import Component
from workflows.model.shapes import Message, carried, dump

CONVERTER = pydantic_data_converter.payload_converter
PROMISED, NOW = promised(), survey()
REMEDY = "if it is new, run `python -m tests.evolution`; else bring back what was there, or add a field beside it"


def decoded(annotation: Any, data: Any) -> Any:
    """The data as it arrives in a worker."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(data).encode())
    return CONVERTER.from_payloads([payload], [annotation])[0]


def encoded(value: Any) -> Any:
    """What leaves a worker."""
    return json.loads(CONVERTER.to_payloads([value])[0].data)


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.__name__)
def test_a_newer_field_at_any_depth_is_ignored(message: type[Message]) -> None:
    for value in samples(message):
        written = encoded(value)
        newer = grown(message, written)
        assert newer != written
        assert decoded(message, newer) == value


@pytest.mark.parametrize("name", activities())
def test_what_an_activity_takes_and_answers_may_grow(name: str) -> None:
    taken, answer = activities()[name]
    for annotation in [*taken, *([answer] if answer is not type(None) else [])]:
        for value in samples(annotation):
            assert decoded(annotation, grown(annotation, encoded(value))) == value


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.__name__)
def test_the_samples_leave_no_field_empty(message: type[Message]) -> None:
    """Else the test above would say little."""
    for name in message.model_fields:
        assert any(getattr(value, name) not in (None, (), {}, "") for value in samples(message)), name


def test_documents_inside_messages_may_grow_too() -> None:
    """What a person wrote travels in plans, whose readers may be older than its fields."""
    document = a_release().canary(5, 25).previewed().matched().checked().document()
    (component,) = parse_release(document).spec.components
    newer = grown(Component, dump(component))
    assert newer["strategy"]["stages"][0]["fieldOfTomorrow"]
    assert carried(Component, newer) == component


@pytest.mark.parametrize("part", ["activities", "messages"])
def test_everything_is_on_record(part: str) -> None:
    assert NOW[part].keys() - PROMISED[part].keys() == set(), REMEDY
    for name, fields in PROMISED["messages"].items():
        assert NOW["messages"].get(name, {}).keys() - fields.keys() == set(), f"{name}: {REMEDY}"


@pytest.mark.parametrize("name", PROMISED["activities"])
def test_no_activity_is_renamed_or_asked_for_something_else(name: str) -> None:
    assert NOW["activities"].get(name) == PROMISED["activities"][name], REMEDY


@pytest.mark.parametrize("name", PROMISED["messages"])
def test_no_field_is_taken_away_or_retyped(name: str) -> None:
    now = NOW["messages"].get(name, {})
    assert {field: now.get(field) for field in PROMISED["messages"][name]} == PROMISED["messages"][name], REMEDY


@pytest.mark.parametrize("name", NOW["messages"])
def test_a_new_field_has_a_default(name: str) -> None:
    before = PROMISED["messages"].get(name)
    if before is not None:
        needed = {field for field, kind in NOW["messages"][name].items() if kind.endswith("!")}
        assert needed <= before.keys(), "an older worker's message has no such field: give it a default"
