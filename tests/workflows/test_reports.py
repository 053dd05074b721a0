"""Every observation leaves a report: in the result, in the answer to who asks, and in the record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workflows.analysis.test_evidence_of_a_session import BAD_VERSION, GOOD, OLD, a_rollout
from tests.workflows.lab import Lab, Trial
from workflows.analysis.session import evidence
from workflows.model.decision import Decision

BAD = Decision(verdict="rollback", reason="EvidenceFound", message="errors: less than once in 2,363 releases")


async def observed(lab: Lab, verdict: Decision | None = None, *, strategy: Any = "canary") -> Trial:
    """A release whose observer saw a bad version."""
    session = a_rollout()
    session.run(GOOD, OLD, times=5)
    last = session.run(BAD_VERSION, OLD, times=30)
    trial = lab.release(strategy)
    key = trial.components[0].target.key
    lab.world.seen[key] = {
        "evidence": evidence(session.state),
        "metrics": last.reports,
        "weighed": last.evidence,
    }
    if verdict:
        lab.world.verdicts[key] = lambda _: verdict
    await trial.start()
    return trial


@pytest.mark.parametrize("verdict", [BAD, None])
async def test_report_is_in_the_result_and_in_the_record_however_it_ends(lab: Lab, verdict: Decision | None) -> None:
    trial = await observed(lab, verdict)
    outcome, result = await trial.end()
    assert outcome == ("RolledBack" if verdict else "Succeeded")
    (part,) = result["components"]
    assert "times as many of the new version's requests failed" in part["metrics"][0]["sentence"]
    assert len(part["timeline"]["logE"]) == part["timeline"]["count"]
    (record,) = [record for record in lab.world.audit if record.event == "analysis_reported"]
    assert record.details["component"] == part["component"]
    assert record.details["timeline"]["lines"]["errors"]["bad"] == part["timeline"]["lines"]["errors"]["bad"]
    assert record.details["evidence"]["peak"] == part["evidence"]["peak"]
    assert len(json.dumps(part)) < 8 * 1024


async def test_what_was_seen_until_an_abort_is_reported(lab: Lab) -> None:
    """The segment that runs then ends too late to decide anything."""
    trial = await observed(lab, strategy={"kind": "canary", "stages": [{"weight": 10, "observe": "1h"}]})
    await trial.until(lambda status: status.phase == "Observing")
    await trial.say("abort")
    outcome, result = await trial.end()
    assert outcome == "Aborted"
    assert result["components"][0]["timeline"]["lines"]["errors"]["bad"]


async def test_rollout_answers_with_its_timeline_and_does_not_send_it_with_every_word(lab: Lab) -> None:
    trial = await observed(lab)
    await trial.until(lambda status: bool(status.components and status.components[0].metrics))
    assert (await trial.rollout_status()).timeline
    assert (await trial.status()).components[0].timeline is None
    await trial.end()


async def test_release_without_analysis_leaves_no_empty_report(lab: Lab) -> None:
    trial = lab.release("canary")
    await trial.start()
    assert (await trial.end())[0] == "Succeeded"
    assert all(record.event != "analysis_reported" for record in lab.world.audit)
