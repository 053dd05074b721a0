"""Why an observation says what it says: stable constants, each with the sentence that documents it.

Alerts, scripts and runbooks match on these; a constant is never renamed, only added. `docs/reference/reasons.md`
repeats this table, and a test holds the two equal.
"""

from __future__ import annotations

from typing import Final

OBSERVING: Final = "Observing"
TIME_REACHED: Final = "TimeReached"
WARMING_UP: Final = "WarmingUp"
SEGMENT_ENDED: Final = "SegmentEnded"
CANCELLED: Final = "Cancelled"
AWAITING_SAMPLE: Final = "AwaitingSample"
RULE_FAILED: Final = "RuleFailed"
INCONCLUSIVE: Final = "Inconclusive"
TOO_FEW_REQUESTS: Final = "TooFewRequests"
TOO_FEW_SAMPLES: Final = "TooFewSamples"
NO_DATA: Final = "NoData"
PROVIDER_ERRORS: Final = "ProviderErrors"
UNUSABLE_BUCKETS: Final = "UnusableBuckets"
UNUSABLE_EDGES: Final = "UnusableEdges"
EVIDENCE_FOUND: Final = "EvidenceFound"
EVIDENCE_FOR_PASSING: Final = "EvidenceForPassing"
LEANING_BAD: Final = "LeaningBad"
INCIDENT: Final = "Incident"
FOREIGN_CHANGE: Final = "ForeignChange"
WORSE_THAN_BEFORE: Final = "WorseThanBefore"
SCORE_TOO_LOW: Final = "ScoreTooLow"

SENTENCES: Final[dict[str, str]] = {
    OBSERVING: "Nothing is wrong and the wanted observed time is not over yet.",
    TIME_REACHED: "The wanted time was observed and every metric lets the stage pass.",
    WARMING_UP: "The first samples of the release are thrown away until `warmup` is over.",
    SEGMENT_ENDED: "This observation reached its longest duration; the next one goes on with its evidence.",
    CANCELLED: "The observation was ended from outside before it came to a decision.",
    AWAITING_SAMPLE: "The wanted time is over but a metric has no sample in this stage yet.",
    RULE_FAILED: "A metric went beyond its `rollback` limit more often than its rule tolerates.",
    INCONCLUSIVE: "Samples lay between success and failure more often than the rule tolerates.",
    TOO_FEW_REQUESTS: "The new version has not served `minRequests` requests since the release began.",
    TOO_FEW_SAMPLES: "An `argo` rule has not taken the samples it needs to succeed.",
    NO_DATA: "A required metric had no value for longer than `patience`, or for all of its checks.",
    PROVIDER_ERRORS: "The source of a required metric did not answer for longer than is tolerated.",
    UNUSABLE_BUCKETS: "The quantile and the limit both lie beyond the histogram's highest bucket, so nobody can tell.",
    UNUSABLE_EDGES: "Too few edges of the histogram tell fast from slow, so nothing can be compared.",
    EVIDENCE_FOUND: "A healthy version shows so much evidence against itself in at most `alpha` of all releases.",
    EVIDENCE_FOR_PASSING: "Every comparison shows that the new version is far from too bad, before the time was over.",
    LEANING_BAD: "The evidence against the new version is too little to roll back and too much to go on.",
    INCIDENT: "The old version itself has been beyond its limit for longer than `patience`; the new one is not blamed.",
    FOREIGN_CHANGE: "Somebody else changed a field that the release wrote, and the policy lets a person decide.",
    WORSE_THAN_BEFORE: "With all users, the new version fails more often than the old one did before in this release.",
    SCORE_TOO_LOW: "The score of `judge: kayenta` was not above `marginal`, or below `pass` at the end of a stage.",
}
