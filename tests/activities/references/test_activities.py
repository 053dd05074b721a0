"""What is in a release's way whatever runs its workload: told before anything is touched, and all at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from activities.clusters.fence import FencedObject
from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.settings import KubernetesSettings
from activities.gitops.null import NoGitOps
from activities.references.activities import References
from activities.references.registry import reference_checks
from activities.references.settings import RegistrySettings
from tests.activities.world import World, a_template
from workflows.contracts.references import ReferencesRequest
from workflows.errors import Denied, PermanentError, Unsupported
from workflows.model.plan import ComponentPlan
from workflows.model.target import Sync, Target, Template


class Owner(NoGitOps):
    """Owns everything and makes no truce."""

    def __init__(self, refusal: PermanentError) -> None:
        self.refusal = refusal

    async def find(self, target: Target, template: Template, objects: Sequence[FencedObject]) -> tuple[Sync, ...]:
        assert objects, f"{target.key} is asked for with all that {template.version} writes"
        raise self.refusal


@pytest.mark.parametrize(
    ("refusal", "field"), [(Unsupported("no truce"), ""), (Denied("no right"), "workload")], ids=["truce", "right"]
)
async def test_a_controller_of_git_that_makes_no_truce_is_told_with_everything_else(
    world: World, refusal: PermanentError, field: str
) -> None:
    target = world.target(traffic="none")
    checks = reference_checks(Clusters(KubernetesSettings()), RegistrySettings())
    references = References(world.providers, world.routers, checks, world.targets.find_marks, Owner(refusal))
    written = {"name": "trip", "workload": target.workload, "traffic": target.traffic}
    rolling = {**written, "strategy": {"kind": "rolling", "watch": "1m"}}
    component = ComponentPlan(name="trip", target=target, template=a_template("v2"), component=rolling)

    told = (await references.check(ReferencesRequest(components=(component,), analysis_required=True))).problems

    assert (told[0].field, told[0].message) == (field, str(refusal))
    assert "no metric" in told[1].message
