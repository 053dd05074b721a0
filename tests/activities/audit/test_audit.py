"""The record is append-only, has each id once, and survives crashes and other writers."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.audit import journal
from activities.audit.activities import Audit
from activities.audit.journal import Journal
from activities.audit.jsonl import JsonLinesAudit, JsonLinesSettings
from activities.audit.null import NullAudit
from activities.audit.protocol import AuditSink
from activities.audit.registry import audit_sinks
from activities.boundary import implement
from activities.registry import Registry
from workflows.contracts.audit import AuditActivities, AuditRecord
from workflows.errors import Rejected, Unavailable
from workflows.model.target import ReleaseRef


def a_record(name: str, *, environment: str = "production", **details: Any) -> AuditRecord:
    release = ReleaseRef(workflow_id="w", first_run_id="r", environment=environment, name="trip", version="v2")
    return AuditRecord(
        id=name, release=release, event="traffic_switched", at=datetime(2026, 1, 1, tzinfo=UTC), details=details
    )


def ids(file: Path) -> list[str]:
    """The ids of all lines that are JSON, as a reader of the record would find them."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line)["id"])
        except ValueError:
            continue
    return found


class Sink:
    """A sink on a directory; `again` is what a restarted worker has."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "production.jsonl"
        self.sinks: list[JsonLinesAudit] = []

    def again(self) -> JsonLinesAudit:
        self.sinks.append(JsonLinesAudit(JsonLinesSettings(directory=self.directory)))
        return self.sinks[-1]


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[Sink]:
    sink = Sink(tmp_path / "audit")
    yield sink
    for one in sink.sinks:
        await one.close()


class TestEverySink:
    """The contract, on each member of the family."""

    @pytest.fixture(params=["jsonl", "null"])
    async def any_sink(self, request: pytest.FixtureRequest, sink: Sink) -> AuditSink:
        return sink.again() if request.param == "jsonl" else NullAudit()

    async def test_append_may_be_repeated(self, any_sink: AuditSink) -> None:
        for _ in range(3):
            await any_sink.append([a_record("run/1"), a_record("run/2")])

    async def test_nothing_is_fine(self, any_sink: AuditSink) -> None:
        await any_sink.append([])

    async def test_close_may_be_repeated(self, any_sink: AuditSink) -> None:
        await any_sink.close()
        await any_sink.close()


class TestJsonLines:
    async def test_line_is_the_record(self, sink: Sink) -> None:
        await sink.again().append([a_record("run/1", text="a\nb é", weight=5)])
        line = json.loads(sink.file.read_text(encoding="utf-8"))
        assert (line["event"], line["at"], line["details"]["text"]) == (
            "traffic_switched",
            "2026-01-01T00:00:00Z",
            "a\nb é",
        )
        assert AuditRecord.model_validate(line) == a_record("run/1", text="a\nb é", weight=5)

    async def test_each_id_is_there_once_and_in_order(self, sink: Sink) -> None:
        one = sink.again()
        await one.append([a_record("run/1"), a_record("run/2"), a_record("run/1")])
        await one.append([a_record("run/2"), a_record("run/3")])
        await sink.again().append([a_record("run/1"), a_record("run/4")])
        await one.append([a_record("run/4"), a_record("run/5")])
        assert ids(sink.file) == ["run/1", "run/2", "run/3", "run/4", "run/5"]

    async def test_each_environment_has_its_file(self, sink: Sink) -> None:
        await sink.again().append([a_record("run/1"), a_record("run/1", environment="staging")])
        assert sorted(path.name for path in sink.directory.glob("*.jsonl")) == ["production.jsonl", "staging.jsonl"]

    async def test_environment_that_leads_elsewhere_is_refused(self, sink: Sink) -> None:
        with pytest.raises(Rejected, match="not an environment"):
            await sink.again().append([a_record("run/1", environment="../../etc/cron")])

    @pytest.mark.parametrize("torn", ['{"id": "run/9", "eve', "{", '{"id": "run/9"}', "\x00\x00\x00"])
    async def test_line_torn_by_a_crash_costs_no_other(self, sink: Sink, torn: str) -> None:
        await sink.again().append([a_record("run/1")])
        with sink.file.open("a", encoding="utf-8") as file:
            file.write(torn)
        await sink.again().append([a_record("run/9"), a_record("run/1"), a_record("run/2")])
        assert ids(sink.file).count("run/9") == 1
        assert [name for name in ids(sink.file) if name != "run/9"] == ["run/1", "run/2"]
        assert torn in sink.file.read_text(encoding="utf-8"), "nothing is ever taken out of the record"

    async def test_own_sink_heals_a_line_torn_behind_its_back(self, sink: Sink) -> None:
        one = sink.again()
        await one.append([a_record("run/1")])
        with sink.file.open("a", encoding="utf-8") as file:
            file.write('{"id": "run/2", ')
        await one.append([a_record("run/2")])
        assert ids(sink.file) == ["run/1", "run/2"]

    async def test_file_that_was_put_away_is_begun_anew(self, sink: Sink) -> None:
        one = sink.again()
        await one.append([a_record("run/1")])
        sink.file.rename(sink.file.with_suffix(".old"))
        await one.append([a_record("run/1"), a_record("run/2")])
        assert ids(sink.file) == ["run/1", "run/2"]

    async def test_file_that_was_put_away_and_has_grown_again_is_read_anew(self, sink: Sink) -> None:
        one = sink.again()
        await one.append([a_record("run/1")])
        sink.file.rename(sink.file.with_suffix(".old"))
        await sink.again().append([a_record(f"other/{i}") for i in range(5)])
        await one.append([a_record("run/1")])
        assert ids(sink.file)[-1] == "run/1"

    async def test_directory_that_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        one = JsonLinesAudit(JsonLinesSettings(directory=tmp_path / "file"))
        with pytest.raises(Unavailable, match="cannot be written"):
            await one.append([a_record("run/1")])
        await one.close()

    async def test_only_what_is_new_is_read(self, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        learned: list[bytes] = []
        learn = Journal._learn

        def note(one: Journal, line: bytes) -> None:
            learned.append(line)
            learn(one, line)

        monkeypatch.setattr(Journal, "_learn", note)
        one, other = sink.again(), sink.again()
        for i in range(50):
            await one.append([a_record(f"run/{i}")])
        assert not learned
        await other.append([a_record("other/1")])
        assert len(learned) == 50
        await one.append([a_record("run/50")])
        assert len(learned) == 51

    async def test_memory_and_first_look_are_bounded(self, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journal, "REMEMBERED", 10)
        monkeypatch.setattr(journal, "LOOK_BACK", 2000)
        for i in range(40):
            await sink.again().append([a_record(f"run/{i}")])
        await sink.again().append([a_record("run/39")])
        assert ids(sink.file).count("run/39") == 1


def _write(directory: Path, name: str, count: int) -> None:
    """A worker process that writes records of its own and one that everybody writes."""

    async def write() -> None:
        sink = JsonLinesAudit(JsonLinesSettings(directory=directory))
        for i in range(count):
            await sink.append([a_record(f"shared/{i}"), a_record(f"{name}/{i}")])
        await sink.close()

    asyncio.run(write())


async def test_workers_share_a_file_and_a_killed_one_tears_nothing(sink: Sink) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(sink.directory, f"worker-{i}", 40)) for i in range(3)]
    victim = context.Process(target=_write, args=(sink.directory, "victim", 100_000))
    for process in [*workers, victim]:
        process.start()
    for process in workers:
        await asyncio.to_thread(process.join)
    os.kill(victim.pid or 0, signal.SIGKILL)
    await asyncio.to_thread(victim.join)
    await sink.again().append([a_record("after/1")])
    found = ids(sink.file)
    assert len(found) == len(set(found))
    assert {f"shared/{i}" for i in range(40)} | {f"worker-{w}/{i}" for w in range(3) for i in range(40)} < set(found)
    assert found[-1] == "after/1"


class Broken:
    async def append(self, records: object) -> None:
        raise Unavailable("the disk is full")

    async def close(self) -> None:
        return None


async def test_broken_sink_is_tried_again_and_the_others_keep_each_record_once(sink: Sink) -> None:
    good = sink.again()
    made: dict[str, Any] = {"a-broken": Broken, "good": lambda: good}
    activity = Audit(Registry("audit", made))
    for _ in range(2):
        with pytest.raises(Unavailable, match="disk is full"):
            await ActivityEnvironment().run(activity.append, [a_record("run/1")])
    assert ids(sink.file) == ["run/1"]


def test_append_is_the_whole_contract() -> None:
    assert len(implement(AuditActivities, Audit(audit_sinks({})))) == 1


def test_without_settings_nothing_is_kept() -> None:
    assert isinstance(audit_sinks({}).get("null"), NullAudit)
