"""The Release document: what an app team writes.

The shape is complete for `headgate.dev/v1`; what this version cannot do yet is refused with a sentence by `notyet.py`.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from workflows.model.analysis import Analysis
from workflows.model.shapes import Document, Duration, Name, Share, Version, Weight

API_VERSION = "headgate.dev/v1"


class Metadata(Document):
    """What the release is called."""

    name: Name
    """The release's name; with the environment it forms the workflow id release/ENV/NAME."""
    labels: dict[str, str] = {}
    """Free labels, shown in status and audit."""
    requested_by: str = Field(default="", max_length=200)
    """Who asks for the release, unverified; `headgate start` fills it in."""


class Change(Document):
    """What the team claims about the change: shown to approvers, never trusted."""

    kind: Literal["standard", "hotfix", "security"] = "standard"
    """What sort of change this is said to be."""
    reason: str = Field(default="", max_length=2000)
    """One sentence for approvers."""
    commit: str = Field(default="", max_length=200)
    """The source commit."""
    ticket: str = Field(default="", max_length=200)
    """The ticket that asked for it."""


ImageReference = Annotated[str, Field(pattern=r"^[a-z0-9][A-Za-z0-9._:/@-]*$", max_length=500)]


class Artifact(Document):
    """What runs: for `process` workloads a program that the worker's settings allow, for `kubernetes` images."""

    program: Name | None = None
    """A program named in the worker's settings (`programs`), the service's name when not given; it is started with PORT
    and VERSION in its environment."""
    args: tuple[str, ...] = ()
    """Arguments after those of the settings."""
    env: dict[str, str] = {}
    """More environment variables; no secrets, they are kept with the release."""
    image: ImageReference | None = None
    """The image of a Deployment, with the version as its tag unless it names a tag or digest. Every container that runs
    the same repository gets it, init containers included, else the only container."""
    images: dict[Name, ImageReference] = {}
    """Images by container, where several differ; in place of `image`."""


class ProcessWorkload(Document):
    """Local processes, one set per version, kept alive without the worker."""

    kind: Literal["process"]
    service: Name
    """The service's name in its namespace."""
    cluster: Name | None = None
    """Needed only where the environment names more than one cluster."""
    namespace: Name | None = None
    """Needed only where the environment names more than one namespace."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """Instances that a first release starts; later ones keep the number that runs."""

    @property
    def sort(self) -> str:
        """The field that names what runs it."""
        return "service"

    @property
    def name(self) -> str:
        """What it is called in its namespace."""
        return self.service


class KubernetesWorkload(Document):
    """A workload that is there already; its pod template gets the new images, and everything else stays yours."""

    kind: Literal["kubernetes"]
    deployment: Name | None = None
    """The Deployment's name in its namespace."""
    stateful_set: Name | None = None
    """The StatefulSet's name in its namespace, in place of deployment; for rolling only."""
    daemon_set: Name | None = None
    """The DaemonSet's name in its namespace, in place of deployment; for rolling only."""
    cluster: Name | None = None
    """Needed only where the environment names more than one cluster."""
    namespace: Name | None = None
    """Needed only where the environment names more than one namespace."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The port of its pods that checks and metrics ask; the one named `http`, or the first, when not given."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """Pods that a first release starts where the workload is scaled to nothing; later ones keep the number that
    runs."""

    @model_validator(mode="after")
    def _is_one(self) -> KubernetesWorkload:
        if len(self.named) != 1:
            have = f"names {' and '.join(self.named)}" if self.named else "names none of them"
            raise ValueError(f"must name exactly one of deployment, statefulSet and daemonSet; this one {have}")
        return self

    @property
    def named(self) -> dict[str, str]:
        """What runs it, by the field that names it: one each time."""
        fields = {"deployment": self.deployment, "statefulSet": self.stateful_set, "daemonSet": self.daemon_set}
        return {field: name for field, name in fields.items() if name}

    @property
    def sort(self) -> str:
        """The field that names what runs it."""
        return next(iter(self.named))

    @property
    def name(self) -> str:
        """What it is called in its namespace."""
        return self.named[self.sort]


Workload = Annotated[ProcessWorkload | KubernetesWorkload, Field(discriminator="kind")]


HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class HeaderMatch(Document):
    """Requests with this header always reach the new version, whatever the weight."""

    header: HeaderName
    """The header's name."""
    exact: Annotated[str, Field(min_length=1, max_length=200)]
    """The header's whole value."""


class Preview(Document):
    """A host name that reaches the new version before users do."""

    host: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
    """The host name, without a port."""


class Mirror(Document):
    """Copies of the old version's requests for the new one; what it answers is thrown away, what it writes stays."""

    percent: Annotated[int, Field(ge=1, le=100)] = 100
    """How many of the requests are copied."""


class EnvoyTraffic(Document):
    """A route of an Envoy that reads its configuration from files."""

    kind: Literal["envoy"]
    route: Name
    """The route's name in the worker's settings; one file, one fence."""
    match: tuple[HeaderMatch, ...] = ()
    """Requests that always reach the new version from its first check on."""
    preview: Preview | None = None
    """A host that reaches the new version from its first check on."""


ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,230}[a-z0-9])?$")]
"""The name of a Kubernetes object; some are left for the names of what Headgate makes beside it."""

ServiceName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,49}[a-z0-9])?$")]
"""The name of a Kubernetes Service; room is left for `-canary` and `-maintenance`."""


class GatewayApiTraffic(Document):
    """The backends of a Gateway API HTTPRoute or GRPCRoute, whatever implements its Gateway."""

    kind: Literal["gatewayApi"]
    http_route: ObjectName | None = None
    """The HTTPRoute; only its rules that lead to the Service are touched."""
    grpc_route: ObjectName | None = None
    """The GRPCRoute, in place of an HTTPRoute."""
    service: ServiceName
    """The Service of the stable version; the new one gets `SERVICE-canary` beside it."""
    match: tuple[HeaderMatch, ...] = ()
    """Requests that always reach the new version from its first check on."""
    preview: Preview | None = None
    """A host that reaches the new version from its first check on, by a route of its own."""
    mirror: Mirror | None = None
    """Copies of requests for the new version, from its first check on until its first user; writes happen twice."""


class ContourTraffic(Document):
    """The Services of a Contour HTTPProxy."""

    kind: Literal["contour"]
    http_proxy: ObjectName
    """The HTTPProxy; only its routes that lead to the Service are touched."""
    service: ServiceName
    """The Service of the stable version; the new one gets `SERVICE-canary` beside it."""
    match: tuple[HeaderMatch, ...] = ()
    """Requests that always reach the new version from its first check on."""
    preview: Preview | None = None
    """A host that reaches the new version from its first check on, by an HTTPProxy of its own."""
    mirror: Mirror | None = None
    """Copies of requests for the new version, from its first check on until its first user; writes happen twice."""


RouteName = Annotated[str, Field(min_length=1, max_length=200)]

SubsetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")]


class Subsets(Document):
    """The names of two subsets of the DestinationRule; those that are there already are borrowed."""

    stable: SubsetName
    """The subset of the version that runs."""
    canary: SubsetName
    """The subset of the new version."""

    @model_validator(mode="after")
    def _differ(self) -> Subsets:
        if self.stable == self.canary:
            msg = f"stable and canary are both {self.stable}, so nothing could tell the two versions apart"
            raise ValueError(msg)
        return self


class IstioTraffic(Document):
    """The destinations of an Istio VirtualService: a host for each version, or with a DestinationRule a subset."""

    kind: Literal["istio"]
    virtual_service: ObjectName
    """The VirtualService; only its routes that lead to the Service are touched."""
    service: ServiceName
    """The Service of the stable version. The new one gets `SERVICE-canary` beside it, unless there is a
    `destinationRule`: then the Service selects the pods of both."""
    destination_rule: ObjectName | None = None
    """The DestinationRule of the Service: two subsets of it divide users. Callers outside the mesh know no subsets, and
    reach both versions by the number of their pods."""
    subsets: Subsets | None = None
    """Names of the subsets; ours, which go in the end, when not given."""
    routes: tuple[RouteName, ...] = ()
    """Names of the only http routes whose weights may be touched; all that lead to the Service when not given."""
    match: tuple[HeaderMatch, ...] = ()
    """Requests that always reach the new version from its first check on."""
    preview: Preview | None = None
    """A host that reaches the new version from its first check on, by a VirtualService of its own."""
    mirror: Mirror | None = None
    """Copies of requests for the new version, from its first check on until its first user; writes happen twice."""


class TraefikTraffic(Document):
    """The Services of a Traefik TraefikService, which an IngressRoute names in place of a Service."""

    kind: Literal["traefik"]
    traefik_service: ObjectName
    """The TraefikService, of the weighted form."""
    service: ServiceName
    """The Service of the stable version; the new one gets `SERVICE-canary` beside it."""
    match: ClassVar[tuple[HeaderMatch, ...]] = ()
    preview: ClassVar[Preview | None] = None


class IngressTraffic(Document):
    """The backend of an Ingress, whatever controller serves it: all users at once, so for blueGreen and recreate."""

    kind: Literal["ingress"]
    ingress: ObjectName
    """The Ingress; only its rules that lead to the Service are switched."""
    service: ServiceName
    """The Service of the stable version; the new one gets `SERVICE-canary` beside it."""
    host: Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]{0,249}[a-z0-9])?$")] | None = None
    """Only rules for this host are switched, as the Ingress writes it."""
    path: Annotated[str, Field(pattern=r"^/\S*$", max_length=500)] | None = None
    """Only this path is switched, as the Ingress writes it."""
    match: ClassVar[tuple[HeaderMatch, ...]] = ()
    preview: Preview | None = None
    """A host that reaches the new version from its first check on, by an Ingress of its own."""


class NginxTraffic(Document):
    """The canary annotations of ingress-nginx, on an Ingress beside the user's, whose own rules are never touched."""

    kind: Literal["nginx"]
    ingress: ObjectName
    """The Ingress whose rules lead to the Service."""
    service: ServiceName
    """The Service of the stable version; the new one gets `SERVICE-canary` beside it."""
    match: tuple[HeaderMatch, ...] = ()
    """Requests that always reach the new version from its first check on; ingress-nginx knows one header value."""
    preview: ClassVar[Preview | None] = None


class ServiceTraffic(Document):
    """A Service whose selector is switched: all users at once, so for blueGreen, rolling and recreate."""

    kind: Literal["service"]
    service: ServiceName
    """The Service that users reach; new connections follow a switch, open ones stay until their pods end."""
    match: ClassVar[tuple[HeaderMatch, ...]] = ()
    preview: ClassVar[Preview | None] = None


class ReplicasTraffic(Document):
    """A Service that selects the pods of both versions, whose number divides the users: for canary and rolling.

    There is no router, so no pod of the new version means weight 0, and its first pod means users.
    """

    kind: Literal["replicas"]
    service: ServiceName
    """The Service that users reach; it must select the pods of your workload."""
    tolerance: Share = 0.0
    """How many percentage points the nearest weight that pods can express may be away from the one that a stage asks
    for."""
    match: ClassVar[tuple[HeaderMatch, ...]] = ()
    preview: ClassVar[Preview | None] = None

    @model_validator(mode="before")
    @classmethod
    def _reaches_nobody_alone(cls, data: Any) -> Any:
        for name in ("match", "preview"):
            if isinstance(data, dict) and data.get(name):
                msg = f"{name} needs a router, and here only the number of pods divides users; leave {name} out"
                raise ValueError(msg)
        return data


class NoTraffic(Document):
    """Consumers and jobs: the share of the work follows the number of replicas."""

    kind: Literal["none"]


Traffic = Annotated[
    EnvoyTraffic
    | GatewayApiTraffic
    | ContourTraffic
    | IstioTraffic
    | TraefikTraffic
    | NginxTraffic
    | IngressTraffic
    | ServiceTraffic
    | ReplicasTraffic
    | NoTraffic,
    Field(discriminator="kind"),
]


class Stage(Document):
    """One weight, watched for a while."""

    weight: Weight
    """Percent of the traffic that reaches the new version."""
    observe: Duration = timedelta(0)
    """Observed time at this weight before the stage passes; gaps without data do not count."""
    approval: Name | None = None
    """A gate of the policy, asked for before traffic moves to this weight."""


class Canary(Document):
    """Traffic moves to the new version in stages, each watched."""

    kind: Literal["canary"]
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=50)]
    """Weights in rising order."""
    entry: Literal["none", "soft"] | None = None
    """`soft` lets the canary in at 1, 2 and 5 % for 20 s each, below its first stage's weight, so that a gross fault
    costs few requests. The default where a metric has `compare` or `slo`; rules alone start at the first stage."""
    watch: Duration = timedelta(minutes=30)
    """Observed time after promotion in which one write still undoes the release."""
    standby: Literal["previous", "none"] = "previous"
    """`previous` keeps the old version running at full size through the watch, so that undo is one write."""

    @field_validator("stages")
    @classmethod
    def _rise(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        weights = [stage.weight for stage in stages]
        if any(a >= b for a, b in pairwise(weights)) or weights[0] <= 0:
            msg = f"stage weights must rise and start above 0; got {', '.join(f'{w:g}' for w in weights)}"
            raise ValueError(msg)
        return stages


class BlueGreen(Document):
    """The new version is made ready in full, checked, then traffic switches at once or by weights."""

    kind: Literal["blueGreen"]
    stages: tuple[Stage, ...] = (Stage(weight=100),)
    """The switch; several rising weights up to 100 make it gradual."""
    watch: Duration = timedelta(minutes=30)
    """Observed time after the switch in which one write undoes it."""
    retire: Literal["update", "keep", "scaleDown", "delete"] = "update"
    """What becomes of the old colour; `update` gives the user's own workload the new version and the traffic."""

    @field_validator("stages")
    @classmethod
    def _end_at_full(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        weights = [stage.weight for stage in stages]
        if not weights or weights[-1] != 100 or any(a >= b for a, b in pairwise(weights)):
            msg = "stage weights must rise and end at 100"
            raise ValueError(msg)
        return stages


class Rolling(Document):
    """Instances are replaced in place, a few at a time."""

    kind: Literal["rolling"]
    max_surge: Annotated[int, Field(ge=0, le=100)] = 1
    """Instances above the wanted number while replacing; StatefulSets have none, and DaemonSets have none where
    maxUnavailable is given."""
    max_unavailable: Annotated[int, Field(ge=0, le=100)] = 0
    """Instances below the wanted number while replacing; at least 1 with a StatefulSet."""
    timeout: Duration = timedelta(minutes=10)
    """When the replacement must be ready, else the recorded version comes back."""
    watch: Duration = timedelta(minutes=10)
    """Observed time after the last instance is ready."""
    approval: Name | None = None
    """A gate of the policy, asked for before the first instance is replaced."""

    @model_validator(mode="after")
    def _move(self) -> Rolling:
        if self.max_surge == 0 and self.max_unavailable == 0:
            msg = "maxSurge and maxUnavailable cannot both be 0: nothing could ever be replaced"
            raise ValueError(msg)
        return self


class Recreate(Document):
    """Users get a maintenance answer while the old version stops and the new one starts."""

    kind: Literal["recreate"]
    timeout: Duration = timedelta(minutes=5)
    """When the new version must be ready, else the old one comes back."""
    watch: Duration = timedelta(minutes=10)
    """Observed time after traffic came back."""
    approval: Name | None = None
    """A gate of the policy, asked for before the old version stops."""


Strategy = Annotated[Canary | BlueGreen | Rolling | Recreate, Field(discriminator="kind")]


class HttpCheck(Document):
    """A request to every ready instance of the new version before users reach it.

    It is sent again after a wrong answer and after a worker that was lost, so what it does must bear being done twice.
    """

    kind: Literal["http"]
    path: Annotated[str, Field(pattern=r"^/\S*$", max_length=500)]
    """Path and query."""
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """What is asked for."""
    headers: dict[HeaderName, Annotated[str, Field(pattern=r"^[\x20-\x7e]*$", max_length=500)]] = {}
    """Sent along; never a secret, since a release stays in Temporal's history."""
    body: Any = None
    """Text is sent as it is, anything else as JSON."""
    status: Annotated[int, Field(ge=100, le=599)] = 200
    """The status that passes."""
    contains: str = Field(default="", max_length=500)
    """Text that the body must contain."""
    retries: Annotated[int, Field(ge=1, le=100)] = 5
    """Tries before the check fails."""
    every: Duration = timedelta(seconds=10)
    """Pause between tries."""
    timeout: Duration = timedelta(seconds=2)
    """The longest answer time that passes."""


Check = Annotated[HttpCheck, Field(discriminator="kind")]


class Component(Document):
    """One thing that is released: what, where, how, and how it is judged."""

    name: Name
    """Unique in the document; overrides and dependencies use it."""
    artifact: Artifact = Artifact()
    """What runs."""
    workload: Workload
    """Where it runs."""
    traffic: Traffic = NoTraffic(kind="none")
    """What brings users to it."""
    strategy: Strategy
    """How the new version takes over."""
    capacity: Literal["proportional"] | Annotated[int, Field(ge=1, le=10_000)] = "proportional"
    """Replicas of the new version in a stage: in proportion to the weight, or a fixed number."""
    drain: Duration = timedelta(seconds=30)
    """How long open requests may take to finish before instances stop."""
    ready_within: Duration = timedelta(minutes=5)
    """When new instances must be ready, else the release is undone."""
    analysis: Analysis | None = None
    """How the new version is judged; without it only checks and people guard users, and policy may refuse that."""
    checks: tuple[Check, ...] = ()
    """Requests to the new version before users reach it."""
    depends_on: tuple[Name, ...] = ()
    """Components of this document that must have passed their last stage first."""


class ReleaseSpec(Document):
    """What is released, where and how."""

    environment: Name
    """An environment of the policy."""
    version: Version
    """The version to release."""
    change: Change = Change()
    """What the team says about the change."""
    components: Annotated[tuple[Component, ...], Field(min_length=1, max_length=50)]
    """What is released together."""
    overrides: dict[Name, dict[str, Any]] = {}
    """Per environment: fields merged over `spec`, components by name."""
    on_failure: Literal["rollbackAll", "rollbackFailed", "hold"] = "rollbackAll"
    """What a failed component means for the others."""
    promote: Literal["together", "independently"] = "together"
    """`together`: no component is promoted before all have passed their last stage."""
    restart: bool = False
    """Release even where the target already runs exactly this version."""
    again: bool = False
    """Release even where this version was rolled back before."""
    fix_forward: bool = False
    """Release although the running version is unhealthy; without a comparison, on absolute rules."""
    hold_for: Duration = timedelta(hours=4)
    """An unanswered hold after traffic moved ends in undo after this time."""


class Release(Document):
    """One release of one or more components to one environment."""

    api_version: Literal["headgate.dev/v1"]
    kind: Literal["Release"]
    metadata: Metadata
    """What the release is called."""
    spec: ReleaseSpec
    """What is released, where and how."""
