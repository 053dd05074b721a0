"""Every kind of mistake gets a path, and a sentence that says what is wrong and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import ERRORS, a_policy, a_release
from workflows.errors import Problem, SpecError
from workflows.model.documents import parse_policy, parse_release

C = "spec.components[0]"
S = f"{C}.strategy"
P = "spec.environments.production"
GATE = {"name": "production", "from": ["production-people"]}


def release(**component: Any) -> dict[str, Any]:
    return a_release().with_(**component).document()


def spec(**fields: Any) -> dict[str, Any]:
    return a_release().spec(**fields).document()


def metric(**fields: Any) -> dict[str, Any]:
    return release(analysis={"metrics": [ERRORS | fields]})


def document(**fields: Any) -> dict[str, Any]:
    return a_release().document() | fields


def stages(*written: Any) -> dict[str, Any]:
    return release(strategy={"kind": "canary", "stages": list(written)})


DEPLOYED: dict[str, Any] = {
    "workload": {"kind": "kubernetes", "deployment": "trip"},
    "artifact": {"image": "registry.example/trip"},
}


def deployed(*, version: str = "v2", **fields: Any) -> dict[str, Any]:
    return a_release().rolling().unrouted().version(version).with_(**(DEPLOYED | fields)).document()


def judged(one: dict[str, Any]) -> dict[str, Any]:
    return release(analysis={"metrics": [one]})


def counted(bad: str, total: str) -> dict[str, Any]:
    return {"name": "e", "kind": "ratio", "badQuery": bad, "totalQuery": total, "compare": {}}


def two(**second: Any) -> dict[str, Any]:
    return a_release().and_("user").with_(**second).document()


BAD_RELEASES: dict[str, tuple[Any, str, str]] = {
    "not fields": ([], "", "must be fields with values, not []"),
    "no kind": ({}, "kind", "is missing; known kinds are Release, Policy"),
    "kind of another tool": (document(kind="Rollout"), "kind", '"Rollout" is not known'),
    "kind misspelled": (document(kind="release"), "kind", "did you mean Release?"),
    "kind that comes later": (document(kind="Pipeline"), "kind", "Pipeline documents are not supported yet"),
    "a policy": (a_policy().document(), "kind", "this is a Policy, and a Release is wanted here"),
    "another apiVersion": (document(apiVersion="headgate.dev/v2"), "apiVersion", "(allowed: headgate.dev/v1)"),
    "no metadata": (
        {k: v for k, v in document().items() if k != "metadata"},
        "metadata",
        "is missing: what the release is called",
    ),
    "no name": (document(metadata={}), "metadata.name", "is missing: the release's name"),
    "a name with capitals": (document(metadata={"name": "Trip"}), "metadata.name", '"Trip" is not a name: lower case'),
    "labels that are no text": (
        document(metadata={"name": "trip", "labels": {"team": 1}}),
        "metadata.labels.team",
        "must be text, not 1",
    ),
    "no spec": ({k: v for k, v in document().items() if k != "spec"}, "spec", "is missing: what is released"),
    "spec is a list": (document(spec=[]), "spec", "must be fields with values, not []"),
    "no components": (spec(components=[]), "spec.components", "must have at least 1 item"),
    "components are fields": (spec(components={}), "spec.components", "must be a list, not {}"),
    "an unknown field": (spec(componentz=1), "spec.componentz", "did you mean components?"),
    "an unknown field far down": (
        stages({"weight": 5, "observ": "1m"}),
        f"{S}.stages[0].observ",
        "did you mean observe?",
    ),
    "no strategy": (a_release().without("strategy").document(), f"{C}.strategy", "is missing: how the new version"),
    "no strategy kind": (
        release(strategy={"stages": []}),
        f"{S}.kind",
        "allowed: canary, blueGreen, rolling, recreate",
    ),
    "an unknown strategy": (release(strategy={"kind": "bluegreen"}), f"{S}.kind", "did you mean blueGreen?"),
    "a field of another strategy": (
        release(strategy={"kind": "rolling", "stages": []}),
        f"{S}.stages",
        'there is no field "stages" here',
    ),
    "no stages": (stages(), f"{S}.stages", "must have at least 1 item"),
    "no weight": (stages({"observe": "1m"}), f"{S}.stages[0].weight", "is missing: percent of the traffic"),
    "a weight above 100": (stages({"weight": 120}), f"{S}.stages[0].weight", "allowed are 0 to 100 percent"),
    "a negative weight": (stages({"weight": -1}), f"{S}.stages[0].weight", "allowed are 0 to 100 percent"),
    "a weight in words": (stages({"weight": "half"}), f"{S}.stages[0].weight", "'half' is not a weight"),
    "a weight that is true": (stages({"weight": True}), f"{S}.stages[0].weight", "True is not a weight"),
    "too fine a weight": (stages({"weight": 0.001}), f"{S}.stages[0].weight", "at most two decimals"),
    "weights that fall": (stages({"weight": 50}, {"weight": 5}), f"{S}.stages", "stage weights must rise"),
    "a first weight of 0": (stages({"weight": 0}), f"{S}.stages", "start above 0"),
    "a switch that does not end at 100": (
        a_release().blue_green(10, 50).document(),
        f"{S}.stages",
        "must rise and end at 100",
    ),
    "a duration without a unit": (release(drain=30), f"{C}.drain", "30 is not a duration; write a number with a unit"),
    "a duration in words": (release(drain="soon"), f"{C}.drain", "'soon' is not a duration"),
    "a duration without end": (release(drain="9" * 400 + "d"), f"{C}.drain", "longer than the 365 days"),
    "nothing ever moves": (
        a_release().rolling(surge=0, unavailable=0).document(),
        S,
        "maxSurge and maxUnavailable cannot both be 0",
    ),
    "a negative surge": (a_release().rolling(surge=-1).document(), f"{S}.maxSurge", "-1 must be at least 0"),
    "half an instance": (a_release().rolling(surge=1.5).document(), f"{S}.maxSurge", "must be a whole number, not 1.5"),  # type: ignore[arg-type]
    "no time to get ready": (release(readyWithin="0s"), f"{C}.readyWithin", "must be longer than 0s"),
    "capacity in words": (release(capacity="full"), f"{C}.capacity", "use proportional or a number"),
    "capacity of nobody": (release(capacity=0), f"{C}.capacity", "use proportional or a number"),
    "capacity in place": (
        a_release().rolling().with_(capacity=3).document(),
        f"{C}.capacity",
        "keeps their number; leave capacity out",
    ),
    "no workload": (a_release().without("workload").document(), f"{C}.workload", "is missing: where it runs"),
    "a canary of a StatefulSet": (
        a_release().canary(5).of("statefulSet").document(),
        f"{S}.kind",
        "a StatefulSet cannot be released with canary, only with rolling; use that, or run it as a Deployment",
    ),
    "a recreated DaemonSet": (
        a_release().recreate().of("daemonSet").document(),
        f"{S}.kind",
        "a DaemonSet cannot be released with recreate, only with rolling",
    ),
    "a StatefulSet with more pods than it has names for": (
        a_release().rolling(surge=1).of("statefulSet").document(),
        f"{S}.maxSurge",
        "a StatefulSet has no room above its number; leave maxSurge out",
    ),
    "a DaemonSet with more and fewer pods": (
        a_release().rolling(surge=1, unavailable=1).of("daemonSet").document(),
        f"{S}.maxSurge",
        "a DaemonSet takes maxSurge or maxUnavailable, not both",
    ),
    "a DaemonSet of a size": (
        a_release().rolling(surge=0, unavailable=1).of("daemonSet", replicas=3).document(),
        f"{C}.workload.replicas",
        "a DaemonSet has a pod on every node that it is for; leave replicas out",
    ),
    "two workloads in one": (
        deployed(workload={"kind": "kubernetes", "deployment": "trip", "statefulSet": "trip"}),
        f"{C}.workload",
        "must name exactly one of deployment, statefulSet and daemonSet; this one names deployment and statefulSet",
    ),
    "a workload without a name": (
        deployed(workload={"kind": "kubernetes"}),
        f"{C}.workload",
        "must name exactly one of deployment, statefulSet and daemonSet; this one names none of them",
    ),
    "a StatefulSet of nothing": (
        a_release().rolling(surge=0, unavailable=1).of("statefulSet").with_(artifact={}).document(),
        f"{C}.artifact",
        "a StatefulSet needs image, or images by container, to run",
    ),
    "a Deployment behind a local router": (
        deployed(traffic={"kind": "envoy", "route": "trip"}),
        f"{C}.traffic.kind",
        "envoy leads to workloads of kind process, and this one is of kind kubernetes",
    ),
    "a Deployment of nothing": (
        deployed(artifact={}),
        f"{C}.artifact",
        "a Deployment needs image, or images by container, to run",
    ),
    "a Deployment that runs a program": (
        deployed(artifact={"program": "trip", "image": "registry.example/trip"}),
        f"{C}.artifact.program",
        "is the Deployment's own business",
    ),
    "an image twice": (
        deployed(artifact={"image": "registry.example/trip", "images": {"trip": "registry.example/trip"}}),
        f"{C}.artifact.images",
        "leave one of the two out",
    ),
    "an image that is none": (
        deployed(artifact={"image": "trip of today"}),
        f"{C}.artifact.image",
        "is not an image, such as registry.example/team/service",
    ),
    "a version that is no tag": (
        deployed(version="v1+build.7"),
        f"{C}.artifact.image",
        "version v1+build.7 cannot be an image's tag because of its +",
    ),
    "a Deployment twice": (
        a_release()
        .rolling()
        .unrouted()
        .with_(**DEPLOYED)
        .and_("user")
        .rolling()
        .unrouted()
        .with_(**DEPLOYED)
        .document(),
        "spec.components[1].workload.deployment",
        "trip is the workload of component trip already",
    ),
    "a pod template": (
        deployed(artifact={"image": "trip", "template": {"spec": {}}}),
        f"{C}.artifact.template",
        "template is not supported yet; image and images are",
    ),
    "a workload of nobody": (release(workload={"kind": "proces", "service": "trip"}), f"{C}.workload.kind", "process"),
    "a container image": (
        release(artifact={"image": "registry.example/trip"}),
        f"{C}.artifact.image",
        "process workloads run a program of the worker's settings; leave image out",
    ),
    "a part of the users of an Ingress": (
        a_release().behind("ingress", ingress="shop").canary(5).document(),
        f"{C}.strategy.kind",
        "an Ingress switches all users at once, and canary wants to send it a part of them; use blueGreen, or a router",
    ),
    "headers for an Ingress": (
        a_release().behind("ingress", ingress="shop").blue_green().matched().document(),
        f"{C}.traffic.match",
        'there is no field "match" here; did you mean path? (fields are kind, ingress, service, host, path, preview)',
    ),
    "one path of what is replaced for all": (
        a_release().behind("ingress", ingress="shop", path="/api/trips").recreate().document(),
        f"{C}.traffic.path",
        "recreate replaces what every path leads to; use blueGreen, or leave path out",
    ),
    "a path that is none": (
        a_release().behind("ingress", ingress="shop", path="api").blue_green().document(),
        f"{C}.traffic.path",
        "is not a path: it begins with / and has no spaces",
    ),
    "a maintenance answer of ingress-nginx": (
        a_release().behind("nginx", ingress="shop").recreate().document(),
        f"{C}.traffic.kind",
        "cannot lead users to the maintenance answer; use ingress, which switches the same Ingress",
    ),
    "two headers for ingress-nginx": (
        a_release()
        .behind("nginx", ingress="shop", match=[{"header": "a", "exact": "b"}, {"header": "c", "exact": "d"}])
        .canary(5)
        .document(),
        f"{C}.traffic.match[1]",
        "ingress-nginx matches one value of one header; keep one entry, or use a router such as gatewayApi",
    ),
    "a header value that ingress-nginx drops": (
        a_release().behind("nginx", ingress="shop", match=[{"header": "a", "exact": "b;c"}]).canary(5).document(),
        f"{C}.traffic.match[0].exact",
        "ingress-nginx takes no header value such as 'b;c'; use letters, digits, spaces and - . _ ~ / : alone",
    ),
    "no route of a Gateway": (
        a_release().behind("gatewayApi").canary(5).document(),
        f"{C}.traffic",
        "gatewayApi needs httpRoute, or grpcRoute, to know whose backends it weighs",
    ),
    "two routes of a Gateway": (
        a_release().behind("gatewayApi", httpRoute="shop", grpcRoute="shop").canary(5).document(),
        f"{C}.traffic.grpcRoute",
        "httpRoute names the route already; leave one of the two out, or write a component for each",
    ),
    "a route to pods for processes": (
        a_release()
        .unanalysed()
        .with_(traffic={"kind": "gatewayApi", "httpRoute": "shop", "service": "trip"})
        .document(),
        f"{C}.traffic.kind",
        "gatewayApi leads to workloads of kind kubernetes, and this one is of kind process",
    ),
    "a part of the users of a switched Service": (
        a_release().canary(5).switched().document(),
        f"{C}.strategy.kind",
        "a Service switches all users at once, and canary wants to send it a part of them; use blueGreen, or a router",
    ),
    "a switched Service in stages": (
        a_release().blue_green(10, 100).switched().document(),
        f"{C}.strategy.stages",
        "blueGreen wants to send it a part of them; leave stages out",
    ),
    "copies without a router for them": (
        release(traffic={"kind": "envoy", "route": "trip", "mirror": {}}),
        f"{C}.traffic",
        "mirror needs a router that copies requests, which are gatewayApi, contour and istio",
    ),
    "copies for nobody": (
        deployed(
            strategy={"kind": "rolling"},
            traffic={"kind": "contour", "httpProxy": "shop", "service": "trip", "mirror": {"percent": 5}},
        ),
        f"{C}.traffic.mirror",
        "rolling has no second version beside the first",
    ),
    "blue-green by replicas": (
        a_release().blue_green().counted().document(),
        f"{S}.kind",
        "a version that is ready in full has half of them already; use canary",
    ),
    "checks before pods of replicas have users": (
        a_release().canary(50).counted().checked().document(),
        f"{C}.checks",
        "weight 0 is zero pods, so users reach the new version before any check could",
    ),
    "headers without a router": (
        a_release().canary(50).counted().matched().document(),
        f"{C}.traffic",
        "match needs a",
    ),
    "a preview without a router": (
        a_release().canary(50).counted().previewed().document(),
        f"{C}.traffic",
        "preview needs a router, and here only the number of pods divides users",
    ),
    "a fixed size where pods are the weight": (
        a_release().canary(50).counted().with_(capacity=2).document(),
        f"{C}.capacity",
        "the number of pods is the weight here",
    ),
    "all pods at once by replicas": (
        a_release().canary(100).counted().document(),
        f"{S}.stages[0].weight",
        "all users at once means replacing all pods, which is what rolling does",
    ),
    "draining pods of replicas": (
        a_release().canary(50).counted().with_(drain="10s").document(),
        f"{C}.drain",
        "a pod has users until it ends",
    ),
    "a bare tolerance": (
        a_release().canary(50).counted(tolerance=5).document(),  # type: ignore[arg-type]
        f"{C}.traffic.tolerance",
        "write it with a percent sign",
    ),
    "headers for a switched Service": (
        a_release().blue_green().switched().matched().document(),
        f"{C}.traffic.match",
        'there is no field "match" here (fields are kind, service)',
    ),
    "a Service of two components": (
        a_release()
        .blue_green()
        .switched()
        .and_("user")
        .blue_green()
        .switched()
        .with_(traffic={"kind": "service", "service": "trip"})
        .document(),
        "spec.components[1].traffic.service",
        "trip is the service of component trip already",
    ),
    "a Service without room for its canary": (
        release(traffic={"kind": "gatewayApi", "httpRoute": "shop", "service": "s" * 52}),
        f"{C}.traffic.service",
        "is not the name of a Service: lower case letters, digits and dashes, at most 51",
    ),
    "a load balancer of AWS": (release(traffic={"kind": "alb"}), f"{C}.traffic.kind", "alb arrives with AWS support"),
    "a soft entry without a router": (
        deployed(
            strategy={"kind": "canary", "stages": [{"weight": 25}], "entry": "soft"},
            traffic={"kind": "replicas", "service": "trip"},
        ),
        f"{S}.entry",
        "without a router a weight is a number of pods",
    ),
    "an entry of its own": (a_release().canary(5, entry="slow").document(), f"{S}.entry", "allowed: none, soft"),
    "a colour that stays": (
        a_release().blue_green(retire="keep").document(),
        f"{S}.retire",
        "keep is about a second workload of your own, which is not supported yet; name the one that serves users",
    ),
    "canary without a router": (
        a_release().unrouted().document(),
        f"{S}.kind",
        "canary needs a router to send users to both versions, and traffic is none; use rolling",
    ),
    "blue-green without a router": (a_release().unrouted().blue_green().document(), f"{S}.kind", "use rolling"),
    "a preview of nothing": (
        a_release().rolling().previewed().document(),
        f"{C}.traffic.preview",
        "rolling has no second version beside the first",
    ),
    "a match of nothing": (
        a_release().recreate().matched().document(),
        f"{C}.traffic.match",
        "use canary or blueGreen",
    ),
    "a header twice": (
        release(
            traffic={"kind": "envoy", "route": "trip", "match": [{"header": "canary", "exact": "true"}] * 2},
        ),
        f"{C}.traffic.match[1]",
        "is named twice",
    ),
    "a header that is none": (
        release(traffic={"kind": "envoy", "route": "trip", "match": [{"header": "a b", "exact": "x"}]}),
        f"{C}.traffic.match[0].header",
        "is not a header name",
    ),
    "a check without a path": (release(checks=[{"kind": "http"}]), f"{C}.checks[0].path", "is missing: path and query"),
    "a check with half a path": (
        release(checks=[{"kind": "http", "path": "health"}]),
        f"{C}.checks[0].path",
        '"health" is not a path: it begins with /',
    ),
    "a check that reads with a body": (
        release(checks=[{"kind": "http", "path": "/", "body": "x"}]),
        f"{C}.checks[0].body",
        "is not sent with GET; leave it out, or set method to POST",
    ),
    "a check that looks where nothing is": (
        release(checks=[{"kind": "http", "path": "/", "method": "HEAD", "contains": "x"}]),
        f"{C}.checks[0].contains",
        "HEAD is answered without a body; use GET",
    ),
    "a check with a secret": (
        release(checks=[{"kind": "http", "path": "/", "headers": {"Authorization": "Bearer x"}}]),
        f"{C}.checks[0].headers",
        "Authorization carries a secret, which would stay in Temporal's history for ever; ask a path that needs none",
    ),
    "a check by another method": (
        release(checks=[{"kind": "http", "path": "/", "method": "BREW"}]),
        f"{C}.checks[0].method",
        "POST",
    ),
    "a check with a header of two lines": (
        release(checks=[{"kind": "http", "path": "/", "headers": {"x": "a\nb"}}]),
        f"{C}.checks[0].headers.x",
        "",
    ),
    "a check of another kind": (release(checks=[{"kind": "grpc"}]), f"{C}.checks[0].kind", "http"),
    "a metric that decides nothing": (
        release(analysis={"metrics": [{"name": "errors", "kind": "ratio", "source": "envoy"}]}),
        f"{C}.analysis.metrics[0]",
        "nothing decides on this metric",
    ),
    "a share without percent": (
        metric(rule={"rollback": 0.01}),
        f"{C}.analysis.metrics[0].rule.rollback",
        "0.01 is not a share; write it with a percent sign",
    ),
    "no metrics": (release(analysis={"metrics": []}), f"{C}.analysis.metrics", "must have at least 1 item"),
    "a metric of another kind": (
        release(analysis={"metrics": [{"name": "x", "kind": "counter"}]}),
        f"{C}.analysis.metrics[0].kind",
        "known: ratio, histogram, gauge",
    ),
    "a limit of everything": (
        metric(slo={"max": "100%"}),
        f"{C}.analysis.metrics[0].slo.max",
        "max must lie from 0% to below 100%",
    ),
    "an alpha that is none": (
        release(analysis={"evidence": {"alpha": "50%"}, "metrics": [ERRORS]}),
        f"{C}.analysis.evidence.alpha",
        "between 0.0001% and 20%",
    ),
    "clusters of what is independent": (
        release(analysis={"evidence": {"dependence": "independent", "cluster": 4}, "metrics": [ERRORS]}),
        f"{C}.analysis.evidence",
        "cluster means nothing where failures are independent",
    ),
    "more evidence than a heartbeat takes": (
        release(
            analysis={"metrics": [{**ERRORS, "name": f"m{i}", "compare": {}, "slo": {"max": "1%"}} for i in range(9)]}
        ),
        f"{C}.analysis",
        "leave compare or slo out of some",
    ),
    "the router's view without a router": (
        a_release().rolling().with_(traffic={"kind": "none"}).document(),
        f"{C}.analysis.metrics[0].source",
        "envoy reads the view of a router of kind envoy, and this one is none",
    ),
    "a mesh's view of processes": (
        judged({"name": "e", "kind": "ratio", "source": "istio", "compare": {}}),
        f"{C}.analysis.metrics[0].source",
        "istio tells Deployments apart, and this workload is of kind process",
    ),
    "a variable that nobody knows": (
        judged({"name": "q", "kind": "gauge", "query": "max(q{{{pod}}})", "rule": {"rollback": 5}}),
        f"{C}.analysis.metrics[0].query",
        "there is no variable {{pod}}; did you mean pods? (selector, pods, workload,",
    ),
    "a rate for a counter": (
        judged(counted("rate(x{{{selector}}}[1m])", "x{{{selector}}}")),
        f"{C}.analysis.metrics[0].badQuery",
        "leave rate() out",
    ),
    "a query of neither version": (
        judged(counted("x_total", 'x{pod=~"{{pods}}"}')),
        f"{C}.analysis.metrics[0].badQuery",
        "the query is the same for both versions; use one of {{selector}}, {{pods}}",
    ),
    "half of a share": (
        judged({"name": "e", "kind": "ratio", "badQuery": "x{{{selector}}}", "compare": {}}),
        f"{C}.analysis.metrics[0]",
        "badQuery and totalQuery belong together",
    ),
    "a source for a query": (
        judged({**counted("x{{{selector}}}", "y{{{selector}}}"), "source": "app"}),
        f"{C}.analysis.metrics[0]",
        "leave source, bad and total out",
    ),
    "a component twice": (
        two(name="trip"),
        "spec.components[1].name",
        "trip is the name of spec.components[0] already",
    ),
    "a workload twice": (
        two(workload={"kind": "process", "service": "trip"}),
        "spec.components[1].workload.service",
        "trip is the workload of component trip already",
    ),
    "a route twice": (
        two(traffic={"kind": "envoy", "route": "trip"}),
        "spec.components[1].traffic.route",
        "trip is the route of component trip already",
    ),
    "a dependency on nobody": (two(dependsOn=["trup"]), "spec.components[1].dependsOn[0]", "did you mean trip?"),
    "a dependency on itself": (two(dependsOn=["user"]), "spec.components[1].dependsOn[0]", "cannot depend on itself"),
    "a dependency twice": (two(dependsOn=["trip", "trip"]), "spec.components[1].dependsOn[1]", "is named twice"),
    "a cycle": (
        a_release().with_(dependsOn=["user"]).and_("user", "trip").document(),
        "spec.components[0].dependsOn",
        "components wait for each other: trip -> user -> trip",
    ),
    "overrides of nobody": (
        spec(overrides={"staging": {"components": [{"name": "user", "drain": "1s"}]}}),
        "spec.overrides.staging.components[0].name",
        'there is no component "user" to override',
    ),
    "overrides without a name": (
        spec(overrides={"staging": {"components": [{"drain": "1s"}]}}),
        "spec.overrides.staging.components[0].name",
        "components are overridden by name",
    ),
    "overrides that are a list": (spec(overrides=[]), "spec.overrides", "must be fields with values, not []"),
    "an override of the environment": (
        spec(overrides={"staging": {"environment": "production"}}),
        "spec.overrides.staging.environment",
        "environment cannot be overridden",
    ),
    "a mistake in an override": (
        spec(overrides={"production": {"components": [{"name": "trip", "drain": 5}]}}),
        "spec.overrides.production.components[0].drain",
        "5 is not a duration",
    ),
    "a mistake in an overriding strategy": (
        spec(overrides={"production": {"components": [{"name": "trip", "strategy": {"kind": "rolling", "max": 1}}]}}),
        "spec.overrides.production.components[0].strategy.max",
        'there is no field "max" here',
    ),
    "an environment with spaces": (spec(environment="my prod"), "spec.environment", '"my prod" is not a name'),
    "a version with spaces": (spec(version="v 2"), "spec.version", '"v 2" is not a version'),
    "a version that is a number": (spec(version=1.2), "spec.version", "must be text, not 1.2"),
    "an unknown reaction": (spec(onFailure="rollback"), "spec.onFailure", "allowed: rollbackAll, rollbackFailed, hold"),
    "yes instead of true": (spec(restart="maybe"), "spec.restart", 'must be true or false, not "maybe"'),
    "migrations": (spec(migrations=[{"kind": "flyway"}]), "spec.migrations", "run them before the release"),
    "an essay as a reason": (spec(change={"reason": "x" * 3000}), "spec.change.reason", "at most 2000 characters"),
}


def bad_policy(change: Callable[[Any], Any]) -> dict[str, Any]:
    written = a_policy().approval("production", "ann@example.com").document()
    change(written["spec"])
    return written


def in_production(**fields: Any) -> dict[str, Any]:
    return bad_policy(lambda spec: spec["environments"]["production"].update(fields))


def gate(**fields: Any) -> dict[str, Any]:
    return bad_policy(lambda spec: spec["environments"]["production"]["approvals"][0].update(fields))


BAD_POLICIES: dict[str, tuple[Any, str, str]] = {
    "a release": (a_release().document(), "kind", "this is a Release, and a Policy is wanted here"),
    "no environments": (bad_policy(lambda spec: spec.pop("environments")), "spec.environments", "is missing"),
    "no environment": (
        bad_policy(lambda s: s["environments"].clear()),
        "spec.environments",
        "at least one environment",
    ),
    "no targets": (in_production(targets=[]), f"{P}.targets", "must have at least 1 item"),
    "a cluster twice": (
        in_production(targets=[{"cluster": "local", "namespaces": ["a"]}] * 2),
        f"{P}.targets[1].cluster",
        "local is named twice",
    ),
    "an unknown strategy": (in_production(strategies={"canery": {}}), f"{P}.strategies.canery", "did you mean canary?"),
    "no strategy allowed": (in_production(strategies={}), f"{P}.strategies", "allows no strategy at all"),
    "a floor in words": (
        in_production(strategies={"canary": {"watch": {"minimum": "long"}}}),
        f"{P}.strategies.canary.watch.minimum",
        "'long' is not a duration",
    ),
    "a first weight of 0": (
        in_production(strategies={"canary": {"firstWeight": 0}}),
        f"{P}.strategies.canary.firstWeight",
        "must be above 0",
    ),
    "stages where there are none": (
        in_production(strategies={"rolling": {"observe": {"minimum": "1m"}}}),
        f"{P}.strategies.rolling.observe",
        "rolling has no stages",
    ),
    "a group that does not exist": (
        gate(**{"from": ["production-peopel"]}),
        f"{P}.approvals[0].from[0]",
        "did you mean",
    ),
    "more approvals than people": (gate(count=2), f"{P}.approvals[0].count", "have only 1"),
    "a gate of nobody": (gate(count=0), f"{P}.approvals[0].count", "must be at least 1"),
    "a gate that never opens": (gate(expires="0s"), f"{P}.approvals[0].expires", "must be longer than 0s"),
    "a gate twice": (
        bad_policy(lambda s: s["environments"]["production"]["approvals"].append(GATE)),
        f"{P}.approvals[1].name",
        "production is the name of another approval already",
    ),
    "windows": (in_production(windows=[{"kind": "allow"}]), f"{P}.windows", "release windows are not supported yet"),
    "quality gates": (in_production(gates={"required": ["x"]}), f"{P}.gates", "not supported yet"),
    "hotfixes": (in_production(hotfix={"approvals": []}), f"{P}.hotfix", "not supported yet"),
    "approvals of rollbacks": (
        in_production(rollback={"approvals": [{"name": "emergency", "from": ["production-people"]}]}),
        f"{P}.rollback.approvals",
        "a rollback then needs nobody",
    ),
    "an emergency override": (
        gate(override=["production-people"]),
        f"{P}.approvals[0].override",
        "verified identities",
    ),
    "reminders": (gate(remindEvery="15m"), f"{P}.approvals[0].remindEvery", "not supported yet"),
    "escalation": (gate(escalateAfter="30m"), f"{P}.approvals[0].escalateAfter", "not supported yet"),
    "too much at once": (in_production(limits={"parallel": 0}), f"{P}.limits.parallel", "0 must be at least 1"),
}


@pytest.mark.parametrize("case", BAD_RELEASES)
def test_a_bad_release_is_refused_with_its_path_and_a_sentence(case: str) -> None:
    written, path, sentence = BAD_RELEASES[case]
    check(parse_release, written, path, sentence)


@pytest.mark.parametrize("case", BAD_POLICIES)
def test_a_bad_policy_is_refused_with_its_path_and_a_sentence(case: str) -> None:
    written, path, sentence = BAD_POLICIES[case]
    check(parse_policy, written, path, sentence)


def check(parse: Callable[[Any], object], written: Any, path: str, sentence: str) -> None:
    before = deepcopy(written)
    with pytest.raises(SpecError) as refused:
        parse(written)
    assert written == before, "a document is only read"
    assert [p.path for p in refused.value.problems] == [path], refused.value.problems
    assert sentence in refused.value.problems[0].message
    for word in ("Input should", "pydantic", "tagged-union", "valid dictionary", "NoneType"):
        assert word not in str(refused.value)


def test_all_mistakes_are_reported_at_once() -> None:
    written = a_release().canary(5).and_("user").with_(drain=1, traffic={"kind": "alb"}).document()
    written["spec"]["onFailure"] = "panic"
    written["metadata"]["nam"] = "x"
    with pytest.raises(SpecError) as refused:
        parse_release(written)
    assert {p.path for p in refused.value.problems} == {
        "metadata.nam",
        "spec.components[1].drain",
        "spec.components[1].traffic.kind",
        "spec.onFailure",
    }


def test_a_long_value_is_cut_in_the_sentence() -> None:
    with pytest.raises(SpecError) as refused:
        parse_release(spec(environment="x" * 1_000_000))
    assert len(str(refused.value)) < 500


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(written=json, kind=st.sampled_from(["Release", "Policy", "Pipeline"]))
def test_any_json_is_refused_with_problems_and_nothing_else(written: Any, kind: str) -> None:
    for document in (written, {"apiVersion": "headgate.dev/v1", "kind": kind, "spec": written}):
        for parse in (parse_release, parse_policy):
            with pytest.raises(SpecError) as refused:
                parse(document)
            assert refused.value.problems


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_right_document_with_any_value_replaced_is_read_or_refused_with_problems(data: st.DataObject) -> None:
    release = data.draw(st.sampled_from([a_release().canary(5, 50), a_release().rolling().unrouted()])).previewed()
    written = release.checked().and_("user", "trip").spec(overrides={"production": {"components": []}}).document()
    place: Any = written
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        below = place[key]
        if not isinstance(below, dict | list) or not below or data.draw(st.booleans()):
            break
        place = below
    place[key] = data.draw(json)
    assert all(problem.message for problem in problems_of(written))


def problems_of(written: Any) -> list[Problem]:
    try:
        parse_release(written)
    except SpecError as refused:
        return refused.problems or [Problem("", "")]
    return []
