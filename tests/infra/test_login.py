"""How a worker signs in to a cluster: by a context of a kubeconfig, or as the pod that it runs in."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes.aio.config import incluster_config

from activities.clusters.kubernetes.api import Api
from activities.clusters.kubernetes.kinds import Kind
from activities.clusters.kubernetes.settings import KubernetesCluster
from tests.infra.chart import Helm
from tests.infra.cluster import Account, Server
from workflows.errors import Denied

pytestmark = pytest.mark.cluster

WHO = Kind("SelfSubjectReview", "authentication.k8s.io/v1", "selfsubjectreviews")


@asynccontextmanager
async def signed_in(**settings: Any) -> AsyncIterator[Api]:
    api = Api("test", KubernetesCluster(**settings))
    try:
        yield api
    finally:
        await api.close()


async def name_of(api: Api) -> str:
    """Whom the API server takes us for."""
    return str((await api.create(WHO, "", {}))["status"]["userInfo"]["username"])


@pytest.fixture
def accounts(kubeconfig: Path, helm: Helm, tmp_path: Path) -> list[Account]:
    """Two of them."""
    return [Server(kubeconfig).join(helm, tmp_path) for _ in range(2)]


def user(account: Account) -> str:
    return f"system:serviceaccount:{account.home}:headgate"


Mount = Callable[[Account], None]
"""Puts an account's token where Kubernetes mounts a pod's."""


@pytest.fixture
def mount(kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mount:
    """In a pod, as far as a program can see."""
    [cluster] = yaml.safe_load(kubeconfig.read_text())["clusters"]
    address = urlsplit(cluster["cluster"]["server"])
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    token, roots = tmp_path / "token", tmp_path / "ca.crt"
    roots.write_bytes(base64.b64decode(cluster["cluster"]["certificate-authority-data"]))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(roots))

    def mounted(account: Account) -> None:
        [found] = yaml.safe_load(account.kubeconfig.read_text())["users"]
        token.write_text(found["user"]["token"])

    return mounted


class Later(datetime):
    """The clock of somebody who waited for two minutes."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(time.time() + 120, tz)


async def test_a_worker_in_a_pod_signs_in_as_its_service_account_and_follows_its_token(
    accounts: list[Account], mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = accounts
    mount(first)
    async with signed_in(in_cluster=True) as api:
        assert await name_of(api) == user(first)
        mount(second)
        assert await name_of(api) == user(first), "it is read once a minute, and good for longer"
        monkeypatch.setattr(incluster_config, "datetime", SimpleNamespace(datetime=Later, timedelta=timedelta))
        assert await name_of(api) == user(second)


async def test_a_context_of_a_kubeconfig_is_used_and_its_current_one_is_not(
    accounts: list[Account], tmp_path: Path
) -> None:
    first, second = (yaml.safe_load(account.kubeconfig.read_text()) for account in accounts)
    users = [{"name": name, "user": found["users"][0]["user"]} for name, found in (("a", first), ("b", second))]
    contexts = [
        {"name": f"as-{name}", "context": {"cluster": first["clusters"][0]["name"], "user": name}} for name in "ab"
    ]
    file = tmp_path / "both.json"
    file.write_text(json.dumps({**first, "users": users, "contexts": contexts, "current-context": "as-a"}))
    async with signed_in(kubeconfig=file, context="as-b") as api:
        assert await name_of(api) == user(accounts[1])
    async with signed_in(kubeconfig=file) as api:
        assert await name_of(api) == user(accounts[0])


async def test_credentials_that_are_not_there_are_told_with_the_settings_to_check(
    accounts: list[Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    file = accounts[0].kubeconfig
    wrong: list[dict[str, Any]] = [{"in_cluster": True}, {"kubeconfig": file, "context": "nobody"}]
    for settings in wrong:
        async with signed_in(**settings) as api:
            with pytest.raises(Denied, match=r"cluster test: its credentials cannot be read \(.*kubernetes.clusters"):
                await name_of(api)
