"""A plan as a table that a person can judge before anything happens."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.preview import Preview, Row, observed, rows
from cli.render import forecast
from cli.render.styles import percent, plain_table, span, warnings
from workflows.model.plan import Approve, ComponentPlan, Gate, Observe, RolloutPlan
from workflows.planning.guarded import unguarded
from workflows.planning.sentences import instances


def render(preview: Preview) -> Group:
    """The whole plan."""
    return Group(*_parts(preview))


def _parts(preview: Preview) -> Iterator[RenderableType]:
    plan = preview.release
    yield Text.assemble(
        (plan.name, "bold"), " ", (plan.version, "bold"), f" → {plan.environment}", ("   plan only", "dim")
    )
    for note in preview.notes:
        yield Text(note, style="dim")
    for component, rollout in zip(plan.components, preview.rollouts, strict=True):
        yield Text()
        yield _title(component, rollout, waves=len({each.wave for each in plan.components}))
        if component.gate:
            yield Text.assemble(("gate ", "magenta"), "before users reach it: ", _gate(component.gate))
        yield _steps(rows(rollout))
        yield from _summary(rollout)
        if expected := preview.forecast(rollout):
            yield from forecast.render(expected)
    yield from warnings(plan.warnings)


def _title(component: ComponentPlan, rollout: RolloutPlan, *, waves: int) -> Text:
    wave = f", wave {component.wave + 1} of {waves}" if waves > 1 else ""
    return Text.assemble((component.name, "bold"), f"  {rollout.kind} on {component.target.key}{wave}")


def _gate(gate: Gate) -> str:
    people = f" of {', '.join(gate.groups)}" if gate.groups else ""
    return f"{gate.name}, {gate.count}{people}, expires after {span(gate.expires_seconds)}"


def _steps(steps: list[Row]) -> Table:
    table = plain_table()
    table.add_column("", justify="right", style="dim")
    table.add_column("step", overflow="fold", ratio=1)
    table.add_column("new", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("guarded by", overflow="fold")
    shown: float | None = -1.0
    for row in steps:
        share = "" if row.share == shown else percent(row.share or 0)
        shown = row.share
        table.add_row(str(row.number), _step(row), share, _time(row), _guard(row))
    return table


def _step(row: Row) -> Text:
    action = row.step.action
    if isinstance(action, Approve):
        return Text(row.step.summary, style="magenta")
    return Text(row.step.summary, style="cyan" if isinstance(action, Observe) else "")


def _time(row: Row) -> str:
    if row.observe:
        return span(row.observe)
    if isinstance(row.step.action, Approve):
        return f"≤ {span(row.step.action.gate.expires_seconds)}"
    return f"≤ {span(row.limit)}" if row.limit else ""


def _guard(row: Row) -> Text:
    if not row.step.new:
        return Text("–", style="dim")
    return Text(", ".join(row.guard)) if row.guard else Text("nothing", style="yellow")


def _summary(rollout: RolloutPlan) -> Iterator[RenderableType]:
    yield Text.assemble(("observation ", "dim"), f"at least {span(observed(rollout))}")
    yield Text.assemble(("at most ", "dim"), instances(rollout.peak_replicas) + " at one time")
    yield Text.assemble(("undo ", "dim"), rollout.undo)
    yield from warnings(rollout.warnings or tuple(f"nothing can decide in {gap}" for gap in unguarded(rollout)))
