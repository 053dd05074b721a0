"""What people see, at the widths that terminals have."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.names import Ref
from cli.render.follow import Changes
from cli.render.release import render
from cli.render.styles import bar, span
from cli.snapshot import Ending, Execution, Known, Snapshot
from tests.cli.stub import METRICS
from workflows.model.decision import EvidenceReport, ScoreReport
from workflows.model.status import (
    GateStatus,
    LateRequests,
    Refusal,
    ReleaseResult,
    ReleaseStatus,
    RolloutResult,
    RolloutStatus,
    Vote,
    Wait,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
REF = Ref("production", "trip-service")
ROOT = Path(__file__).parents[2]


def a_snapshot(**changes: Any) -> Snapshot:
    execution = Execution(REF.workflow_id, "run", "run", "Running", NOW - timedelta(minutes=12, seconds=4))
    component = RolloutStatus(
        component="trip-service",
        phase="Observing",
        step=4,
        steps=17,
        summary="Observe v1.2.0 at 25 % for 15m (stage 2)",
        asked={"stable": 75, "canary": 25},
        verified={"stable": 95, "canary": 5},
        stage=2,
        stages=(5, 25, 50, 100),
        observed_seconds=432,
        need_seconds=900,
        metrics=METRICS,
        undo="one write, about a second",
    )
    status = ReleaseStatus(version="v1.2.0", phase="Observing", components=(component,))
    return Snapshot(REF, execution, status=status.model_copy(update=changes))


def drawn(snapshot: Snapshot, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render(snapshot, width=width, now=NOW))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_cut(width: int) -> None:
    text = drawn(a_snapshot(), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_the_view_has_stages_weights_time_metrics_and_the_way_back(width: int) -> None:
    text = drawn(a_snapshot(), width)
    for words in (
        "trip-service v1.2.0 → production",
        "Observing · 12m 04s",
        "✓ 5 %   ▶ 25 %   ○ 50 %   ○ 100 %",
        "stable 75 %, canary 25 %",
        "stable 95 %, canary 5 %",
        "7m 12s of 15m 00s",
        "7m 48s of observation left",
        "0.04 %  0.05 %   0.1 %  ok",
        "612 ms  180 ms  500 ms  failed · 2 failed, 3 tolerated",
        "no data",
        "one write",
    ):
        assert words in text


def test_kayentas_score_shows_what_it_must_be_and_where_it_says_too_much() -> None:
    score = ScoreReport(score=80, classes={"errors": "High"}, groups={"errors": 0, "latency": 100}, warnings=("w",))
    snapshot = a_snapshot()
    assert snapshot.status
    (component,) = snapshot.status.components
    scored = component.model_copy(update={"evidence": EvidenceReport(score=score)})
    text = drawn(a_snapshot(components=(scored,)), 120)
    assert "80, must be above 75, at a stage's end 95" in text
    assert "errors 0, latency 100" in text
    assert "warning w" in text
    assert "log E" not in text


def test_an_open_gate_shows_who_is_missing_and_the_command() -> None:
    gate = GateStatus(
        name="production",
        instance="production/abc/web.5",
        count=2,
        groups=("tech-leads",),
        votes=(Vote(person="ann", decision="approve"),),
        expires_at=NOW + timedelta(hours=4),
    )
    text = drawn(a_snapshot(gates=(gate,), wait=Wait(reason="ApprovalWanted", message="m")))
    assert "production: 1 of 2 by tech-leads" in text
    assert "headgate approve production/trip-service --gate production   4h 00m left" in text


def test_gates_of_one_name_are_told_apart_by_instance() -> None:
    gates = tuple(GateStatus(name="production", instance=f"production/abc/{n}.5") for n in ("web", "api"))
    text = drawn(a_snapshot(gates=gates))
    assert "--gate production/abc/web.5" in text
    assert "--gate production/abc/api.5" in text


def test_a_pause_and_a_blocked_undo_name_the_way_on() -> None:
    assert "headgate resume production/trip-service" in drawn(a_snapshot(paused=True))
    blocked = a_snapshot(wait=Wait(reason="UndoBlocked", message="the router answers 503"))
    assert "UndoBlocked: the router answers 503" in drawn(blocked)
    assert "headgate resume" in drawn(blocked)


def test_refused_messages_show() -> None:
    refused = tuple(Refusal(message="pause", reason=f"stale {n}", by="ann", at=NOW) for n in range(5))
    text = drawn(a_snapshot(refused=refused))
    assert "refused pause by ann: stale 4" in text
    assert "stale 1" not in text


def test_a_megabyte_of_sentence_and_markup_do_no_harm() -> None:
    text = drawn(a_snapshot(wait=Wait(reason="Held", message="[bold]x[/nope] " + "y" * 5000)))
    assert "[bold]x[/nope]" in text


def test_an_end_shows_outcome_and_what_stayed() -> None:
    result = ReleaseResult(
        environment="production",
        name="trip-service",
        version="v1.2.0",
        outcome="Failed",
        components=(
            RolloutResult(
                component="trip-service",
                outcome="Failed",
                undone=False,
                message="Envoy is gone",
                late=LateRequests(count=0, message="no request came"),
            ),
        ),
    )
    snapshot = Snapshot(
        REF,
        Execution(REF.workflow_id, "r", "r", "Failed", NOW, NOW),
        ending=Ending("Failed", "UndoBlocked", "m", result),
    )
    text = drawn(snapshot)
    assert "Failed (UndoBlocked): m" in text
    assert "not fully undone, its mark stays" in text
    assert "after its users had been led away: no request came" in text


def test_without_a_worker_the_last_known_is_shown_with_a_note() -> None:
    execution = Execution(REF.workflow_id, "run", "run", "Running", NOW)
    snapshot = Snapshot(REF, execution, Known("v1.2.0", "Observing", 25.0), notes=("no worker answers",))
    text = drawn(snapshot)
    assert "Observing" in text
    assert "note no worker answers" in text


def test_changes_are_told_once() -> None:
    changes = Changes()
    first = changes.since_last(a_snapshot())
    assert any("latency p95 of 612 ms" in line for line in first)
    assert changes.since_last(a_snapshot()) == []
    assert [line[9:] for line in changes.since_last(a_snapshot(phase="Paused"))] == ["production/trip-service: Paused"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0s"), (0, "0s"), (59.4, "59s"), (59.6, "1m 00s"), (724, "12m 04s"), (7500, "2h 05m"), (273600, "3d 4h")],
)
def test_spans_have_two_units_at_most(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize("share", [-1, 0, 0.02, 0.5, 0.999, 1, 7])
def test_a_bar_always_has_its_width(share: float) -> None:
    assert len(bar(share, 30, "green")) == 30


def test_on_a_terminal_colours_and_without_one_none(tmp_path: Path) -> None:
    """The same command through a pseudo-terminal and through a pipe."""
    command = [sys.executable, "-m", "cli.app", "explain", "release.spec.holdFor"]
    environment = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "CI"}}
    piped = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment).stdout
    ours, theirs = pty.openpty()
    subprocess.run(command, stdout=theirs, check=True, cwd=ROOT, env={**environment, "TERM": "xterm-256color"})
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "\x1b[" in shown
    assert "\x1b[" not in piped
