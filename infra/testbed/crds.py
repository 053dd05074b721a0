"""Custom resource definitions of the projects whose objects Headgate writes, out of their Go modules.

The projects' releases are files on download sites that a machine may not reach; a Go module proxy it needs anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubernetes.client import ApiException

from infra.testbed.api import Api, read_manifests
from infra.testbed.errors import BedError
from infra.testbed.golang import module
from infra.testbed.processes import polling


@dataclass(frozen=True)
class Source:
    """Where a project's CRDs are, only those that Headgate cares about; the digest is Go's own of the whole module."""

    module: str
    version: str
    digest: str
    paths: tuple[str, ...]


SOURCES = {
    # The version that Contour is built with; the standard channel.
    "gateway-api": Source(
        "sigs.k8s.io/gateway-api",
        "v1.3.0",
        "h1:q6okN+/UKDATola4JY7zXzx40WO4VISk7i9DIfOvr9M=",
        ("config/crd/standard",),
    ),
    "contour": Source(
        "github.com/projectcontour/contour",
        "v1.33.8",
        "h1:QoOfwqWws+CVRFpsRC2+f1DmB5IdurtyUtepIsiWfE0=",
        ("examples/contour/01-crds.yaml",),
    ),
    "istio": Source(
        "istio.io/api",
        "v1.31.1",
        "h1:5Yb5ihcz4YQsCkciusK7DnFpBMwRB6EFWeUKH1Atuyk=",
        ("kubernetes/customresourcedefinitions.gen.yaml",),
    ),
    # The version that builds where the forks of later ones are not served.
    "traefik": Source(
        "github.com/traefik/traefik/v3",
        "v3.5.0",
        "h1:LcEVhZkBC0uXp8vNwn+4zCWKmZTnPo95euw6ejmmWPk=",
        ("docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",),
    ),
    "keda": Source(
        "github.com/kedacore/keda/v2",
        "v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    ),
    # The newest that Go 1.26 downloads. Without ApplicationSet: its schema alone keeps the API server busy for seconds.
    "argo-cd": Source(
        "github.com/argoproj/argo-cd/v3",
        "v3.5.7",
        "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=",
        ("manifests/crds/application-crd.yaml", "manifests/crds/appproject-crd.yaml"),
    ),
    "prometheus-operator": Source(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
            for kind in ("servicemonitors", "podmonitors", "prometheusrules")
        ),
    ),
}


def install(api: Api, names: Sequence[str] = tuple(SOURCES)) -> list[str]:
    """Install the CRDs that are missing, wait until they are served, and return their names."""
    installed = []
    for name in names:
        if name not in SOURCES:
            raise BedError(f"There are no CRDs called {name}. There are: {', '.join(sorted(SOURCES))}.")
        for manifest in read_manifests(*files(SOURCES[name])):
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{manifest['metadata']['name']}"
            if manifest["kind"] == "CustomResourceDefinition" and not api.get(path):
                api.apply_object(manifest)
                installed.append(path)
    for path in installed:
        api.wait_for("Established", path)
        _wait_for_storage(api, path)
    return [path.rpartition("/")[2] for path in installed]


def _wait_for_storage(api: Api, path: str) -> None:
    """Has the API server open what stores a kind: it begins at the first question, and refuses some meanwhile."""
    spec = api.get(path)["spec"]
    version = next(version["name"] for version in spec["versions"] if version["storage"])
    for _ in polling(f"the storage of {spec['names']['plural']}", limit=30):
        try:
            api.request("GET", f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1")
        except ApiException as error:
            if error.status != 429:
                raise
        else:
            return


def files(source: Source) -> list[Path]:
    """The files and folders of the CRDs, in Go's cache of modules; downloads the module on first use."""
    folder = module(source.module, source.version, source.digest)
    return [folder / path for path in source.paths]
