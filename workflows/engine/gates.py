"""The gates of one release: who was asked for what, and who answered.

A vote counts for exactly one instance (gate, plan digest, step): after a reset, re-applied votes cannot open another
gate.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from workflows.governance import quorum
from workflows.model.messages import Voice
from workflows.model.plan import Gate
from workflows.model.status import GateStatus, Vote


class Gates:
    """Open and decided gates, in the order they were asked for."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}
        self._status: dict[str, GateStatus] = {}
        self._askers: dict[str, list[str]] = {}

    def ask(self, gate: Gate, instance: str, component: str, now: datetime) -> GateStatus | None:
        """Opens a gate; returns its status when it is new, None when somebody asked before."""
        askers = self._askers.setdefault(instance, [])
        if component not in askers:
            askers.append(component)
        if instance in self._gates:
            return None
        self._gates[instance] = gate
        self._status[instance] = GateStatus(
            name=gate.name,
            instance=instance,
            component=component,
            count=gate.count,
            groups=gate.groups,
            opened_at=now,
            expires_at=now + timedelta(seconds=gate.expires_seconds),
        )
        return self._status[instance]

    def askers(self, instance: str) -> list[str]:
        """Components that wait for this instance."""
        return self._askers.get(instance, [])

    def objection(self, voice: Voice) -> str | None:
        """Why a vote cannot be taken, in a sentence; None when it can."""
        instance = self._find(voice.gate)
        if instance is None:
            known = ", ".join(sorted({status.name for status in self.open()})) or "none"
            decided = next((s for s in self._status.values() if voice.gate in (s.name, s.instance)), None)
            if decided is not None:
                return f"gate {voice.gate!r} is {decided.state} already; open gates: {known}"
            return f"there is no open gate {voice.gate!r}; open gates: {known}"
        if len(self._matches(voice.gate)) > 1:
            names = ", ".join(self._matches(voice.gate))
            return f"several gates are called {voice.gate!r}; name one instance: {names}"
        gate, person = self._gates[instance], voice.by.lower()
        if not quorum.counts(gate, person):
            return f"{voice.by} is in none of the groups that may decide gate {gate.name!r}: {', '.join(gate.groups)}"
        if any(vote.person == person for vote in self._status[instance].votes):
            return f"{voice.by} has already decided gate {gate.name!r}; a second decision does not count"
        return None

    def vote(self, voice: Voice, decision: str, now: datetime) -> GateStatus | None:
        """Counts a vote and returns the gate's status; None when it cannot be taken."""
        instance = self._find(voice.gate)
        if instance is None or self.objection(voice) is not None:
            return None
        vote = Vote(
            person=voice.by.lower(),
            decision="approve" if decision == "approve" else "reject",
            comment=voice.comment,
            at=now,
        )
        status = self._status[instance]
        votes = (*status.votes, vote)
        state = quorum.decide(self._gates[instance], votes)
        self._status[instance] = status.model_copy(update={"votes": votes, "state": state})
        return self._status[instance]

    def expire(self, now: datetime) -> list[GateStatus]:
        """Closes the gates whose time is over and returns them."""
        over = [status for status in self.open() if status.expires_at is not None and status.expires_at <= now]
        closed = [status.model_copy(update={"state": "expired"}) for status in over]
        self._status.update({status.instance: status for status in closed})
        return closed

    def next_expiry(self) -> datetime | None:
        """When the next open gate closes."""
        return min((status.expires_at for status in self.open() if status.expires_at), default=None)

    def open(self) -> list[GateStatus]:
        """Gates that still wait."""
        return [status for status in self._status.values() if status.state == "open"]

    def all(self) -> tuple[GateStatus, ...]:
        """Every gate that was ever asked for in this release."""
        return tuple(self._status.values())

    def _matches(self, name: str) -> list[str]:
        return [status.instance for status in self.open() if name in (status.name, status.instance)]

    def _find(self, name: str) -> str | None:
        return next(iter(self._matches(name)), None)
