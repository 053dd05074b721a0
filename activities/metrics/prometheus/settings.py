"""Settings of the Prometheus servers that a worker may ask."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from activities.settings import SettingsModel
from workflows.model.shapes import Duration

LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class BasicAuth(SettingsModel):
    """A user whose password is in a file."""

    username: Annotated[str, Field(min_length=1)]
    """Who asks."""
    password_file: Path
    """The password alone; read anew for each question, so it may change."""


class TlsFiles(SettingsModel):
    """Files of an encrypted connection."""

    ca_file: Path | None = None
    """The authorities that the server's certificate is checked against; the usual ones when not given."""
    cert_file: Path | None = None
    """The worker's own certificate."""
    key_file: Path | None = None
    """Its key."""

    @model_validator(mode="after")
    def _belong_together(self) -> TlsFiles:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("certFile and keyFile belong together; give both or none")
        return self


class Labels(SettingsModel):
    """What this Prometheus calls what its targets are."""

    namespace: LabelName = "namespace"
    """The label with a pod's namespace."""
    pod: LabelName = "pod"
    """The label with a pod's name."""


class PrometheusSettings(SettingsModel):
    """Settings of a provider that asks a Prometheus, or what speaks like one."""

    kind: Literal["prometheus"]
    url: Annotated[str, Field(pattern=r"^https?://[^/@?#]+(/[^?#]*)?$")]
    """Where it is, without /api/v1, such as http://prometheus.monitoring:9090."""
    bearer_token_file: Path | None = None
    """A token; the file is read anew for each question, so it may change."""
    basic_auth: BasicAuth | None = None
    """Instead of a token."""
    tls: TlsFiles = TlsFiles()
    headers: dict[str, SecretStr] = {}
    """More headers of each question, such as a tenant's X-Scope-OrgID."""
    scrape_interval: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=1))] = timedelta(
        seconds=15
    )
    """How often it scrapes what releases are judged by; `tick` is never shorter, and whole seconds."""
    lag: Annotated[Duration, Field(le=timedelta(minutes=5))] = timedelta(seconds=5)
    """How late a sample may arrive: longer than the longest scrape, and than what a remote store takes to show it."""
    timeout: Annotated[float, Field(gt=0, le=30)] = 5
    """Seconds that an answer may take."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 8
    """Questions under way at the same time."""
    labels: Labels = Labels()

    @model_validator(mode="after")
    def _one_way_in(self) -> PrometheusSettings:
        if self.bearer_token_file and self.basic_auth:
            raise ValueError("bearerTokenFile and basicAuth are two ways in; give one of them")
        return self
