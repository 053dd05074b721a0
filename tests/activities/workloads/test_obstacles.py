"""What keeps pods from being ready, told from what the cluster shows, and when waiting is given up."""

from __future__ import annotations

from typing import Any

import pytest

from activities.workloads.controllers import CONTROLLERS
from activities.workloads.obstacles import CRASHES, WORDS, is_hopeless, obstacle
from activities.workloads.sights import Sight

OWNER = {"controller": True, "uid": "set"}
TEMPLATE = {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "app", "image": "trip:v2"}]}}


def pod(*containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    metadata = {"name": "trip-1", "namespace": "test", "uid": "pod", "ownerReferences": [OWNER]}
    statuses = [{"name": "app", "image": "trip:v2", "ready": False, "restartCount": 0, **c} for c in containers]
    return {"metadata": metadata, "spec": TEMPLATE["spec"], "status": {"containerStatuses": statuses, **status}}


def sight(*pods: dict[str, Any], seen: int = 1, template: dict[str, Any] = TEMPLATE, **spec: Any) -> Sight:
    deployment = {
        "metadata": {"name": "trip", "generation": 1},
        "spec": {"replicas": 2, "template": template, **spec},
        "status": {"observedGeneration": seen},
    }
    replica_set = {"metadata": {"uid": "set"}, "spec": {"template": template}}
    return Sight("trip", CONTROLLERS["deployment"], deployment, (replica_set,), pods)


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **more}


def crashed(restarts: int, message: str = "", code: int = 1) -> dict[str, Any]:
    ended = {"terminated": {"exitCode": code, "message": message}}
    return waiting("CrashLoopBackOff", restartCount=restarts, lastState=ended)


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient cpu."}
READY = {"type": "Ready", "status": "True"}

CASES: dict[str, tuple[Sight, str, bool]] = {
    "an image that is not there": (
        sight(pod(waiting("ImagePullBackOff", 'Back-off pulling image: "trip:v2": not found'))),
        "image trip:v2 of pod trip-1 cannot be pulled: Back-off",
        True,
    ),
    "a registry that is away": (
        sight(pod(waiting("ErrImagePull", "dial tcp: i/o timeout"))),
        "cannot be pulled: dial tcp: i/o timeout",
        False,
    ),
    "an image name that is none": (sight(pod(waiting("InvalidImageName"))), "cannot be pulled", True),
    "a first crash": (sight(pod(crashed(1))), "container app of pod trip-1 ended with status 1, 1 times so far", False),
    "a crash loop": (sight(pod(crashed(CRASHES))), f"ended with status 1, {CRASHES} times so far", True),
    "a missing ConfigMap": (
        sight(pod(waiting("CreateContainerConfigError", 'configmap "trip" not found'))),
        'container app of pod trip-1 cannot be made: configmap "trip" not found',
        False,
    ),
    "no node": (sight(pod(conditions=[UNSCHEDULABLE])), "pod trip-1 has no node: 0/3 nodes are available", False),
    "a probe that fails": (sight(pod({"state": {"running": {}}})), "pod trip-1 runs, but is not ready", False),
    "a Deployment that is paused": (sight(paused=True), "the Deployment is paused", True),
}


@pytest.mark.parametrize(("seen", "sentence", "hopeless"), CASES.values(), ids=CASES)
def test_an_obstacle_is_told(seen: Sight, sentence: str, hopeless: bool) -> None:
    found = obstacle(seen)
    assert found
    assert sentence in found.sentence
    assert is_hopeless(seen) is hopeless


def test_the_obstacle_that_will_not_pass_is_told_first() -> None:
    found = obstacle(sight(pod(conditions=[UNSCHEDULABLE]), pod(crashed(CRASHES))))
    assert found
    assert found.is_final


def test_one_ready_pod_is_hope() -> None:
    assert not is_hopeless(sight(pod(crashed(CRASHES)), pod({"ready": True}, conditions=[READY])))


def test_nothing_is_given_up_before_the_controller_has_seen_the_wish() -> None:
    assert not is_hopeless(sight(pod(crashed(CRASHES)), seen=0))


def test_an_init_container_that_has_done_its_work_is_no_obstacle() -> None:
    done = pod({"state": {"terminated": {"exitCode": 0}}})
    assert obstacle(sight(done)) is None


def test_a_termination_message_is_cut_at_its_beginning() -> None:
    found = obstacle(sight(pod(waiting("ErrImagePull", "x" * 1000 + " the reason"))))
    assert found
    assert found.sentence.endswith(" the reason")
    assert len(found.sentence) < WORDS + 100
