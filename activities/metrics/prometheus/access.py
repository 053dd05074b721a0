"""How a question proves who asks: from files that are read each time, because credentials are rotated."""

from __future__ import annotations

from pathlib import Path

from requests import PreparedRequest, Session
from requests.auth import AuthBase, HTTPBasicAuth

from activities.metrics.prometheus.settings import PrometheusSettings
from workflows.errors import Unavailable


class BearerFile(AuthBase):
    """A token in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {_secret(self._file)}"
        return request


class PasswordFile(AuthBase):
    """A user with a password in a file."""

    def __init__(self, username: str, file: Path) -> None:
        self._username = username
        self._file = file

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return HTTPBasicAuth(self._username, _secret(self._file))(request)


def credentials(settings: PrometheusSettings) -> AuthBase | None:
    """What the settings give; None asks without."""
    if settings.bearer_token_file:
        return BearerFile(settings.bearer_token_file)
    if settings.basic_auth:
        return PasswordFile(settings.basic_auth.username, settings.basic_auth.password_file)
    return None


def session(settings: PrometheusSettings) -> Session:
    """A connection pool with the files of TLS."""
    made, tls = Session(), settings.tls
    if tls.ca_file:
        made.verify = str(tls.ca_file)
    if tls.cert_file and tls.key_file:
        made.cert = (str(tls.cert_file), str(tls.key_file))
    return made


def _secret(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise Unavailable(f"{file} cannot be read, so Prometheus cannot be asked: {error.strerror}") from error
