"""What a plan can find, stage by stage, at some traffic."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.forecast import Forecast, StageForecast
from cli.render.styles import percent, plain_table, span, warnings
from workflows.analysis.evidence.forecast import RATIOS, Cost


def render(expected: Forecast) -> Iterator[RenderableType]:
    """What a fault costs in all, what is found at which stage, and what this traffic is not enough for."""
    for share, cost in expected.costs:
        what = Text.assemble(("a fault ", "dim"), f"of {percent(share * 100)} ")
        if cost is None:
            yield what.append("is not found before all users have it")
        else:
            yield what.append(f"costs about {cost.failed:,.0f} failed requests in {span(cost.seconds)}")
    yield _stages(expected)
    assumed = expected.assumed
    users = f"at {assumed.rps:.3g} requests/s ({assumed.origin})"
    if expected.has_finds:
        meaning = "when such a fault is found that begins with the stage, and the requests that fail by then"
        users += f", {percent(assumed.failing * 100)} of them failing today: {meaning}"
    yield Text(f"{users}; yellow is not reached within the stage", style="dim")
    yield from warnings(expected.hopeless)


def _stages(expected: Forecast) -> Table:
    """For each stage its requests, the traffic that it needs, and when a fault that begins with it is found."""
    table = plain_table()
    table.add_column("stage")
    for name in ("requests", "needs"):
        table.add_column(name, justify="right")
    for ratio in RATIOS if expected.has_finds else ():
        table.add_column(f"{ratio:g} x failures")
    for stage in expected.stages:
        name = f"{percent(stage.stretch.weight * 100)} for {span(stage.stretch.seconds)}"
        needs = f"{stage.needed_rps:.2g}/s" if stage.needed_rps else "–"
        table.add_row(name, _requests(expected, stage), needs, *(_found(stage, cost) for _, cost in stage.finds))
    return table


def _requests(expected: Forecast, stage: StageForecast) -> Text:
    if stage.is_entry or stage.requests >= expected.needed:
        return Text(f"{stage.requests:,.0f}")
    return Text(f"{stage.requests:,.0f} of {expected.needed:,}", style="yellow")


def _found(stage: StageForecast, cost: Cost | None) -> Text:
    if cost is None:
        return Text("never", style="yellow")
    style = "" if stage.is_in_time(cost) else "yellow"
    return Text(f"{span(cost.seconds)}, {cost.failed:,.0f} failed", style=style)
