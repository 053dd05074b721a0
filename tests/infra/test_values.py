"""What keeps the chart and the code together; nothing here is rendered."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

from activities.clusters.kubernetes.clusters import Clusters
from activities.clusters.kubernetes.settings import KubernetesCluster, KubernetesSettings
from activities.traffic.registry import traffic_routers
from infra.helm.schema import FILE, values_schema
from tests.infra.chart import CHART, ROUTERS

ROOT = Path(__file__).parents[2]


def test_every_router_can_be_allowed() -> None:
    known = traffic_routers(None, Clusters(KubernetesSettings())).kinds

    assert set(known) - {"none"} <= set(ROUTERS), "add it to infra/helm/values.schema.yaml and _rules.tpl"


def test_the_schema_is_up_to_date() -> None:
    assert FILE.read_text() == values_schema(), "run `python -m infra.helm`"


def test_every_value_is_in_the_readme() -> None:
    text = (CHART / "README.md").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert [name for name in values if f"`{name}" not in text] == []


def test_the_own_cluster_has_the_defaults_of_a_worker() -> None:
    own = yaml.safe_load((CHART / "values.yaml").read_text())["inCluster"]
    worker = KubernetesCluster()

    assert (own["callsPerSecond"], own["burst"]) == (worker.calls_per_second, worker.burst)
    assert own["argoCd"]["elsewhere"] is worker.argo_cd.elsewhere


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert {chart["version"], chart["appVersion"]} == {project["version"]}
