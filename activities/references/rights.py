"""What a release may have to do in a cluster, and whether its API server allows us to.

The chart gives exactly these rights; a test compares both with what a release really does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import (
    APPLICATION,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DAEMON_SET,
    DEPLOYMENT,
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    EVENT,
    HORIZONTAL_POD_AUTOSCALER,
    INGRESS,
    LIMIT_RANGE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    REPLICA_SET,
    RESOURCE_QUOTA,
    SCALED_OBJECT,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    Kind,
)
from activities.clusters.kubernetes.resources import Resource
from activities.workloads.selectors.sorts import KINDS

NAMESPACE = Kind("Namespace", "v1", "namespaces")
_REVIEW = Kind("SelfSubjectAccessReview", "authorization.k8s.io/v1", "selfsubjectaccessreviews")
_RULES = Kind("SelfSubjectRulesReview", "authorization.k8s.io/v1", "selfsubjectrulesreviews")
"""Anybody may ask for what they themselves may do."""


class Right(NamedTuple):
    """One verb on one kind, in one namespace."""

    verb: str
    kind: Kind
    sub: str = ""

    @property
    def group(self) -> str:
        """The API group, empty for the oldest kinds."""
        return self.kind.api_version.rpartition("/")[0]

    @property
    def resource(self) -> str:
        """As a Role names it."""
        return "/".join(filter(None, (self.kind.plural, self.sub)))

    def __str__(self) -> str:
        return f"{self.verb} {'.'.join(filter(None, (self.resource, self.group)))}"


APPLICATIONS = tuple(Right(verb, APPLICATION) for verb in ("get", "list", "patch", "watch"))
"""For a truce with Argo CD, where its Applications are."""
_HELD = ("get", "list", "patch")
_ALWAYS = (
    Right("list", POD),
    Right("watch", POD),
    Right("get", POD, "log"),
    Right("list", EVENT),
    Right("list", SECRET),
    Right("watch", SECRET),
    Right("create", SECRET),
    Right("get", CONFIG_MAP),
    Right("watch", CONFIG_MAP),
    Right("list", RESOURCE_QUOTA),
    Right("list", LIMIT_RANGE),
)
_SCALED = tuple(Right(verb, kind) for kind in (HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT) for verb in _HELD)
_SORTS = {
    DEPLOYMENT: (Right("list", REPLICA_SET), *_SCALED),
    STATEFUL_SET: (Right("list", CONTROLLER_REVISION), Right("delete", POD), *_SCALED),
    DAEMON_SET: (Right("list", CONTROLLER_REVISION),),
}
"""What one kind of workload alone takes."""
_BESIDE = (
    Right("list", SERVICE),
    Right("get", PERSISTENT_VOLUME_CLAIM),
)
"""To make a copy that no Service selects, of pods whose volumes allow it."""
_ROUTED = (Right("list", ENDPOINT_SLICE), Right("get", SERVICE))
_ROUTERS = {"nginx": (Right("list", INGRESS),), "istio": (Right("list", DESTINATION_RULE),)}
"""What one kind of router alone takes."""
_UNWATCHED = {"replicas": (SERVICE,)}
"""Objects of which a router writes no field that somebody else could change."""


def copied(served: Iterable[str]) -> set[Right]:
    """For what selects the user's pods and is copied for a canary's, of the kinds that a cluster has."""
    kinds = [kind for kind in KINDS if kind.api_version in served]
    return {Right(verb, kind) for kind in kinds for verb in ("list", "get", "create", "patch")}


def rights(objects: Sequence[Resource], theirs: Sequence[Resource], *, router: str, is_beside: bool) -> set[Right]:
    """For a release that writes these objects, some of which are the user's own and the others ours."""
    found = {*_ALWAYS, *(_ROUTED if router != "none" else ()), *(_BESIDE if is_beside else ())}
    found |= {*_ROUTERS.get(router, ())}.union(*(_SORTS.get(item.kind, ()) for item in theirs))
    quiet = _UNWATCHED.get(router, ())
    found |= {Right("watch", item.kind) for item in objects if item.kind not in quiet}
    for item in objects:
        found |= {Right("get", item.kind), Right("patch", item.kind)}
        if item not in theirs and item.kind != SECRET and is_beside:
            found |= {Right("create", item.kind), Right("delete", item.kind)}
    return found


async def missing(api: Api, namespace: str, asked: Iterable[Right]) -> list[Right]:
    """Those that the API server does not give us, in order.

    One question lists what we may do in a namespace, and what it lists is sure; an authorizer that cannot list, such as
    a webhook, is asked right by right, and so is every one for all namespaces.
    """
    rules = await _listed(api, namespace) if namespace else []
    untold = sorted((right for right in asked if not any(_gives(rule, right) for rule in rules)), key=str)
    allowed = await asyncio.gather(*(_is_allowed(api, namespace, right) for right in untold))
    return [right for right, is_allowed in zip(untold, allowed, strict=True) if not is_allowed]


async def _listed(api: Api, namespace: str) -> list[Object]:
    rules: list[Object] = (await api.create(_RULES, "", {"spec": {"namespace": namespace}}))["status"]["resourceRules"]
    return rules


async def may_read_namespace(api: Api, namespace: str) -> bool:
    """Whether we can tell that a namespace is not there; a Role in it allows that too."""
    return await _review(api, {"verb": "get", "resource": NAMESPACE.plural, "name": namespace, "namespace": namespace})


def _gives(rule: Object, right: Right) -> bool:
    """Whether a rule gives a right on all objects of its kind."""
    asked = {"verbs": right.verb, "apiGroups": right.group, "resources": right.resource}
    return not rule.get("resourceNames") and all(
        {"*", value} & set(rule.get(field) or ()) for field, value in asked.items()
    )


async def _is_allowed(api: Api, namespace: str, right: Right) -> bool:
    where = {"namespace": namespace, "group": right.group, "resource": right.kind.plural, "subresource": right.sub}
    return await _review(api, {"verb": right.verb, **where})


async def _review(api: Api, attributes: dict[str, str]) -> bool:
    given = {key: value for key, value in attributes.items() if value}
    answer = await api.create(_REVIEW, "", {"spec": {"resourceAttributes": given}})
    return bool(answer["status"].get("allowed"))
