"""What a plan says of Kayenta's score before it is trusted."""

from __future__ import annotations

from typing import Any

from tests.builders import ERRORS, a_baseline, a_release
from workflows.planning.rollouts import rollout_plan


def warnings(*metrics: dict[str, Any], observe: str = "30m", **kayenta: Any) -> list[str]:
    upward = [{"direction": "increase", **canary} for canary in metrics]
    named = [{**ERRORS, "name": f"m{i}", "canary": canary} for i, canary in enumerate(upward)]
    analysis = {"judge": "kayenta", "kayenta": kayenta, "metrics": named} if metrics else {"metrics": [ERRORS]}
    release = a_release().canary(10, 100, observe=observe).with_(analysis=analysis)
    return list(rollout_plan(release.component(), a_baseline()).warnings)


def test_groups_that_need_no_data_are_named_unless_one_metric_needs_it() -> None:
    (said,) = warnings({"groups": ["a"]}, {"groups": ["b", "c"]}, {"groups": ["c"], "critical": True})
    assert said.startswith("trip: without data, a, b counts as 100 in the score, as in Kayenta; give ")
    assert not warnings({"mustHaveData": True}, {})
    assert len(warnings({"mustHaveData": True, "muted": True}, {})) == 1, "a muted metric scores for no group"


def test_metrics_that_pass_without_data_are_named() -> None:
    (said,) = warnings({"mustHaveData": True, "nanStrategy": "replace"}, {})
    assert said == "trip: without data, m0 passes, because of nanStrategy replace, as in Kayenta"


def test_share_of_failures_that_may_not_fall_either_is_named() -> None:
    (said,) = warnings({"critical": True, "direction": "either"}, {"direction": "decrease", "muted": True})
    assert said.startswith("trip: m0 rolls back a version that fails less, too; with few requests a healthy version ")


def test_stage_without_a_whole_step_is_named() -> None:
    (said,) = warnings({"critical": True}, observe="20s", step="30s", interval="30s")
    assert said.startswith("trip: step 4, ")
    assert "is shorter than a sample of kayenta.step (30s)" in said


def test_other_judges_are_not_warned_about() -> None:
    assert not warnings()


def test_score_is_a_guard_where_there_is_something_to_compare_with() -> None:
    metric = {"name": "queue", "kind": "gauge", "series": "queue", "canary": {"critical": True}}
    release = a_release().canary(10, 100).with_(analysis={"judge": "kayenta", "metrics": [metric]})
    assert not rollout_plan(release.component(), a_baseline(), analysis_required=True).warnings
