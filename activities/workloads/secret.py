"""What stands beside a workload: mark and kept versions, in a Secret of the same namespace.

A Secret and not a ConfigMap, because pod templates may hold what not everybody should read.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from activities.clusters.kept import newest
from activities.clusters.kubernetes.api import Api, Object
from activities.clusters.kubernetes.kinds import SECRET
from activities.clusters.kubernetes.labels import MANAGED, TARGET, target_label
from activities.clusters.kubernetes.patch import Operation, put, replace, test
from activities.clusters.kubernetes.resources import Resource
from activities.workloads.protocol import Record
from workflows.errors import Fenced, Rejected
from workflows.model.target import Claim, Promoted, Target

logger = logging.getLogger(__name__)

LIMIT = 700_000
"""Characters of a record; a Secret takes 1 MiB, and base64 makes four of three."""

_FIELD = "record"
_TYPE = "headgate.dev/record"


@dataclass(frozen=True)
class RecordSecret(Resource):
    """The record of one workload; the Secret is made when it is claimed first, and stays."""

    @classmethod
    def beside(cls, api: Api, target: Target) -> RecordSecret:
        """Whose workload need not be there."""
        return cls(api, SECRET, target.namespace, f"headgate-{target.sort.lower()}-{target.name}")

    async def replace_claim(self, key: str, *, expected: Claim | None, claim: Claim) -> bool:
        if expected is not None or await self.find() is not None:
            return await super().replace_claim(key, expected=expected, claim=claim)
        try:
            await self.create(
                key, claim, {"metadata": {"labels": MANAGED | {TARGET: target_label(key)}}, "type": _TYPE}
            )
        except Fenced:
            return False
        return True

    async def read(self) -> Record:
        """The record; an empty one where there is none."""
        found = await self.find()
        return record_in(found) if found else Record()

    async def write(self, key: str, claim: Claim, change: Callable[[Record], Record]) -> Record:
        """Puts another record in place of the one that is there. Errors: Fenced."""

        def operations(found: Object) -> list[Operation]:
            text = _encoded(change(record_in(found)))
            if found.get("data"):
                return replace(found, ("data", _FIELD), text)
            return [test(("data",), None), put(("data",), {_FIELD: text})]

        return record_in(await self.change(key, claim, operations))


async def records(api: Api, namespace: str = "") -> list[Record]:
    """Every record of a cluster, or of one namespace in it; one that cannot be read is skipped with a warning."""
    found = []
    for secret in await api.search(SECRET, namespace, labels=MANAGED):
        if secret.get("type") != _TYPE:
            continue
        try:
            found.append(record_in(secret))
        except Rejected as error:
            logger.warning("%s", error)
    return found


def record_in(secret: Object) -> Record:
    """The record in a Secret. Errors: Rejected when somebody damaged it."""
    text = (secret.get("data") or {}).get(_FIELD)
    if not text:
        return Record()
    try:
        return Record.model_validate_json(base64.b64decode(text))
    except (ValueError, ValidationError) as error:
        place = f"{secret['metadata']['namespace']}/{secret['metadata']['name']}"
        raise Rejected(f"Secret {place} holds no record that can be read", provider="kubernetes") from error


def settled(record: Record, promoted: Promoted | None) -> Record:
    """Without its mark and with the version; what is settled already stays as it is."""
    if record.mark is None:
        return record
    return Record(kept=tuple(newest([*record.kept, promoted])) if promoted else record.kept)


def _encoded(record: Record) -> str:
    """As JSON that fits; the oldest versions go first when it does not."""
    text = record.model_dump_json(by_alias=True)
    while len(text) > LIMIT and record.kept:
        record = record.model_copy(update={"kept": record.kept[1:]})
        text = record.model_dump_json(by_alias=True)
    return base64.b64encode(text.encode()).decode()
