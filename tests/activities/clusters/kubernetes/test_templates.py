"""A pod template is known again as the version that it is, and gets its images where they belong."""

from __future__ import annotations

from typing import Any

import pytest

from activities.clusters.kubernetes.copies import changed_labels, isolated
from activities.clusters.kubernetes.templates import (
    KEPT,
    RESTART,
    Notes,
    described,
    is_resized,
    note,
    notes_of,
    pod_hash,
    repository,
    wanted_pod,
)
from workflows.errors import Rejected, Unsupported
from workflows.model.target import Template


def pod(*images: str, init: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
    containers = [{"name": f"c{i}", "image": image} for i, image in enumerate(images)]
    inits = [{"name": f"i{i}", "image": image} for i, image in enumerate(init)]
    more = {"initContainers": inits} if init else {}
    return {"metadata": {"labels": {"app": "trip"}}, "spec": {"containers": containers, **more, **spec}}


def version(name: str, **images: str) -> Template:
    return Template(version=name, digest=f"digest-{name}", body={"images": images})


def images(found: dict[str, Any]) -> list[str]:
    return [c["image"] for c in [*found["spec"].get("initContainers", []), *found["spec"]["containers"]]]


def put(base: dict[str, Any], wanted: dict[str, str], name: str = "trip") -> list[str]:
    template = Template(version="v2", digest="d", body={"images": wanted})
    return images(wanted_pod(template, base, Notes(), name=name))


def test_a_number_of_pods_is_somebody_elses_where_it_is_ours_and_another_one() -> None:
    def found(notes: Notes, replicas: int) -> dict[str, Any]:
        annotations = {"headgate.dev/release": notes.model_dump_json(by_alias=True)}
        return {"metadata": {"annotations": annotations}, "spec": {"replicas": replicas}}

    ours = Notes(size=4)
    assert [is_resized(found(ours, pods)) for pods in (4, 8)] == [False, True]
    assert not is_resized(found(ours.sized(8), 8))
    assert not is_resized(found(Notes().sized(4), 8)), "an autoscaler's"


def test_what_a_replica_set_adds_is_not_part_of_the_template() -> None:
    of_set = pod("trip:v1")
    of_set["metadata"] = {"labels": {"app": "trip", "pod-template-hash": "5d4f"}, "creationTimestamp": None}
    assert pod_hash(of_set) == pod_hash(pod("trip:v1")) != pod_hash(pod("trip:v2"))


def test_a_template_of_ours_is_known_by_the_notes_and_another_by_its_image() -> None:
    notes = Notes().knowing(version("v2"), pod("trip:v2"))
    ours, other = described(pod("trip:v2"), notes), described(pod("registry:5000/trip:v1"), notes)
    assert (ours.version, ours.digest) == ("v2", "digest-v2")
    assert (other.version, other.digest) == ("v1", pod_hash(pod("registry:5000/trip:v1")))
    assert other.body == {"pod": pod("registry:5000/trip:v1")}


@pytest.mark.parametrize(
    ("image", "name"), [("trip", "latest"), ("a:5000/trip", "latest"), ("trip@sha256:0123456789abcdef", "0123456789ab")]
)
def test_an_image_without_a_tag_still_has_a_version(image: str, name: str) -> None:
    assert described(pod(image), Notes()).version == name


def test_notes_are_bounded_and_the_last_ones_stay() -> None:
    notes = Notes()
    for number in range(2 * KEPT):
        notes = notes.knowing(version(f"v{number}"), pod(f"trip:{number}"))
    assert len(notes.templates) == KEPT
    assert described(pod(f"trip:{2 * KEPT - 1}"), notes).version == f"v{2 * KEPT - 1}"


def test_notes_that_nobody_can_read_count_as_none() -> None:
    assert notes_of({"metadata": {"annotations": {"headgate.dev/release": "{"}}}) == Notes()
    assert note({"metadata": {"annotations": {"headgate.dev/release": "{}"}}}, Notes()) == []


def test_an_image_goes_to_all_that_run_its_repository() -> None:
    base = pod("registry/trip:v1", "envoy:1", init=("registry/trip:v1", "busybox"))
    assert put(base, {"": "registry/trip:v2"}) == ["registry/trip:v2", "busybox", "registry/trip:v2", "envoy:1"]


def test_an_image_of_another_repository_goes_to_the_only_container() -> None:
    assert put(pod("old/trip:v1"), {"": "new/trip:v2"}) == ["new/trip:v2"]


def test_an_image_of_another_repository_goes_to_the_container_called_as_the_deployment() -> None:
    assert put(pod("old/trip:v1", "envoy:1"), {"": "new/trip:v2"}, name="c1") == ["old/trip:v1", "new/trip:v2"]


@pytest.mark.parametrize("wanted", [{"": "new/trip:v2"}, {"web": "new/trip:v2"}], ids=["whose", "of nobody"])
def test_an_image_for_nobody_is_refused_with_the_containers_there_are(wanted: dict[str, str]) -> None:
    with pytest.raises(Rejected, match=r"name its containers \(c0, c1\) in artifact.images"):
        put(pod("old/trip:v1", "envoy:1"), wanted)


def test_a_template_without_images_is_refused() -> None:
    with pytest.raises(Rejected, match="it needs images"):
        wanted_pod(Template(version="v2", digest="d", body={"program": "trip"}), pod("a"), Notes(), name="trip")


def test_a_recorded_pod_template_comes_back_to_the_letter() -> None:
    recorded = pod("trip:v1", hostNetwork=True)
    template = Template(version="v1", digest="d", body={"pod": recorded})
    assert wanted_pod(template, pod("trip:v2"), Notes(), name="trip") == recorded


def test_a_restart_of_the_same_images_replaces_the_pods() -> None:
    running = pod("trip:v1")
    notes = Notes().knowing(version("v1"), running)
    again = Template(version="v1", digest="again", body={"images": {"": "trip:v1"}})
    wanted = wanted_pod(again, running, notes, name="trip")
    assert wanted["metadata"]["annotations"] == {RESTART: "again"}
    assert wanted_pod(again, wanted, notes.knowing(again, wanted), name="trip") == wanted


def test_images_that_run_already_restart_nobody() -> None:
    running = pod("trip:v1")
    assert wanted_pod(version("v1", **{"": "trip:v1"}), running, Notes(), name="trip") == running


@pytest.mark.parametrize(
    ("image", "name"),
    [("trip", "trip"), ("a:5000/b/trip:v1", "a:5000/b/trip"), ("a:5000/trip", "a:5000/trip"), ("a/b@sha256:1", "a/b")],
)
def test_a_repository_is_an_image_without_tag_and_digest(image: str, name: str) -> None:
    assert repository(image) == name


def test_a_copys_affinities_mean_the_copy() -> None:
    own, other = {"matchLabels": {"app": "trip"}}, {"matchLabels": {"app": "database"}}
    terms = [{"topologyKey": "host", "labelSelector": selector} for selector in (own, other)]
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    spread = [{"topologyKey": "zone", "labelSelector": own}]
    original = pod("trip:v1", affinity=affinity, topologySpreadConstraints=spread)
    copy = isolated(original, {"app": "trip-canary"}, key="key")
    assert copy["spec"]["topologySpreadConstraints"][0]["labelSelector"] == {"matchLabels": {"app": "trip-canary"}}
    found = copy["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert [term["labelSelector"]["matchLabels"]["app"] for term in found] == ["trip-canary", "database"]
    assert original["metadata"]["labels"] == {"app": "trip"}


def test_a_copys_affinities_that_mean_others_or_all_but_itself_go_on_doing_so() -> None:
    tier = {"matchLabels": {"app": "trip", "tier": "database"}}
    some = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["trip", "user"]}]}
    rest = {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["trip"]}]}
    spread = [{"topologyKey": "zone", "labelSelector": selector} for selector in (tier, some, rest)]
    copy = isolated(pod("trip:v1", topologySpreadConstraints=spread), {"app": "trip-canary"}, key="key")
    found = [constraint["labelSelector"] for constraint in copy["spec"]["topologySpreadConstraints"]]
    assert found[0] == tier
    assert found[1]["matchExpressions"][0]["values"] == ["trip-canary", "user"]
    assert found[2]["matchExpressions"][0]["values"] == ["trip", "trip-canary"]


def test_services_of_others_do_not_matter_to_a_copy() -> None:
    stable = {
        "metadata": {"name": "trip"},
        "spec": {"selector": {"matchLabels": {"app": "trip"}}, "template": pod("trip:v1")},
    }
    services: list[dict[str, Any]] = [
        {"metadata": {"name": "user"}, "spec": {"selector": {"app": "user"}}},
        {"metadata": {"name": "bare"}, "spec": {}},
        {"metadata": {"name": "trip"}, "spec": {"selector": {"app": "trip"}}},
    ]
    assert changed_labels(stable, services) == {"app": "trip-canary"}


def test_a_service_that_shall_be_shared_must_select_the_pods() -> None:
    stable = {
        "metadata": {"name": "trip"},
        "spec": {"selector": {"matchLabels": {"app": "trip"}}, "template": pod("trip:v1")},
    }
    service = {"metadata": {"name": "user"}, "spec": {"selector": {"app": "user"}}}
    with pytest.raises(Unsupported, match="Service user does not select the pods of Deployment trip"):
        changed_labels(stable, [service], shared="user")
