"""Several components, several releases, one target: order, locks and common ends."""

from __future__ import annotations

import asyncio

import pytest

from tests.temporal import unique
from tests.workflows.lab import BAD, Lab, a_component, a_target
from tests.workflows.test_interruptions import same, until_paused_or_over
from workflows.model.plan import Gate

SLOW = {"kind": "canary", "stages": [{"weight": 10, "observe": "10m"}], "watch": "1m"}


async def test_a_group_is_promoted_only_after_all_have_passed_their_last_stage(lab: Lab) -> None:
    trial = lab.release("canary", components=("api", "web", "jobs"))
    order: list[tuple[str, str]] = []
    for part in trial.components:

        async def note(request: object, name: str = part.name) -> None:
            weights = getattr(request, "weights", None)
            slot = getattr(request, "slot", "")
            order.append((name, f"{weights}" if weights else slot))

        lab.world.hooks[part.target.key, "traffic.shift"] = note
        lab.world.hooks[part.target.key, "workloads.deploy"] = note
    await trial.start()
    assert (await trial.end())[0] == "Succeeded"
    last_stage = max(order.index((name, "{'stable': 50.0, 'canary': 50.0}")) for name in ("api", "web", "jobs"))
    first_promotion = min(order.index((name, "stable")) for name in ("api", "web", "jobs"))
    assert last_stage < first_promotion


async def test_waves_start_after_what_they_depend_on(lab: Lab) -> None:
    trial = lab.release("canary", components=("db", "api"), waves={"db": 0, "api": 1})
    holding = await trial.hold_before(4)
    await trial.start()
    await holding.reached.wait()
    await asyncio.sleep(0.5)
    started = trial.place_of("api").called
    assert started == ["targets.capture"]
    trial.free(holding)
    assert (await trial.end())[0] == "Succeeded"


async def test_no_more_components_move_at_once_than_policy_allows(lab: Lab) -> None:
    names = ("a", "b", "c", "d")
    trial = lab.release("rolling", components=names, parallel=2)
    reached: list[str] = []
    go = asyncio.Event()
    for part in trial.components:

        async def hold(_request: object, name: str = part.name) -> None:
            reached.append(name)
            await go.wait()

        lab.world.hooks[part.target.key, "workloads.deploy"] = hold
    await trial.start()
    while len(reached) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)
    assert len(reached) == 2
    go.set()
    assert (await trial.end())[0] == "Succeeded"
    assert sorted(reached) == sorted(names)


async def test_a_group_that_fails_in_its_second_wave_goes_back_dependants_first(lab: Lab) -> None:
    trial = lab.release("canary", components=("db", "api"), waves={"db": 0, "api": 1})
    before = {part.name: trial.place_of(part.name).state() for part in trial.components}
    api = trial.components[1]
    lab.world.verdicts[api.target.key] = lambda _: BAD
    undone: list[str] = []
    for part in trial.components:

        async def note(request: object, name: str = part.name) -> None:
            undone.append(name)

        lab.world.hooks[part.target.key, "targets.acquire"] = note
    await trial.start()
    outcome, result = await trial.end()
    assert (outcome, result["reason"]) == ("RolledBack", "RuleFailed")
    assert undone == ["api", "db"]
    for part in trial.components:
        assert same(trial.place_of(part.name).state(), before[part.name])


async def test_rollback_failed_keeps_what_nobody_needed(lab: Lab) -> None:
    trial = lab.release("canary", components=("api", "web"), on_failure="rollbackFailed")
    lab.world.verdicts[trial.components[0].target.key] = lambda _: BAD
    await trial.start()
    outcome, _ = await trial.end()
    assert outcome == "RolledBack"
    assert trial.place_of("web").state().slot("stable").template_version == "v2"
    assert trial.place_of("api").state().slot("stable").template_version == "v1"


async def test_hold_on_failure_pauses_the_others_and_waits_for_a_person(lab: Lab) -> None:
    trial = lab.release(SLOW, components=("api", "web"), on_failure="hold")
    lab.world.verdicts[trial.components[0].target.key] = lambda _: BAD
    await trial.start()
    await trial.until(lambda status: status.paused)
    assert trial.place_of("web").state().weight("canary") == 10
    await trial.say("abort")
    outcome, _ = await trial.end()
    assert outcome == "Aborted"
    assert trial.place_of("web").state().weight("stable") == 100


async def test_a_second_release_on_one_target_waits_and_names_what_it_waits_for(lab: Lab) -> None:
    name = unique("shared")
    target = a_target(a_component("shop", name, "canary"))
    first = lab.release(SLOW, targets={"shop": target})
    second = lab.release("rolling", targets={"shop": target}, version="v3")
    await first.start()
    await first.until(lambda status: status.phase == "Observing")
    await second.start()
    status = await second.until(lambda status: status.wait)
    assert status.phase == "Waiting"
    assert status.wait is not None
    assert status.wait.reason == "TargetBusy"
    assert target.rollout_id in status.wait.message
    await first.say("abort")
    assert (await first.end())[0] == "Aborted"
    assert (await second.end())[0] == "Succeeded"
    assert lab.world.places[target.key].state().slot("stable").template_version == "v3"


async def test_two_environments_share_the_lock_of_one_target(lab: Lab) -> None:
    target = a_target(a_component("shop", unique("shared"), "canary"))
    first = lab.release(SLOW, targets={"shop": target}, environment="staging")
    second = lab.release("rolling", targets={"shop": target}, environment="production", version="v3")
    await first.start()
    await first.until(lambda status: status.phase == "Observing")
    await second.start()
    status = await second.until(lambda status: status.wait)
    assert status.wait is not None
    assert status.wait.reason == "TargetBusy"
    assert f"{target.rollout_id} runs for {first.id}" in status.wait.message
    assert first.rollout.id == second.rollout.id
    await first.say("abort")
    assert (await first.end())[0] == "Aborted"
    outcome, result = await second.end()
    assert (outcome, result["environment"]) == ("Succeeded", "production")
    assert second.place.state().slot("stable").template_version == "v3"


async def test_a_pause_while_the_lock_is_awaited_holds_until_it_is_taken_back(lab: Lab) -> None:
    target = a_target(a_component("shop", unique("shared"), "canary"))
    first = lab.release(SLOW, targets={"shop": target})
    second = lab.release("canary", targets={"shop": target}, version="v3")
    await first.start()
    await first.until(lambda status: status.phase == "Observing")
    await second.start()
    await second.until(lambda status: status.wait)
    await second.say("pause")
    await first.say("abort")
    await first.end()
    before = second.place.state()
    await until_paused_or_over(second)
    assert (await second.rollout_status()).phase == "Paused"
    assert second.place.state() == before
    await second.say("resume")
    assert (await second.end())[0] == "Succeeded"


async def test_a_release_that_waits_for_a_lock_can_be_aborted(lab: Lab) -> None:
    target = a_target(a_component("shop", unique("shared"), "canary"))
    first = lab.release(SLOW, targets={"shop": target})
    second = lab.release("rolling", targets={"shop": target}, version="v3")
    await first.start()
    await first.until(lambda status: status.phase == "Observing")
    await second.start()
    await second.until(lambda status: status.wait)
    await second.say("abort")
    assert (await second.end())[0] == "Aborted"
    assert (await first.status()).phase == "Observing"
    await first.say("abort")
    await first.end()


async def test_a_group_whose_second_member_is_locked_moves_nothing(lab: Lab) -> None:
    taken = a_target(a_component("web", unique("zz-shared"), "canary"))
    first = lab.release(SLOW, components=("web",), targets={"web": taken})
    await first.start()
    await first.until(lambda status: status.phase == "Observing")
    group = lab.release("canary", components=("api", "web"), targets={"web": taken}, version="v3", name=unique("aa"))
    await group.start()
    await group.until(lambda status: status.wait and status.wait.reason == "TargetBusy")
    await asyncio.sleep(0.5)
    assert group.place_of("api").called == ["targets.capture"]
    await first.say("abort")
    await first.end()
    assert (await group.end())[0] == "Succeeded"


async def test_two_groups_over_the_same_targets_never_wait_in_a_circle(lab: Lab) -> None:
    names = [unique("ring") for _ in range(3)]
    targets = {name: a_target(a_component(name, name, "rolling")) for name in names}
    one = lab.release("rolling", components=tuple(names), targets=targets, version="v2")
    other = lab.release("rolling", components=tuple(reversed(names)), targets=targets, version="v3")
    await asyncio.gather(one.start(), other.start())
    ends = await asyncio.gather(one.end(), other.end())
    assert [outcome for outcome, _ in ends] == ["Succeeded", "Succeeded"]


async def test_one_approval_opens_a_policy_gate_for_the_whole_group(lab: Lab) -> None:
    trial = lab.release("canary", components=("api", "web"), gate=Gate(name="production"))
    await trial.start()
    await trial.until(lambda status: status.gates)
    await trial.say("approve", gate="production")
    assert (await trial.end())[0] == "Succeeded"
    assert sum(record.event == "approval_requested" for record in lab.world.audit) == 1


@pytest.mark.parametrize("name", ["api", "web"])
async def test_a_member_that_already_runs_the_version_is_not_touched(lab: Lab, name: str) -> None:
    trial = lab.release("canary", components=("api", "web"))
    place = trial.place_of(name)
    part = next(part for part in trial.components if part.name == name)
    place.slots["stable"] = place.slots["stable"].model_copy(
        update={"template": part.template, "ready": {part.template.digest: 4}}
    )
    await trial.start()
    outcome, result = await trial.end()
    assert outcome == "Succeeded"
    assert [entry for entry, _ in place.log] == ["targets.capture"]
    assert {r["reason"] for r in result["components"]} == {"AlreadyRunning", "Promoted"}
