"""The reference canary R0.3 on the traffic of a small service: it passes as written, in the time that is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflows.analysis.builders import World, a_segment
from workflows.model.analysis import Analysis
from workflows.model.documents import parse_release
from workflows.model.release import Canary, Component

R03 = Path(__file__).parents[3] / "examples" / "r0.3" / "release.yaml"
RATE = 20
"""Requests a second."""


def reference() -> Component:
    (component,) = parse_release(yaml.safe_load(R03.read_text(encoding="utf-8"))).spec.components
    return component


def stages() -> tuple[Any, ...]:
    strategy = reference().strategy
    assert isinstance(strategy, Canary)
    return strategy.stages


def written() -> Analysis:
    analysis = reference().analysis
    assert analysis
    return analysis


def evidence() -> Analysis:
    return Analysis.model_validate(
        {"metrics": [{"name": "errors", "kind": "ratio", "source": "app", "compare": {}, "slo": {"max": "1%"}}]}
    )


@pytest.mark.parametrize("analysis", [written(), evidence()], ids=["as written", "by evidence"])
def test_every_stage_passes_in_its_time(analysis: Analysis) -> None:
    world = World(analysis)
    for number, stage in enumerate(stages(), start=2):
        need = stage.observe.total_seconds()
        old = ("stable",) if stage.weight < 100 else ()
        world.enter(a_segment(number, need=need, stage=f"{stage.weight} %", old=old)).look(seconds=0)
        began = world.at
        world.run(2 * need, rate=RATE * float(stage.weight) / 100)
        assert (world.verdict, world.at - began) == ("pass", need), (stage.weight, world.last.decision)
