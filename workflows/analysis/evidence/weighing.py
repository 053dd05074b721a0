"""What a session knows of evidence: the states of all metrics in, one decision and what people see out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from workflows.analysis import reasons
from workflows.analysis.evidence.composite import Modes, Overall, Part, Weighed, decided, overall, part_of
from workflows.analysis.evidence.findings import finding, reported
from workflows.analysis.evidence.parameters import Parameters
from workflows.model.analysis import Metric
from workflows.model.decision import Decision, EvidenceReport, MetricReport

NOTHING = "nothing speaks against the new version so far"


class Balance(NamedTuple):
    """The evidence of a release after a tick."""

    parameters: Parameters
    parts: tuple[Part, ...]
    now: Overall
    decision: Decision

    def part(self, name: str) -> Part | None:
        """A metric's evidence; None for one with rules only."""
        return next((part for part in self.parts if part.metric.name == name), None)

    @property
    def weighed(self) -> Weighed:
        """What the next tick needs."""
        return self.now.weighed

    @property
    def report(self) -> EvidenceReport | None:
        """Everything together, as people see it; None without evidence modes."""
        if not self.parts:
            return None
        return EvidenceReport(
            log_e=self.now.log_e,
            peak=self.weighed.peak,
            threshold=self.parameters.threshold,
            sentence=self.decision.message or NOTHING,
        )

    def shown(self, rules: Mapping[str, MetricReport], metrics: Sequence[Metric]) -> tuple[MetricReport, ...]:
        """Every metric's report: that of its rule, with its evidence where some is weighed."""
        return tuple(self._shown(metric, rules.get(metric.name)) for metric in metrics)

    def _shown(self, metric: Metric, rule: MetricReport | None) -> MetricReport:
        part = self.part(metric.name)
        if part is None:
            return rule or MetricReport(name=metric.name)
        found = finding(self.parameters, part, self.weighed)
        is_blamed = self.decision.reason == reasons.EVIDENCE_FOUND and self._blamed == metric.name
        return reported(rule, found, metric, is_blamed=is_blamed, leaning=self.parameters.leaning)

    @property
    def _blamed(self) -> str:
        peaks = self.weighed.peaks
        return max(peaks, key=lambda name: peaks[name], default="")


def balance(parameters: Parameters, states: Sequence[tuple[Metric, Modes]], before: Weighed) -> Balance:
    """Weighs all metrics once, with what was reached before."""
    parts = tuple(part for metric, modes in states if (part := part_of(metric, modes)))
    now = overall(parameters, parts, before)
    return Balance(parameters, parts, now, decided(parameters, parts, now))
