"""A report as people get it: on a terminal, as JSON, and as a page that loads nothing."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from cli.errors import BadInput
from cli.facts import GUARANTEE, facts_of, times
from cli.names import Ref
from cli.render.page import page, write
from cli.render.report import render
from cli.render.sparks import spark
from cli.report import NOTHING_SEEN, Report, report_of
from cli.snapshot import Ending, Execution, Snapshot
from tests.workflows.analysis.builders import World, a_segment, an_analysis, gauge, ratio
from tests.workflows.analysis.test_evidence_of_a_session import BAD_VERSION, GOOD, OLD, a_rollout, errors, latency
from workflows.analysis.evidence.course import SKIPS
from workflows.analysis.session import Step, evidence, timeline_of
from workflows.model.decision import EvidenceReport, MetricReport, ScoreReport, Timeline
from workflows.model.status import ReleaseResult, ReleaseStatus, RolloutResult, RolloutStatus

VERDICTS = Path(__file__).parents[2] / "docs" / "concepts" / "verdicts.md"
REF = Ref("production", "trip-service")
BEGUN = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def seen(last: Step) -> dict[str, Any]:
    return {"metrics": last.reports, "evidence": last.evidence, "timeline": timeline_of(evidence(last.state))}


def a_bad_one() -> Step:
    """Seven healthy ticks, then one that fails at 6 %."""
    objective = {"max": "500ms", "quantile": "99%"}
    rollout = a_rollout(errors(), latency(compare={}, slo=objective), segment=a_segment(need=600))
    rollout.run(GOOD, OLD, times=7)
    return rollout.run(BAD_VERSION, OLD, times=60)


def a_snapshot(last: Step | None = None, *, message: str = "errors: too many", ended: bool = True) -> Snapshot:
    fields = seen(last or a_bad_one())
    execution = Execution(REF.workflow_id, "run", "run", "Failed", BEGUN, BEGUN + timedelta(minutes=3))
    if not ended:
        part = RolloutStatus(component="trip-service", **fields)
        status = ReleaseStatus(version="v2", phase="Observing", components=(part,), message=message)
        return Snapshot(REF, replace(execution, state="Running", closed_at=None), status=status)
    result = ReleaseResult(
        environment="production",
        name="trip-service",
        version="v2",
        outcome="RolledBack",
        components=(RolloutResult(component="trip-service", outcome="RolledBack", **fields),),
    )
    return Snapshot(REF, execution, ending=Ending("RolledBack", "EvidenceFound", message, result))


def drawn(report: Report, width: int = 120) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render(report))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_terminal_tells_everything_that_is_known_of_a_metric() -> None:
    text = drawn(report_of(a_snapshot()))
    for words in (
        "production/trip-service v2 RolledBack after 3m 00s",
        "a rollback needs 100",
        "errors  failed  requests that failed",
        "times as many of the new version's requests failed as of the old one's",
        "(99 %, if requests fail independently of each other)",
        "percentage points",
        "of healthy versions show as much at any time of a release",
        "latency  ok  requests that took longer than 250ms",
        "2 because edges of the histogram were not chosen yet",
        "a full bar is",
        "▁",
        "█",
    ):
        assert words in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, drawn(report_of(a_snapshot()), width).splitlines())) <= width


def test_running_release_is_reported_as_it_stands() -> None:
    report = report_of(a_snapshot(ended=False))
    assert (report.outcome, report.ended_at, len(report.chapters)) == ("Observing", None, 1)


def test_nothing_observed_is_said() -> None:
    report = replace(report_of(a_snapshot()), chapters=())
    assert NOTHING_SEEN in drawn(report)
    assert NOTHING_SEEN in page(report)


def test_json_has_the_counts_and_the_way_there() -> None:
    data = report_of(a_snapshot()).to_json()
    (part,) = data["components"]
    assert data["outcome"] == "RolledBack"
    assert part["metrics"][0]["evidence"]["bad"] == sum(part["timeline"]["lines"]["errors"]["bad"])
    assert "turns" not in part


class TestSparks:
    def test_bars_are_proportional_and_gaps_are_blank(self) -> None:
        assert spark([0, None, 50, 100]) == "▁ ▅█"
        assert spark([1, 1], high=2) == "▅▅"

    def test_nothing_and_too_much_do_no_harm(self) -> None:
        assert (spark([]), spark([0, 0]), spark([None]), spark([9], high=3)) == ("", "▁▁", " ", "█")


@pytest.mark.parametrize(
    ("log_e", "said"), [(-0.5, "0.61"), (0, "1"), (4.605170185988091, "100"), (700.0, "999,999,999,999,999")]
)
def test_evidence_is_written_as_a_number(log_e: float, said: str) -> None:
    assert times(log_e) == said


class Loaded(HTMLParser):
    """What a page would fetch, and the tags it is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [f"{name}={value}" for name, value in attrs if name in {"src", "href", "xlink:href", "data"}]


class TestPage:
    def test_it_loads_nothing_and_runs_nothing(self) -> None:
        text = page(report_of(a_snapshot()))
        loaded = Loaded()
        loaded.feed(text)
        assert loaded.fetched == []
        assert not {"script", "link", "iframe", "img", "object", "embed"} & set(loaded.tags)
        assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
        assert "@import" not in text
        assert "url(" not in text

    def test_each_metric_has_a_chart_and_the_whole_release_two(self) -> None:
        text = page(report_of(a_snapshot()))
        charts = [ET.fromstring(found) for found in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
        assert len(charts) == 4
        assert all(chart.get("aria-label") for chart in charts)
        assert text.count("<figcaption>") == 4

    def test_it_is_readable_by_day_and_by_night(self) -> None:
        text = page(report_of(a_snapshot()))
        assert "prefers-color-scheme: dark" in text
        assert set(re.findall(r"var\((--[a-z]+)\)", text)) <= set(re.findall(r"(--[a-z]+):", text))

    def test_what_others_wrote_is_no_markup(self) -> None:
        nasty = "<script>alert('x')</script>"
        snapshot = a_snapshot(message=nasty)
        assert snapshot.ending
        assert snapshot.ending.result
        part = snapshot.ending.result.components[0]
        metrics = tuple(metric.model_copy(update={"sentence": nasty}) for metric in part.metrics)
        result = snapshot.ending.result.model_copy(
            update={"components": (part.model_copy(update={"component": nasty, "metrics": metrics}),)}
        )
        text = page(report_of(replace(snapshot, ending=replace(snapshot.ending, result=result))))
        assert "<script" not in text
        assert "&lt;script&gt;" in text

    def test_rules_on_numbers_have_a_chart_too(self) -> None:
        world = World(an_analysis(gauge(interval="5s"), ratio()))
        for world.gauge in (3, 5, 800):
            world.look(requests=100, share=0.01)
        text = page(report_of(a_snapshot(world.last)))
        assert text.count("<svg") == 2
        assert "All metrics together" not in text

    def test_kayentas_score_is_told_where_it_judges(self) -> None:
        last = a_bad_one()
        score = ScoreReport(score=62, reason="critical metric errors failed", warnings=("group b has no data",))
        report = report_of(a_snapshot(last._replace(evidence=EvidenceReport(score=score))))
        for text in (page(report), drawn(report)):
            for words in ("score is 62; it must be above 75, and 95 at the end of a stage", score.reason, "no data"):
                assert words in text
            assert "a rollback needs" not in text

    def test_lonely_zeros_and_empty_timelines_are_drawn(self) -> None:
        for timeline in (None, Timeline(), Timeline(since=1, step=5, count=1)):
            snapshot = a_snapshot()
            assert snapshot.ending
            assert snapshot.ending.result
            part = snapshot.ending.result.components[0].model_copy(update={"timeline": timeline})
            result = snapshot.ending.result.model_copy(update={"components": (part,)})
            report = report_of(replace(snapshot, ending=replace(snapshot.ending, result=result)))
            assert page(report)
            assert drawn(report)
        assert page(report_of(a_snapshot(a_rollout().look((5, 0), (50, 0)))))

    def test_it_is_written_over_an_older_one_and_a_wrong_place_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "report.html"
        for _ in range(2):
            write(report_of(a_snapshot()), file)
        assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
        with pytest.raises(BadInput, match="cannot be written"):
            write(report_of(a_snapshot()), tmp_path / "no" / "report.html")


class TestDocumentation:
    def test_promise_is_word_for_word_that_of_the_documentation(self) -> None:
        text = " ".join(VERDICTS.read_text(encoding="utf-8").replace("\n> ", "\n").split())
        assert GUARANTEE in text

    def test_every_reason_to_skip_a_tick_is_documented(self) -> None:
        documented = re.findall(r"`(\w+)`", VERDICTS.read_text(encoding="utf-8").partition("Ticks are skipped")[2])
        assert set(SKIPS) <= set(documented)

    def test_every_number_of_a_metric_is_documented(self) -> None:
        report = a_bad_one().reports[0]
        assert report.evidence
        text = VERDICTS.read_text(encoding="utf-8")
        fields = report.evidence.model_dump(mode="json")
        assert [name for name in fields if f"`{name}`" not in text] == []


def test_rule_is_told_by_its_samples() -> None:
    report = MetricReport(name="p95", value=0.612, baseline=0.18, unit="s", limit=0.5, failures=2, failure_limit=3)
    assert dict(facts_of(report, None)) == {
        "new version": "612ms",
        "old version": "180ms",
        "limit": "500ms",
        "rule": "2 failed samples, 3 tolerated",
    }
