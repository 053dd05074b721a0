"""What the chart renders, with no cluster: settings that a worker takes, pods that are locked up, and no secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from activities.clusters.kubernetes import kinds
from activities.clusters.kubernetes.kinds import Kind
from activities.clusters.kubernetes.settings import ArgoCdSettings
from tests.infra.chart import ALL, CHART, FULL, Helm, Manifest, Refused, merged, only
from worker.reference import _ALERTS
from worker.service import OVERTIME
from worker.settings import Settings, load
from worker.wiring import read_policy

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
EVERYTHING = {"namespaces": ["shop"], **ALL, "argoCd": {"namespace": "argocd"}}
PROFILE = {"temporal": {"profile": {"secret": "profiles"}}}


def settings_of(manifests: list[Manifest], folder: Path, environ: dict[str, str]) -> Settings:
    """As a worker reads them from the mounted ConfigMap."""
    for name, text in only(manifests, "ConfigMap")["data"].items():
        (folder / name).write_text(text)
    return load(folder / "headgate.yaml", environ)


def container(manifests: list[Manifest]) -> Any:
    [found] = only(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def pods(manifests: list[Manifest]) -> list[Any]:
    return [found["spec"]["template"]["spec"] for found in manifests if found["kind"] in ("Deployment", "Job")]


def variables(manifests: list[Manifest]) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container(manifests)["env"]}


def rules(manifests: list[Manifest]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for found in manifests
        if found["kind"] == "Role"
        for rule in found["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


# Settings and policy.


def test_a_worker_takes_the_settings_as_they_come(helm: Helm, tmp_path: Path) -> None:
    settings = settings_of(helm.render(), tmp_path, {})

    assert settings.health.bind == "0.0.0.0:8088"
    assert settings.policy is None
    assert not settings.kubernetes.clusters


def test_a_worker_takes_everything_that_can_be_set(helm: Helm, tmp_path: Path) -> None:
    manifests = helm.render(**FULL)
    environ = {item["name"]: "https://ops.example/hook" for item in FULL["secretEnv"]}

    settings = settings_of(manifests, tmp_path, environ)

    assert settings.slots.observers == 400
    own = settings.kubernetes.clusters["main"]
    assert own.in_cluster
    assert own.namespaces == ("shop", "trips")
    assert (own.calls_per_second, own.burst) == (30, 60)
    assert own.argo_cd == ArgoCdSettings(namespace="argocd", elsewhere=True)
    assert settings.kubernetes.clusters["other"].calls_per_second == 20
    assert set(settings.notifications) == {"ops", "log"}
    assert set(read_policy(settings.policy).spec.environments) == {"production"}


def test_the_values_of_the_how_to_make_an_installation(helm: Helm, tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / "examples/values.yaml").read_text())

    settings = settings_of(helm.render(**values), tmp_path, {})

    assert settings.kubernetes.clusters["main"].namespaces == ("shop",)
    assert set(read_policy(settings.policy).spec.environments) == {"production"}


def test_the_values_of_a_cluster_of_its_own_make_workers_that_decide_nothing(helm: Helm, tmp_path: Path) -> None:
    manifests = helm.render(**yaml.safe_load((ROOT / "examples/values-inside.yaml").read_text()))

    settings = settings_of(manifests, tmp_path, {})

    assert (settings.task_queue, settings.workflows) == ("headgate-prod-eu", False)
    assert settings.kubernetes.clusters["prod-eu"].in_cluster
    assert not any(found["kind"] == "Job" for found in manifests)


def test_another_policy_rolls_the_workers(helm: Helm) -> None:
    def mark(**values: Any) -> Any:
        return only(helm.render(**values), "Deployment")["spec"]["template"]["metadata"]["annotations"]

    assert mark() == mark(replicas=3)
    assert mark() != mark(settings={"slots": {"undo": 21}})


@pytest.mark.parametrize(
    ("grace", "seconds"), [("30s", 45), ("1m30s", 105), ("0.5h", 1815), ("1500ms", 17), ("0s", 15)]
)
def test_a_worker_has_more_time_to_end_than_its_grace(helm: Helm, grace: str, seconds: int) -> None:
    [pod, *_] = pods(helm.render(settings={"shutdown": {"grace": grace}}))

    assert pod["terminationGracePeriodSeconds"] == seconds
    assert settings_seconds(grace) + OVERTIME < seconds


def settings_seconds(grace: str) -> float:
    return load(None, {"HEADGATE_SHUTDOWN__GRACE": grace}).shutdown.grace.total_seconds()


def test_the_probes_ask_where_the_worker_answers(helm: Helm) -> None:
    found = container(helm.render(settings={"health": {"bind": "[::]:9000"}}))

    assert found["ports"] == [{"name": "health", "containerPort": 9000}]
    assert [found[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")] == [
        {"path": path, "port": "health"} for path in ("/livez", "/livez", "/readyz")
    ]


# What pods may and may not.


@pytest.mark.parametrize("values", [{}, FULL], ids=["default", "full"])
def test_no_pod_can_write_or_become_root(helm: Helm, values: dict[str, Any]) -> None:
    for pod in pods(helm.render(**values)):
        [found] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert found["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not pod["enableServiceLinks"]


def test_there_is_no_token_without_a_namespace_to_use_it_in(helm: Helm) -> None:
    alone, joined = helm.render(), helm.render(inCluster={"namespaces": ["shop"]})

    assert [pod["automountServiceAccountToken"] for pod in pods(alone)] == [False, False]
    assert [pod["automountServiceAccountToken"] for pod in pods(joined)] == [True, False]
    assert not rules(alone)
    assert all(not only(found, "ServiceAccount")["automountServiceAccountToken"] for found in (alone, joined))


def test_secrets_come_by_reference_alone(helm: Helm) -> None:
    manifests = helm.render(**FULL)

    assert not [found for found in manifests if found["kind"] == "Secret"]
    assert variables(manifests)["TEMPORAL_API_KEY"] == {"secretKeyRef": {"name": "headgate-temporal", "key": "api-key"}}
    assert variables(manifests)["HEADGATE_NOTIFICATIONS__OPS__URL"] == {
        "secretKeyRef": {"name": "headgate-ops", "key": "url"}
    }


def test_a_profile_says_itself_where_temporal_is(helm: Helm) -> None:
    found = variables(helm.render(**PROFILE))

    assert found["TEMPORAL_CONFIG_FILE"] == "/etc/headgate-temporal/profile/temporal.toml"
    assert not {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"} & set(found)


@pytest.mark.parametrize("values", [{}, FULL], ids=["default", "full"])
def test_nothing_is_for_the_whole_cluster(helm: Helm, values: dict[str, Any]) -> None:
    manifests = helm.render(**values)

    assert {found["metadata"].get("namespace") for found in manifests} <= {"headgate", "shop", "trips", "argocd"}
    assert not [found for found in manifests if found["kind"].startswith("Cluster")]
    assert not [rule for rule in rules(manifests) if "*" in rule]


def test_the_network_lets_out_what_a_worker_needs_and_nothing_else(helm: Helm) -> None:
    policies = {found["metadata"]["name"]: found["spec"] for found in helm.render(**FULL) if _is_policy(found)}
    workers, setup = policies["headgate"], policies["headgate-setup"]

    assert [rule["ports"] for rule in workers["ingress"]] == [[{"protocol": "TCP", "port": "health"}]]
    assert [[port["port"] for port in rule.get("ports", [])] for rule in workers["egress"]] == [
        [53, 53],
        [7233],
        [443, 6443],
        [],
        [443],
    ]
    [pods_of] = workers["egress"][3]["to"]
    assert pods_of["namespaceSelector"]["matchExpressions"][0]["values"] == ["shop", "trips"]
    assert setup["egress"] == workers["egress"][:2]
    assert "ingress" not in setup


def _is_policy(found: Manifest) -> bool:
    return bool(found["kind"] == "NetworkPolicy")


def test_rights_on_applications_are_asked_for_and_only_where_these_are(helm: Helm, tmp_path: Path) -> None:
    own = {"namespaces": ["shop"], "argoCd": {"namespace": "argocd"}}
    manifests = helm.render(inCluster=own)

    roles = {found["metadata"]["namespace"]: found["rules"] for found in manifests if found["kind"] == "Role"}
    [rule] = roles["argocd"]
    assert rule == {
        "apiGroups": ["argoproj.io"],
        "resources": ["applications"],
        "verbs": ["get", "list", "watch", "patch"],
    }
    assert not any("argoproj.io" in rule["apiGroups"] for rule in roles["shop"])
    assert settings_of(manifests, tmp_path, {}).kubernetes.clusters["main"].argo_cd.namespace == "argocd"
    assert not any("argoproj.io" in str(found) for found in helm.render(inCluster={"namespaces": ["shop"]}))


# What keeps the chart and the code together.


def test_every_right_is_explained_and_every_explained_one_is_there(helm: Helm) -> None:
    text = (CHART / "README.md").read_text().split("## Rights")[1]
    cell = r" (?:`([\w./]*)`)? ?\|"
    rows = re.findall(
        rf"^\|(?: (?:any|`\w+`|all but `\w+`(?: and `\w+`)*) \|)?{cell}{cell} ([a-z, ]+) \| .+ \|$", text, re.MULTILINE
    )
    explained = {(group, resource, verb) for group, resource, verbs in rows for verb in verbs.split(", ")}

    assert explained == rules(helm.render(inCluster=EVERYTHING))


def test_every_kind_that_releases_touch_has_a_rule(helm: Helm) -> None:
    allowed = {(group, resource) for group, resource, _ in rules(helm.render(inCluster=EVERYTHING))}
    known = [found for found in vars(kinds).values() if isinstance(found, Kind)]
    forgotten = [kind.name for kind in known if (_group(kind), kind.plural) not in allowed]

    assert forgotten == [], "add them to infra/helm/headgate/templates/_rules.tpl and README.md"


def _group(kind: Kind) -> str:
    return kind.api_version.rpartition("/")[0]


def test_the_alerts_are_the_documented_ones(helm: Helm) -> None:
    [group] = only(helm.render(**FULL), "PrometheusRule")["spec"]["groups"]

    assert [rule["expr"] for rule in group["rules"]][:-1] == [expression for _, expression, _ in _ALERTS]
    assert group["rules"][-1]["expr"] == "sum(headgate_worker_ready) < 3"


# What is refused.

SECRET = "left out here, because it is a secret: name its Secret under secretEnv"

WRONG: list[Any] = [
    pytest.param({"replica": 2}, "at '': additional properties 'replica' not allowed", id="a misspelt value"),
    pytest.param({"replicas": 0}, "at '/replicas': minimum: got 0, want 1", id="no worker"),
    pytest.param({"replicas": "2"}, "at '/replicas': got string, want integer", id="text for a number"),
    pytest.param({"antiAffinity": "none"}, "at '/antiAffinity': value must be one of", id="no anti-affinity"),
    pytest.param({"image": {"digest": "abc"}}, "at '/image/digest': 'abc' does not match", id="no digest"),
    pytest.param({"temporal": {"address": "x"}}, "at '/temporal/address': 'x' does not match", id="no port"),
    pytest.param({"temporal": {"apiKey": "k"}}, "at '/temporal/apiKey': got string, want object", id="a key itself"),
    pytest.param({"inCluster": {"routers": ["haproxy"]}}, "at '/inCluster/routers/0'", id="unknown router"),
    pytest.param({"inCluster": {"callsPerSecond": 0}}, "at '/inCluster/callsPerSecond'", id="no calls"),
    pytest.param({"inCluster": {"workloads": ["job"]}}, "at '/inCluster/workloads/0'", id="unknown workload"),
    pytest.param({"inCluster": {"namespaces": ["A"]}}, "at '/inCluster/namespaces/0'", id="no namespace"),
    pytest.param({"secretEnv": [{"name": "A", "value": "x"}]}, "at '/secretEnv/0'", id="a secret's value"),
    pytest.param({"env": {"HEADGATE_TASK_QUEUE": "x"}}, "'/env/HEADGATE_TASK_QUEUE': .* under settings", id="setting"),
    pytest.param({"env": {"MY_PASSWORD": "x"}}, "'/env/MY_PASSWORD': .* under secretEnv", id="password"),
    pytest.param({"settings": {"slot": {}}}, "'/settings': additional properties 'slot' not", id="unknown setting"),
    pytest.param({"settings": {"slots": {"undo": 0}}}, "at '/settings/slots/undo': minimum", id="too small"),
    pytest.param({"settings": {"shutdown": {"grace": "30"}}}, "'/settings/shutdown/grace': '30' does", id="no unit"),
    pytest.param({"settings": {"health": {"bind": "0.0.0.0:0"}}}, "at '/settings/health/bind'", id="any port"),
    pytest.param({"settings": {"policy": "p.yaml"}}, "'/settings/policy': .* under policy", id="another policy"),
    pytest.param({"settings": {"audit": {"a": {"kind": "csv"}}}}, "'/settings/audit/a/kind': .* 'jsonl'", id="kind"),
    pytest.param(
        {"settings": {"audit": {"a": {"kind": "jsonl"}}}},
        "at '/settings/audit/a': missing property 'directory'",
        id="a field that a kind needs",
    ),
    pytest.param(
        {"settings": {"notifications": {"ops": {"kind": "webhook", "url": "https://x/token"}}}},
        f"at '/settings/notifications/ops/url': value must be '{SECRET}'",
        id="a secret among the settings",
    ),
    pytest.param(
        {"settings": {"kubernetes": {"clusters": {"main": {"inCluster": True}}}}},
        "at '/settings/kubernetes/clusters/main/inCluster': .* list namespaces under inCluster",
        id="the own cluster among the others",
    ),
    pytest.param({"policy": {"kind": "Policy"}}, "at '/policy': missing properties 'apiVersion', 'spec'", id="policy"),
    pytest.param(
        merged(FULL, {"policy": {"spec": {"environments": {"production": {"target": []}}}}}),
        "at '/policy/spec/environments/production': additional properties 'target' not allowed",
        id="a wrong policy",
    ),
    pytest.param(
        merged(FULL, {"inCluster": {"namespaces": ["trips"]}}),
        "policy.spec.environments.production may touch namespace shop of cluster main, where the workers have no "
        "rights; add it to inCluster.namespaces",
        id="a policy beyond the rights",
    ),
    pytest.param(
        merged(FULL, {"inCluster": {"alias": "other"}}),
        "settings.kubernetes.clusters.other is the alias of inCluster too",
        id="an alias twice",
    ),
    pytest.param(
        {**PROFILE, "networkPolicy": {"enabled": True}},
        "networkPolicy.temporal.port is missing",
        id="a port that only the profile knows",
    ),
]


@pytest.mark.parametrize(("values", "said"), WRONG)
def test_a_wrong_value_is_refused_by_name(helm: Helm, values: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        helm.render(**values)


def test_all_wrong_values_are_told_at_once(helm: Helm) -> None:
    with pytest.raises(Refused) as error:
        helm.render(replicas=0, antiAffinity="none", settings={"log": {"level": "loud"}})

    assert all(name in str(error.value) for name in ("/replicas", "/antiAffinity", "/settings/log/level"))
