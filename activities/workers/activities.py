"""A worker introduces itself."""

from __future__ import annotations

from workflows.contracts.workers import Introduction, WorkerActivities


class Workers(WorkerActivities):
    """Answers for the worker that it was made for."""

    def __init__(self, introduction: Introduction) -> None:
        self._introduction = introduction

    async def introduce(self) -> Introduction:
        return self._introduction
