"""Traefik beside a node, as the data plane of IngressRoute and TraefikService; Contour keeps everything else."""

from pathlib import Path

from infra.testbed import crds
from infra.testbed.api import Api
from infra.testbed.credentials import Authority
from infra.testbed.layout import Layout
from infra.testbed.manifests import MANIFESTS
from infra.testbed.processes import answers


class Traefik:
    """Traefik for one cluster."""

    def __init__(self, layout: Layout) -> None:
        self._address = layout.address
        self._kubeconfig = layout.kubeconfig("traefik")

    @property
    def url(self) -> str:
        return f"http://{self._address}:8090"

    @property
    def is_ready(self) -> bool:
        return answers(f"http://{self._address}:8091/ping")

    def configure(self, api: Api, authority: Authority) -> None:
        crds.install(api, ["traefik"])
        api.apply(MANIFESTS / "traefik.yaml")
        token = api.token("traefik", "traefik")
        authority.write_kubeconfig(self._kubeconfig, server=api.server, user="traefik", token=token)

    def command(self, program: Path) -> list[str]:
        return [
            # It finds the API by the variable alone.
            *("env", f"KUBECONFIG={self._kubeconfig}", str(program)),
            "--providers.kubernetescrd=true",
            # Otherwise it answers 404 for whatever leads to no pod, and not 503.
            "--providers.kubernetescrd.allowemptyservices=true",
            f"--entrypoints.web.address={self._address}:8090",
            f"--entrypoints.ping.address={self._address}:8091",
            "--ping.entrypoint=ping",
            "--metrics.prometheus.entrypoint=ping",
            *("--global.checknewversion=false", "--global.sendanonymoususage=false"),
            "--log.level=WARN",
        ]
