"""`analyze`: recordings are read strictly, and judged as a release would have been."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from cli.recording import recorded
from tests.cli.conftest import Headgated
from tests.workflows.analysis.builders import an_analysis, gauge
from tests.workflows.analysis.test_evidence_of_a_session import errors, latency
from workflows.analysis.playback import play
from workflows.errors import SpecError

EXAMPLES = Path(__file__).parents[2] / "examples" / "analyze"
HOW_TO = EXAMPLES.parents[1] / "docs" / "how-to" / "analyze.md"
ANALYSIS = an_analysis(errors(), latency(), gauge())
HEADER = "time,version,metric,total,bad,value,le_0.1,le_0.25\n"


def analyze(*arguments: str, csv: Path = EXAMPLES / "bad.csv", spec: Path = EXAMPLES / "release.yaml") -> Result:
    return CliRunner().invoke(app, ["analyze", str(spec), "--csv", str(csv), *arguments], env={"COLUMNS": "120"})


def answer(*arguments: str, **files: Path) -> Any:
    result = analyze(*arguments, "-o", "json", **files)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(text: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        recorded(text, ANALYSIS)
    return [f"{problem.line} {problem.path}: {problem.message}" for problem in error.value.problems]


class TestExamples:
    def test_bad_version_is_rolled_back_after_its_fault_began(self) -> None:
        found = answer()
        (part,) = found["components"]
        assert [turn["decision"]["verdict"] for turn in part["turns"]] == ["continue", "pass", "continue", "rollback"]
        assert 660 < part["turns"][-1]["seconds"] <= 840
        assert found["verdicts"] == {"rollback": 1}
        assert "falseAlarms" not in found

    def test_same_version_on_both_sides_raises_no_false_alarm_and_its_incident_asks_people(self) -> None:
        found = answer("--same", "--window", "30m", csv=EXAMPLES / "same.csv")
        decisions = [window["decision"] for window in found["windows"]]
        assert (found["falseAlarms"], found["verdicts"]) == (0, {"pass": 11, "hold": 1})
        assert [held["reason"] for held in decisions if held["verdict"] == "hold"] == ["Incident"]

    def test_a_careless_rule_raises_false_alarms_that_are_counted(self) -> None:
        rule = "{name: errors, kind: ratio, source: envoy, rule: {rollback: 1%}}"
        setting = f"spec.components.trip-service.analysis.metrics.errors={rule}"
        found = answer("--same", "--window", "30m", "--set", setting, csv=EXAMPLES / "same.csv")
        assert found["falseAlarms"] == 2

    def test_terminal_says_how_often_and_shows_the_worst(self) -> None:
        said = analyze("--same", "--window", "30m", csv=EXAMPLES / "same.csv").output
        for words in (
            "12 releases: 1 hold, 11 pass",
            "hold (Incident)",
            "false alarms: 0 of 12",
            "the one that began after 2h 00m",
            "has no rows of metric latency; it is left out",
        ):
            assert words in said

    def test_documentation_shows_what_is_said_and_the_rows_that_are_there(self) -> None:
        blocks = re.findall(r"```\w*\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)
        (rows,) = [block for block in blocks if block.startswith("time,")]
        (decisions,) = [block for block in blocks if "rollback (EvidenceFound)" in block]
        assert (EXAMPLES / "bad.csv").read_text().startswith(rows)
        assert [line.rstrip() for line in decisions.splitlines()] == [
            line.rstrip() for line in analyze().output.splitlines()[-4:]
        ]

    def test_page_has_the_decisions(self, tmp_path: Path) -> None:
        file = tmp_path / "analysis.html"
        assert analyze("--html", str(file)).exit_code == 0
        assert "10m 00s" in file.read_text()
        assert "pass (TimeReached)" in file.read_text()


class TestPast:
    """What a metric store remembers, asked by a worker."""

    ASKED = ("--canary", 'pod="a"', "--stable", '{pod=~"b.*"}', "--from", "6h")

    @pytest.mark.usefixtures("worker")
    def test_worker_is_asked_and_its_answer_shown(self, run: Headgated) -> None:
        spec = str(EXAMPLES / "release.yaml")
        said = run("analyze", spec, *self.ASKED, "--same", "--window", "30m").stdout
        for words in ("1 releases: 1 rollback", "false alarms: 1 of 1", 'pod="a" is worse', "latency  failed"):
            assert words in said

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ((), "give the past to play: --csv FILE, or --canary, --stable and --from"),
            (("--from", "6h"), "--canary and --stable is missing"),
            (("--csv", "x.csv", "--from", "6h"), "--csv is a recording already, so --from cannot be asked for"),
            ((*ASKED[:-1], "yesterday"), "--from: 'yesterday' is not allowed; write a time with its zone"),
            ((*ASKED[:-1], "2026-11-28T16:00:00"), "--from: '2026-11-28T16:00:00' is not allowed"),
            ((*ASKED, "--to", "7h"), "--from must lie before --to"),
            (("--canary", "shop", *ASKED[2:]), "--canary: 'shop' has a label condition that cannot be read"),
            (("--canary", "{}", *ASKED[2:]), "--canary: '{}' has no condition"),
        ],
    )
    def test_what_cannot_be_asked_is_said(self, arguments: tuple[str, ...], said: str) -> None:
        spec = str(EXAMPLES / "release.yaml")
        result = CliRunner().invoke(app, ["analyze", spec, *arguments])
        assert result.exit_code == 2
        assert said in result.stderr

    def test_without_a_server_it_is_unreachable(self) -> None:
        spec = str(EXAMPLES / "release.yaml")
        result = CliRunner().invoke(app, ["analyze", spec, *self.ASKED, "--address", "127.0.0.1:1"])
        assert result.exit_code == 5


class TestRightRecordings:
    def test_times_are_seconds_or_moments_and_make_the_tick(self) -> None:
        rows = ["2026-11-28T16:00:00Z", "2026-11-28T17:00:10+01:00", "2026-11-28T16:00:20Z"]
        found = recorded(HEADER + "".join(f"{at},canary,errors,10,1,,,\n" for at in rows), ANALYSIS)
        times = [reading.batch.at for reading in found.readings]
        assert [at - times[0] for at in times] == [0, 10, 20, 30]
        assert found.analysis.tick.total_seconds() == 10
        assert found.left_out == ("latency", "queue")

    def test_what_the_rows_say_is_what_is_judged(self) -> None:
        text = HEADER + "".join(
            f"{at},{version},errors,{n},{n // 50},,,\n{at},{version},latency,{n},,,{n * 9 // 10},{n * 49 // 50}\n"
            for at in range(5, 105, 5)
            for version, n in (("canary", 50), ("stable", 450))
        )
        found = recorded(text, ANALYSIS)
        last = play(found.analysis, found.readings).last
        told = last.reports[0].evidence
        assert told
        assert (told.bad, told.total, told.baseline_bad, told.baseline_total) == (20, 1000, 180, 9000)
        slow = last.state.timeline.lines["latency"]
        assert (slow.total[-1], slow.baseline_total[-1], last.reports[1].requests) == (50, 450, 1000)

    def test_numbers_are_what_they_are_at_that_time(self) -> None:
        text = HEADER + "".join(f"{at},canary,queue,,,{at},,\n" for at in (5, 10, 15))
        found = recorded(text, ANALYSIS)
        assert play(found.analysis, found.readings).last.state.timeline.lines["queue"].value[-1] == 15

    def test_version_without_a_row_did_not_answer_and_its_counts_wait(self) -> None:
        rows = [
            f"{at},{v},errors,50,1,,,\n"
            for at in (5, 10, 15)
            for v in ("canary", "stable")
            if (at, v) != (10, "stable")
        ]
        found = recorded(HEADER + "".join(rows), ANALYSIS)
        told = play(found.analysis, found.readings).last.reports[0].evidence
        assert told
        assert (told.used, told.total, told.baseline_total) == (2, 150, 100)

    def test_blank_lines_and_a_byte_order_mark_do_no_harm(self, tmp_path: Path) -> None:
        file = tmp_path / "ticks.csv"
        file.write_text("\ufeff" + (EXAMPLES / "bad.csv").read_text().replace("\n", "\n\n"))
        assert answer(csv=file)["verdicts"] == {"rollback": 1}


class TestWrongRecordings:
    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ("noon,canary,errors,10,1,,,", "2 time: 'noon' is not allowed; write seconds, or a time with its zone"),
            ("2026-11-28T16:00:00,canary,errors,10,1,,,", "2 time: '2026-11-28T16:00:00' is not allowed"),
            ("nan,canary,errors,10,1,,,", "2 time: 'nan' is not allowed"),
            (",canary,errors,10,1,,,", "2 time: it is empty"),
            ("5,new,errors,10,1,,,", "2 version: 'new' is not allowed; write canary for the new version and stable"),
            ("5,canary,error,10,1,,,", "2 metric: 'error' is not allowed; the analysis has errors, latency, queue"),
            ("5,canary,errors,,1,,,", "2 total: it is empty; a ratio needs total and bad"),
            ("5,canary,errors,10,-1,,,", "2 bad: '-1' is not allowed; write how many requests"),
            ("5,canary,errors,10.5,1,,,", "2 total: '10.5' is not allowed"),
            ("5,canary,errors,1e300,1,,,", "2 total: '1e300' is not allowed"),
            ("5,canary,errors,10,11,,,", "2 bad: '11' is not allowed; at most all 10 requests can have failed"),
            ("5,canary,errors,10,1,3,,", "2 value: '3' is not allowed; a ratio has none; leave it empty"),
            ("5,canary,errors,10,1,,5,", "2 le_0.1: '5' is not allowed; a ratio has none; leave it empty"),
            ("5,canary,latency,10,,,9,8", "2 le_0.1: '9' is not allowed; counts are cumulative, so at most the 8 of"),
            ("5,canary,latency,10,,,9,11", "2 le_0.25: '11' is not allowed; counts are cumulative, so at most the 10"),
            ("5,canary,queue,,,inf,,", "2 value: 'inf' is not allowed; write a number"),
            ("5,canary,errors,10,1,,,,,7", "2 more: ',7' is not allowed; this row has more cells than the header"),
            ("5,stable,errors,10,1,,,", "None version: no row is of canary"),
            ('5,canary,"errors', "no CSV from here on"),
        ],
    )  # fmt: skip
    def test_row_is_refused_with_line_column_value_and_what_is_allowed(self, row: str, said: str) -> None:
        (problem,) = refused(f"{HEADER}{row}\n")
        assert said in problem

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            ("time,version,total,bad", "column metric is missing"),
            ("time,version,metric,total,bad,errors", "column 'errors' is not known; there are time, version, metric"),
            ("time,version,metric,total,total", "column total is there twice"),
            ("time,version,metric,total,le_x", "column 'le_x' is not known"),
            ("", "column time is missing"),
        ],
    )
    def test_header_is_refused_with_the_columns_that_there_are(self, header: str, said: str) -> None:
        assert any(said in problem for problem in refused(header))

    def test_order_of_rows_is_that_of_time_and_each_is_there_once(self) -> None:
        rows = "10,canary,errors,1,0,,,\n5,canary,errors,1,0,,,\n5,canary,errors,1,0,,,\n"
        assert [problem[:7] for problem in refused(HEADER + rows)] == ["3 time:", "4 time:"]

    def test_all_wrong_rows_are_told_at_once_twenty_at_most(self) -> None:
        assert len(refused(HEADER + "5,x,errors,1,0,,,\n" * 30)) == 20

    def test_ticks_that_are_too_long_for_evidence_are_refused(self) -> None:
        rows = "".join(f"{at},canary,errors,10,1,,,\n" for at in (0, 300, 600))
        assert refused(HEADER + rows) == ["None time: rows are 300 s apart, usually; ticks may be 0.1 to 60 s long"]

    def test_command_names_the_file_and_every_line(self, tmp_path: Path) -> None:
        file = tmp_path / "ticks.csv"
        file.write_text("time,version,metric,total,bad\n5,canary,errors,10,x\n10,canary,errors,10,y\n")
        result = analyze(csv=file)
        assert result.exit_code == 2
        for words in (f"{file}: 2 problems", "line 2: bad: 'x' is not allowed", "line 3: bad: 'y' is not allowed"):
            assert words in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--component", "shop"], "component shop has no analysis; trip-service has one"),
            (["--window", "30"], "--window: '30' is not a duration"),
            (["--window", "5h"], "the recording is 1200 s long, so no stretch of 18000 s fits into it"),
        ],
    )  # fmt: skip
    def test_options_are_refused_in_a_sentence(self, arguments: list[str], said: str) -> None:
        result = analyze(*arguments)
        assert result.exit_code == 2
        assert said in result.stderr

    def test_missing_file_is_said(self, tmp_path: Path) -> None:
        result = analyze(csv=tmp_path / "nothing.csv")
        assert (result.exit_code, "cannot be read" in result.stderr) == (2, True)
