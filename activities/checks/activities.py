"""The bridge from the check contract to the provider of each check's kind: instances, tries and pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from activities import beats
from activities.checks.protocol import Answer, CheckProvider
from activities.endpoints import Endpoints
from activities.registry import Registry
from activities.workloads.protocol import Endpoint
from workflows.contracts.checks import CheckActivities, CheckRequest, CheckResult
from workflows.model.shapes import parse_duration

BEAT = 4.0
"""Longest time between two heartbeats."""

PARALLEL = 20
"""Instances that are asked at the same time."""

Sleep = Callable[[float], Awaitable[None]]


class Checks(CheckActivities):
    """Runs checks one after the other, each against all ready instances at once."""

    def __init__(
        self, providers: Registry[CheckProvider], endpoints: Endpoints, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._providers = providers
        self._endpoints = endpoints
        self._sleep = sleep

    async def run(self, request: CheckRequest) -> CheckResult:
        beating = asyncio.create_task(_beat())
        try:
            return await self._run(request)
        finally:
            beating.cancel()

    async def _run(self, request: CheckRequest) -> CheckResult:
        asked = 0
        for check in request.checks:
            failed, passed = await self._check(request, check)
            if failed:
                return CheckResult(passed=False, message=failed)
            asked = max(asked, passed)
        count = len(request.checks)
        return CheckResult(passed=True, message=f"{count} check{'s' * (count != 1)} passed on {asked} instances")

    async def _check(self, request: CheckRequest, check: Mapping[str, Any]) -> tuple[str, int]:
        """What failed in the last of the tries, and how many instances passed.

        Each try asks the instances that are ready then and have not passed yet, so that one which was replaced in
        between fails nothing.
        """
        provider = self._providers.get(str(check.get("kind", "")))
        tries, every = int(check.get("retries", 5)), parse_duration(check.get("every", "10s")).total_seconds()
        passed: set[str] = set()
        failed = ""
        for attempt in range(tries):
            if attempt:
                await self._sleep(every)
            endpoints = await self._endpoints.endpoints(request.target, request.slot)
            answers = await _ask(provider, check, [e for e in endpoints if e.token not in passed])
            passed |= {endpoint.token for endpoint, answer in answers if answer.passed}
            failed = _failure(check, endpoints, answers, tries=attempt + 1)
            if not failed:
                break
        return failed, len(passed)


async def _ask(
    provider: CheckProvider, check: Mapping[str, Any], endpoints: Sequence[Endpoint]
) -> list[tuple[Endpoint, Answer]]:
    slots = asyncio.Semaphore(PARALLEL)

    async def one(endpoint: Endpoint) -> tuple[Endpoint, Answer]:
        async with slots:
            return endpoint, await provider.ask(check, endpoint)

    return await asyncio.gather(*map(one, endpoints))


def _failure(
    check: Mapping[str, Any], endpoints: Sequence[Endpoint], answers: Sequence[tuple[Endpoint, Answer]], *, tries: int
) -> str:
    name = " ".join(str(check[field]) for field in ("kind", "method", "path") if field in check)
    after = f" after {tries} tries" if tries > 1 else ""
    if not endpoints:
        return f"{name}: no instance of the new version is ready{after}"
    bad = [(endpoint, answer) for endpoint, answer in answers if not answer.passed]
    if not bad:
        return ""
    endpoint, answer = bad[0]
    more = f" (and {len(bad) - 1} of {len(endpoints)} instances more)" if len(bad) > 1 else ""
    return f"{name}: instance {endpoint.address} {answer.message}{after}{more}"


async def _beat() -> None:
    while True:
        beats.send()
        await asyncio.sleep(BEAT)
