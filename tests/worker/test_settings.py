"""Settings come from one file and from variables, and whatever is wrong with them is said at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from worker.settings import Settings, load
from workflows.errors import SpecError


def settings_of(folder: Path, text: str = "", **variables: str) -> Settings:
    file = folder / "settings.yaml"
    file.write_text(text)
    return load(file, variables)


def problems_of(folder: Path, text: str = "", **variables: str) -> dict[str, str]:
    with pytest.raises(SpecError) as refused:
        settings_of(folder, text, **variables)
    return {problem.path: problem.message for problem in refused.value.problems}


def test_a_worker_needs_no_settings() -> None:
    settings = load(None, {})

    assert settings.task_queue == "headgate"
    assert settings.shutdown.grace == timedelta(seconds=30)
    assert settings.slots.undo > 0


def test_the_file_is_named_by_a_variable_when_no_option_names_it(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("taskQueue: named")

    assert load(None, {"HEADGATE_SETTINGS": str(file)}).task_queue == "named"


def test_a_variable_wins_over_the_file_and_leaves_its_neighbours(tmp_path: Path) -> None:
    text = "slots: {activities: 7, workflowTasks: 3}"

    slots = settings_of(tmp_path, text, HEADGATE_SLOTS__WORKFLOW_TASKS="9").slots

    assert (slots.activities, slots.workflow_tasks) == (7, 9)


@pytest.mark.parametrize(
    ("variables", "field", "value"),
    [
        ({"HEADGATE_TASK_QUEUE": "other"}, "task_queue", "other"),
        ({"HEADGATE_JANITOR__ENABLED": "false"}, "janitor.enabled", False),
        ({"HEADGATE_SHUTDOWN__GRACE": "1m30s"}, "shutdown.grace", timedelta(seconds=90)),
        ({"HEADGATE_HEALTH__BIND": "null"}, "health.bind", None),
        ({"HEADGATE_HEALTH": '{"bind": "0.0.0.0:80"}'}, "health.bind", "0.0.0.0:80"),
        ({"HEADGATE_TASK_QUEUE": ""}, "task_queue", "headgate"),
        ({"HEADGATE_SERVICE_HOST": "10.0.0.1", "HEADGATE_PORT_80_TCP_ADDR": "x"}, "task_queue", "headgate"),
        ({"HEADGATE_ENVOY": "/usr/bin/envoy", "HEADGATE_TEMPORAL_CLI": "t"}, "envoy", None),
    ],
    ids=["plain", "flag", "duration", "null", "json", "empty-is-unset", "kubernetes-service-link", "tools"],
)
def test_variables_give_fields(variables: dict[str, str], field: str, value: object) -> None:
    found: object = load(None, variables)
    for name in field.split("."):
        found = getattr(found, name)

    assert found == value


def test_a_member_of_a_family_can_come_from_variables_alone() -> None:
    settings = load(None, {"HEADGATE_METRICS__MAIN__KIND": "openmetrics", "HEADGATE_METRICS__MAIN__TIMEOUT": "1.5"})

    assert settings.metrics["main"].model_dump()["timeout"] == 1.5


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("taskQueu: x", "taskQueu", "did you mean taskQueue?"),
        ("slots: {observer: 5}", "slots.observer", "did you mean observers?"),
        ("slots: {undo: 0}", "slots.undo", "at least 1"),
        ("health: {bind: 8088}", "health.bind", "text"),
        ("health: {bind: localhost}", "health.bind", "HOST:PORT"),
        ("log: {format: xml}", "log.format", "console, json"),
        ("shutdown: {grace: 30}", "shutdown.grace", "30s"),
        ("process: {clusters: {local: {rot: x}}}", "process.clusters.local.rot", "did you mean root?"),
        ("metrics: {main: {kind: promtheus}}", "metrics.main.kind", "openmetrics"),
        ("audit: {main: {kind: jsonl}}", "audit.main.directory", "missing"),
        ("kubernetes: {clusters: {a: {queue: q, context: c}}}", "kubernetes.clusters.a", "queue stands alone: context"),
        ("taskQueue: q\nkubernetes: {clusters: {a: {queue: q}}}", "", "kubernetes.clusters.a.queue is the taskQueue"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(tmp_path: Path, text: str, path: str, words: str) -> None:
    problems = problems_of(tmp_path, text)

    assert path in problems
    assert words in problems[path]


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    assert len(problems_of(tmp_path, "slots: {undo: 0, observer: 1}\nlog: {format: xml}\nqueue: x")) == 4


def test_an_unknown_variable_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(SpecError, match="did you mean HEADGATE_TASK_QUEUE"):
        load(None, {"HEADGATE_TASKQUEUE": "x"})


def test_a_variable_that_is_no_json_is_refused() -> None:
    with pytest.raises(SpecError, match="HEADGATE_SLOTS"):
        load(None, {"HEADGATE_SLOTS": "{activities: 5"})


@pytest.mark.parametrize(
    ("text", "words"),
    [("- a list", "no fields"), ("a: [", "not YAML"), ("a: 1\na: 2", "not YAML"), (None, "cannot be read")],
    ids=["list", "broken", "duplicate-key", "missing"],
)
def test_a_file_that_holds_no_fields_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "settings.yaml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(SpecError, match=words):
        load(file, {})


def test_relative_paths_start_at_the_settings_file(tmp_path: Path) -> None:
    text = "policy: policy.yaml\nprocess: {clusters: {local: {root: state}, other: {root: /elsewhere}}}"

    settings = settings_of(tmp_path, text)

    assert settings.policy == tmp_path / "policy.yaml"
    assert settings.process.clusters["local"].root == tmp_path / "state"
    assert settings.process.clusters["other"].root == Path("/elsewhere")


SECRET = "t0p-s3cret"


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    text = f"""
    telemetry: {{otlpHeaders: {{authorization: {SECRET}}}}}
    notifications: {{hook: {{kind: webhook, url: "https://hooks.example/{SECRET}", secret: {SECRET}}}}}
    """
    settings = settings_of(tmp_path, text)

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump(mode="json"))


@pytest.mark.parametrize(
    "text",
    [
        "notifications: {hook: {kind: webhook, url: https://x, secret: 20261120}}",
        "notifications: {hook: {kind: webhook, url: 20261120}}",
        "notifications: {hook: {kind: apprise, urls: [20261120]}}",
        "telemetry: {otlpHeaders: {a: 20261120}}",
        "telemetry: {otlpHeaders: [20261120]}",
        "telemetry: [20261120]",
    ],
)
def test_a_secret_of_the_wrong_type_is_not_shown_either(tmp_path: Path, text: str) -> None:
    assert "20261120" not in str(problems_of(tmp_path, text))
