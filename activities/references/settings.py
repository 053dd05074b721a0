"""Settings of what a worker asks of image registries."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from activities.settings import SettingsModel
from workflows.model.shapes import Duration


class RegistrySettings(SettingsModel):
    """What is asked of image registries before a release starts."""

    check: bool = True
    """Ask whether each image can be pulled; one that is not there is refused before anything is touched. A registry
    that gives no answer is only warned of, because the nodes may reach it nevertheless."""
    pin: bool = True
    """Release the digest that a registry answers for a tag, so that a tag that is moved later changes nothing."""
    timeout: Annotated[Duration, Field(ge=timedelta(milliseconds=100), le=timedelta(seconds=20))] = timedelta(seconds=5)
    """How long the answers for one image may take, together."""
    plain_http: tuple[str, ...] = ()
    """Registries (host or host:port) that are asked without TLS; those on this machine are so anyway."""
