"""Which of our errors an API server's answer becomes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from activities.clusters.kubernetes.api import AlreadyThere, Api
from activities.clusters.kubernetes.kinds import SERVICE
from activities.clusters.kubernetes.resources import Resource
from activities.clusters.kubernetes.settings import KubernetesCluster
from tests.activities.metrics.pages import Page, served
from workflows.errors import Conflict
from workflows.model.target import Claim

CLAIM = Claim(workflow_id="release", run_id="run", purpose="release", epoch=1)


@asynccontextmanager
async def answering(page: Page, directory: Path) -> AsyncIterator[Api]:
    """A client of an API server that has one answer for everything."""
    async with served(page):
        kubeconfig = directory / "kubeconfig"
        cluster = {"name": "test", "cluster": {"server": f"http://{page.address}"}}
        context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
        users = [{"name": "test", "user": {"token": "none"}}]
        content = {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "test"}
        kubeconfig.write_text(json.dumps(content))
        api = Api("test", KubernetesCluster(kubeconfig=kubeconfig))
        try:
            yield api
        finally:
            await api.close()


def a_conflict(reason: str) -> Page:
    return Page(status=409, text=json.dumps({"kind": "Status", "message": "no", "reason": reason, "code": 409}))


async def test_a_name_that_is_taken_is_told_from_other_conflicts(tmp_path: Path) -> None:
    for reason, error in (("AlreadyExists", AlreadyThere), ("Conflict", Conflict)):
        async with answering(a_conflict(reason), tmp_path) as api:
            with pytest.raises(Conflict, match="POST .*/services: no") as raised:
                await api.create(SERVICE, "test", {})
        assert type(raised.value) is error


async def test_a_conflict_that_is_not_about_the_name_is_left_to_the_next_attempt(tmp_path: Path) -> None:
    """As of a ResourceQuota that others write to: the object was not made, so none can be looked for."""
    page = a_conflict("Conflict")
    async with answering(page, tmp_path) as api:
        with pytest.raises(Conflict):
            await Resource(api, SERVICE, "test", "trip").create("key", CLAIM, {})
    assert page.asked == 1
