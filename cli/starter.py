"""The document that `headgate init` writes."""

from __future__ import annotations

_RELEASE = """\
# A Release: what to release and how. Every field: headgate explain release
apiVersion: headgate.dev/v1
kind: Release
metadata:
  name: {name}
spec:
  environment: {environment}           # headgate start --environment wins
  version: v1.0.0                # headgate start --version wins
  change:
    reason: say in one sentence what changes
  components:
    - name: {name}
      artifact:
        program: {name}          # a program of the worker's settings; it gets PORT and VERSION
      workload:
        kind: process
        service: {name}
      traffic:
        kind: envoy
        route: {name}            # a route of the worker's settings
      strategy:
        kind: canary
        stages:                        # percent of the users, and how long each is watched
          - {{weight: 5, observe: 2m}}
          - {{weight: 25, observe: 5m}}
          - {{weight: 50, observe: 5m}}
        watch: 10m                     # after promotion; one write still undoes everything
      checks:                          # before any user reaches the new version
        - {{kind: http, path: /health}}
      analysis:                        # what rolls the release back by itself
        metrics:
          - {{name: errors, kind: ratio, source: envoy, rule: {{rollback: 1%}}}}
          - {{name: latency, kind: histogram, source: envoy, quantile: 95%, rule: {{rollback: 500ms}}}}
"""


def release(name: str, environment: str) -> str:
    """A Release that is right as it stands, once the worker's settings know its names."""
    return _RELEASE.format(name=name, environment=environment)
