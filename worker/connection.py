"""The worker's connection to Temporal, configured exactly as that of the `temporal` CLI.

A worker outlives its server's restarts and may be started before it, so connecting never gives up; it says once what it
waits for, and again only when the reason changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, Interceptor
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from worker.failures import data_converter
from workflows.engine.visibility import KEYS
from workflows.errors import Problem, SpecError

logger = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_ADDRESS = "localhost:7233"
ATTEMPT = timedelta(seconds=5)
PAUSE = 2.0
"""Seconds between attempts."""

_CANNOT_ASK = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)


def profile(environ: Mapping[str, str] | None = None) -> ClientConnectConfig:
    """Address, namespace, credentials and TLS from the profile file and `TEMPORAL_*`. Errors: SpecError."""
    try:
        config = ClientConfig.load_client_connect_config(override_env_vars=environ)
    except (RuntimeError, ValueError, OSError) as error:
        raise SpecError([Problem("Temporal profile", f"cannot be read: {error}")]) from error
    config.setdefault("target_host", DEFAULT_ADDRESS)
    return config


async def connect(
    config: ClientConnectConfig, *, runtime: Runtime | None = None, interceptors: Sequence[Interceptor] = ()
) -> Client:
    """A client that is connected and sees its namespace; waits as long as it takes, until cancelled."""
    place = f"Temporal at {config['target_host']}, namespace {config.get('namespace', 'default')}"

    async def attempt() -> Client:
        client = await Client.connect(
            **config,
            data_converter=data_converter,
            runtime=runtime,
            interceptors=interceptors,
            connect_timeout=ATTEMPT,
        )
        request = DescribeNamespaceRequest(namespace=client.namespace)
        await client.workflow_service.describe_namespace(request, timeout=ATTEMPT)
        return client

    client = await persistently(place, attempt)
    logger.info("connected to %s", place)
    return client


async def persistently(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """The result of the first attempt that succeeds; each reason for waiting is logged once."""
    waited_for = ""
    while True:
        try:
            return await attempt()
        except (RuntimeError, OSError, RPCError) as error:
            if (reason := _reason(error)) != waited_for:
                logger.warning("waiting for %s: %s", what, reason)
                waited_for = reason
            await asyncio.sleep(PAUSE)


async def missing_search_attributes(client: Client) -> list[str]:
    """Those of Headgate's search attributes that the namespace does not have, as `Name (Type)`.

    A workflow that writes an unregistered one retries its task for ever, so a worker asks before it polls. Where the
    server does not let a worker list them, each is tried in a query; that tells names, not types.
    """
    try:
        listed = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), timeout=ATTEMPT
        )
    except RPCError as error:
        if error.status not in _CANNOT_ASK:
            raise
        return [key.name for key in KEYS if not await _can_query(client, key.name)]
    registered = dict(listed.custom_attributes)
    wanted = {key.name: IndexedValueType.ValueType(int(key.indexed_value_type)) for key in KEYS}
    return [
        f"{name} ({IndexedValueType.Name(kind).removeprefix('INDEXED_VALUE_TYPE_').title()})"
        for name, kind in wanted.items()
        if registered.get(name) != kind
    ]


async def _can_query(client: Client, name: str) -> bool:
    try:
        await client.count_workflows(f"{name} IS NOT NULL", rpc_timeout=ATTEMPT)
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        return False
    return True


def _reason(error: Exception) -> str:
    """The part of a transport error that a person can act on."""
    text = str(error)
    for sign, sentence in {
        "ConnectionRefused": "connection refused",
        "dns error": "the host name is unknown",
        "Unauthenticated": "the server wants other credentials",
        "PermissionDenied": "these credentials may not do that",
        "InvalidCertificate": "the server's certificate is not trusted",
    }.items():
        if sign in text:
            return sentence
    return text.removeprefix("Failed client connect: ")[:300]
