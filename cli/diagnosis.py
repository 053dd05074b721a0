"""From how a release failed to what is usually behind it: cause, remedy and prevention, in one table.

A guess by the words of the failure, told as one. `docs/how-to/diagnose.md` repeats the table, and a test holds the two
equal.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Diagnosis(NamedTuple):
    """What usually is behind a failure, and what helps."""

    name: str
    cause: str
    remedy: str
    prevention: str


class _Pattern(NamedTuple):
    words: str
    """A regular expression that a reason and a message are searched for, in lower case."""
    diagnosis: Diagnosis


def diagnose(reason: str, message: str) -> Diagnosis | None:
    """The first row that fits, or None."""
    said = f"{reason}: {message}".lower()
    return next((pattern.diagnosis for pattern in PATTERNS if re.search(pattern.words, said)), None)


PATTERNS = (
    _Pattern(
        r"cannot be pulled",
        Diagnosis(
            "Image",
            "The registry does not have this image, or does not let the cluster read it.",
            "Push the tag, or name the pull secret in the pod template; then release again.",
            "Release digests that CI has pushed and scanned.",
        ),
    ),
    _Pattern(
        r"has no node|insufficient (cpu|memory)|no more pods can be made|exceeded quota",
        Diagnosis(
            "Capacity",
            "The cluster has no room for another copy: nodes are full, or the namespace's quota is.",
            "Add nodes, raise the quota, or set `capacity` lower.",
            "`headgate plan` says how many instances a release needs at its peak; keep that much free.",
        ),
    ),
    _Pattern(
        r"cannot be made: .*(secret|configmap)|configmap .* not found|secret .* not found",
        Diagnosis(
            "Configuration",
            "The version needs a ConfigMap or Secret, or a key in one, that is not there.",
            "Create it, then release again.",
            "Deliver configuration before the version that reads it.",
        ),
    ),
    _Pattern(
        r"migrat|already exists|duplicate (column|table|key)|no such (column|table)|undefined (column|table)"
        r"|relation \S+ does not exist|unknown column",
        Diagnosis(
            "Migration",
            "The version and the database disagree on the schema: a migration is missing, ran twice, or ran too early.",
            "Bring the schema to where both versions work, then release again.",
            "Expand first and contract one release later: both versions run at the same time.",
        ),
    ),
    _Pattern(
        r"connection (refused|timed out|reset)|i/o timeout|no route to host|name resolution|network is unreachable"
        r"|context deadline exceeded",
        Diagnosis(
            "Network",
            "The new pods do not reach what they need. Their changed label may be missed by a NetworkPolicy.",
            "Let the policies select the canary's pods too, or see that what they call is up.",
            "Select by a label that the canary keeps; the plan names the label that changes.",
        ),
    ),
    _Pattern(
        r"status 137|oomkilled|out of memory",
        Diagnosis(
            "Memory",
            "The container used more memory than its limit and was killed.",
            "Raise the limit, or find what grew.",
            "Watch memory in the stages with a rule.",
        ),
    ),
    _Pattern(
        r"ended with status|crash",
        Diagnosis(
            "Crash",
            "The container ends by itself soon after its start.",
            "Read its last words in `headgate logs`, with the log of the container before the restart.",
            "Start the image in CI as the cluster starts it.",
        ),
    ),
    _Pattern(
        r"notready|runs, but is not ready|checkfailed|readiness",
        Diagnosis(
            "Health",
            "The version runs, and its probe or a check of the release does not get a good answer in time.",
            "See the events and logs in `headgate logs`; raise `readyWithin` if it only starts slowly.",
            "Let the readiness probe ask for what users need, and no more.",
        ),
    ),
    _Pattern(
        r"vulnerab|cve-\d",
        Diagnosis(
            "Vulnerability",
            "A scan found the image vulnerable.",
            "Build on a newer base image, or have the finding accepted by those who may.",
            "Scan at each build, and rebuild when the base image moves.",
        ),
    ),
    _Pattern(
        r"gatefailed|gate \S+ failed|required gate",
        Diagnosis(
            "Gate",
            "A check that the policy requires has failed or has no result.",
            "Run it again for this commit and look at its own report.",
            "Start releases from the pipeline that runs the checks.",
        ),
    ),
    _Pattern(
        r"foreignchange",
        Diagnosis(
            "Foreign change",
            "Another person or controller writes a field that the release owns.",
            "Find the writer by the field's managedFields, stop it, and release again.",
            "Let GitOps tools ignore the fields that a release moves.",
        ),
    ),
    _Pattern(
        r"weightnotverified",
        Diagnosis(
            "Router",
            "The router took the weights, and its data plane does not follow them.",
            "Look at the route's status and at its controller's log.",
            "Alert on controllers that fall behind.",
        ),
    ),
    _Pattern(
        r"nodata|toofewrequests|providererrors|observerfailed|holdexpired",
        Diagnosis(
            "Blind",
            "Nobody could tell how the version does: metrics were missing, or there were too few requests.",
            "See that its metrics are scraped and that it gets users; then release again.",
            "Alert on missing metrics before a release needs them.",
        ),
    ),
    _Pattern(
        r"rulefailed|evidencefound",
        Diagnosis(
            "Regression",
            "The version does worse than its rules allow, or than the version before it.",
            "The metric and its value stand in the message; `headgate logs` has what its pods wrote.",
            "Begin with a small first stage, and compare with the version before.",
        ),
    ),
)
