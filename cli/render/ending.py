"""How a release ended, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from cli.diagnosis import diagnose
from cli.render.styles import OUTCOME_STYLE, span

if TYPE_CHECKING:
    from cli.names import Ref
    from cli.snapshot import Ending
    from workflows.model.status import RolloutResult


def ending_json(ref: Ref, ending: Ending) -> dict[str, Any]:
    """The stable shape of `wait` and of `start --wait`."""
    return {
        "release": str(ref),
        "outcome": ending.outcome,
        "exitCode": ending.exit_code,
        "reason": ending.reason,
        "message": ending.message,
        "problems": [{"path": problem.path, "message": problem.message} for problem in ending.problems],
        "result": ending.result.model_dump(mode="json") if ending.result else None,
    }


def ending_text(ref: Ref, ending: Ending) -> Text:
    """One line for the release and one for each component or problem."""
    result = ending.result
    text = Text(f"{ref} ")
    if result:
        text.append(f"{result.version} ")
    text.append(ending.outcome, style=OUTCOME_STYLE.get(ending.outcome, "bold"))
    if result and result.started_at and result.ended_at:
        text.append(f" after {span((result.ended_at - result.started_at).total_seconds())}")
    if ending.reason and ending.reason != ending.outcome:
        text.append(f" ({ending.reason})")
    if ending.message:
        text.append(f": {ending.message}")
    for component in result.components if result else ():
        text.append(_component(ref, component, ending.message))
    for problem in ending.problems:
        text.append(f"\n  {problem}")
    return text.append(_diagnosis(ending))


def _component(ref: Ref, component: RolloutResult, said: str) -> Text:
    text = Text(f"\n  {component.component}: {component.outcome}")
    if component.message and component.message not in said:
        text.append(f", {component.message}")
    if not component.undone and component.outcome != "Succeeded":
        text.append("; not fully undone, its mark stays", style="bold red")
    if component.late:
        text.append(f"\n    after its users had been led away: {component.late.message}", style="dim")
    if component.failure_log:
        text.append(f"\n    pods, events and logs were kept: headgate logs {ref}", style="cyan")
    return text


def _diagnosis(ending: Ending) -> Text:
    """What usually is behind such an end."""
    text = Text(style="dim")
    if ending.outcome != "Succeeded" and (found := diagnose(ending.reason, ending.message)):
        text.append(f"\n  likely cause: {found.cause}\n  remedy: {found.remedy}\n  prevention: {found.prevention}")
    return text
