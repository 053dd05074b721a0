"""What a platform team configures about a worker: one YAML file, any field of it overridden by a `HEADGATE_*` variable.

How Temporal is reached is not here: that comes from the profile file and the variables that the `temporal` CLI reads
too. Nothing in this module opens a connection; a worker with wrong settings says everything that is wrong and does not
start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from activities.audit.registry import AuditSettings
from activities.clusters.envoy.settings import EnvoySettings
from activities.clusters.kubernetes.settings import KubernetesSettings
from activities.clusters.local.settings import ProcessSettings
from activities.metrics.registry import MetricsSettings
from activities.notifications.registry import ChannelSettings
from activities.references.settings import RegistrySettings
from activities.settings import SettingsModel
from worker.sources import FILE_VARIABLE, Variables, read_yaml
from workflows.errors import SpecError
from workflows.model.complaints import problems_of
from workflows.model.locations import locate
from workflows.model.shapes import Duration, Name

M = TypeVar("M", bound=BaseModel)


def _address(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(
            f"{value!r} is not an address; write HOST:PORT, such as 127.0.0.1:8088, with port 0 for a free one"
        )
    return value


Address = Annotated[str, AfterValidator(_address)]
Slots = Annotated[int, Field(ge=1, le=10_000)]


class SlotSettings(SettingsModel):
    """How much a worker does at a time."""

    workflow_tasks: Slots = 50
    """Decisions of workflows made at the same time."""
    activities: Slots = 100
    """Changes, checks, notifications and the like carried out at the same time."""
    observers: Slots = 200
    """Components observed at the same time; one more than this waits, and its release does not go on meanwhile."""
    undo: Slots = 20
    """Activities of undos carried out at the same time, kept apart so that nothing else can delay them."""


class LogSettings(SettingsModel):
    """What a worker writes to standard error."""

    format: Literal["console", "json"] = "console"
    """`json` is one object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe line that is written."""


class TelemetrySettings(SettingsModel):
    """Where traces go; metrics are at `/metrics` of the health address."""

    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """An OTLP/HTTP collector, such as http://localhost:4318; without it nothing is traced."""
    otlp_headers: dict[str, SecretStr] = {}
    """Headers for the collector, such as its credentials."""


class HealthSettings(SettingsModel):
    """The HTTP server for probes and Prometheus."""

    bind: Address | None = "127.0.0.1:8088"
    """Where `/livez`, `/readyz` and `/metrics` are served; port 0 takes a free one, `null` serves nothing."""


class ShutdownSettings(SettingsModel):
    """What happens on SIGTERM."""

    grace: Duration = timedelta(seconds=30)
    """How long running activities may go on; keep it below the time after which the supervisor kills."""


class JanitorSettings(SettingsModel):
    """The clean-up of targets whose release was terminated or lost."""

    enabled: bool = True
    """Whether this worker keeps the schedule `headgate-janitor`, and runs it once when it starts."""
    every: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=20)
    """How often orphaned targets are looked for."""


class Settings(BaseSettings):
    """Everything a worker reads."""

    model_config = cast("SettingsConfigDict", SettingsModel.model_config)
    variables: ClassVar[Mapping[str, str]] = {}
    """The environment that is read; `load` puts the process's here."""

    task_queue: Annotated[str, Field(min_length=1, max_length=200)] = "headgate"
    """The queue of the workflows; observers poll `<queue>.observe`, undos `<queue>.undo`."""
    workflows: bool = True
    """Whether this worker decides what releases do; `false` for one inside a cluster, which others send work to by
    `kubernetes.clusters.<name>.queue`."""
    policy: Path | None = None
    """The Policy document; without it every environment is refused."""
    slots: SlotSettings = SlotSettings()
    log: LogSettings = LogSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    health: HealthSettings = HealthSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    janitor: JanitorSettings = JanitorSettings()
    process: ProcessSettings = ProcessSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    registries: RegistrySettings = RegistrySettings()
    notifications: dict[Name, ChannelSettings] = {}
    """Channels to people by name; each message goes to all of them, and without any to the log."""
    audit: dict[Name, AuditSettings] = {}
    """Audit sinks by name; each record goes to all of them, and without any nothing is kept."""
    metrics: dict[Name, MetricsSettings] = {}
    """Metrics providers by the names that `analysis.provider` uses; without any, `main` scrapes the Envoy below."""
    envoy: EnvoySettings | None = None
    """The Envoy that the `envoy` router writes for; without it that router is unknown."""

    @model_validator(mode="after")
    def _queues_of_others(self) -> Self:
        for alias, cluster in self.kubernetes.clusters.items():
            if cluster.queue == self.task_queue:
                raise ValueError(
                    f"kubernetes.clusters.{alias}.queue is the taskQueue of this worker; inside the cluster say how it "
                    "is reached instead, such as inCluster: true"
                )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - it reads variables without our prefix and spelling.
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The variables win over the file, which arrives as arguments."""
        return Variables(settings_cls, cls.variables), init_settings


def load(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings from a file (`HEADGATE_SETTINGS` when not given) and the variables, which win.

    Errors: SpecError with everything that is wrong at once.
    """
    variables = os.environ if environ is None else environ
    if file is None and (named := variables.get(FILE_VARIABLE)):
        file = Path(named)
    surrounded: type[Settings] = type("Settings", (Settings,), {"variables": variables})
    try:
        settings = surrounded(**(read_yaml(file) if file else {}))
    except ValidationError as error:
        raise SpecError(problems_of(_masked(error), Settings)) from None
    return resolved(settings, (file.parent if file else Path()).absolute())


def _masked(error: ValidationError) -> ValidationError:
    """The same findings without the values of secrets, since every problem shows what it found."""
    findings = [
        InitErrorDetails(
            type=details["type"],
            loc=details["loc"],
            input="***" if _may_be_secret(details) else details["input"],
            ctx=details.get("ctx", {}),
        )
        for details in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data(error.title, findings)


def _may_be_secret(details: ErrorDetails) -> bool:
    location = details["loc"]
    fields = [locate(Settings, location[:end]).field for end in range(1, len(location) + 1)]
    return isinstance(details["input"], dict | list) or any(f and "SecretStr" in str(f.annotation) for f in fields)


def resolved(model: M, base: Path) -> M:
    """The model with every relative path in it, however deep, taken from `base`."""
    changes = {name: _resolved(getattr(model, name), base) for name in type(model).model_fields}
    return model.model_copy(update=changes)


def _resolved(value: Any, base: Path) -> Any:
    match value:
        case Path():
            return base / value.expanduser()
        case BaseModel():
            return resolved(value, base)
        case dict():
            return {key: _resolved(item, base) for key, item in value.items()}
        case tuple() | list():
            return type(value)(_resolved(item, base) for item in value)
        case _:
            return value
