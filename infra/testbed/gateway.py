"""Contour and Envoy as the data plane of Gateway API, HTTPProxy and Ingress: processes beside the node, not pods.

Envoy listens on port 8080 of the node's address, once the first route exists.
"""

import json
from pathlib import Path

from cli.tools import Toolbox, ToolError
from infra.testbed import crds
from infra.testbed.api import Api
from infra.testbed.credentials import Authority
from infra.testbed.errors import BedError
from infra.testbed.layout import Layout
from infra.testbed.processes import answers, call

PROGRAMS = ("contour",)
PORT = 8080
STATS_PORT = 8002
NAMESPACE = "projectcontour"
GATEWAY = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/gateways/contour"
_XDS = ("--xds-address=127.0.0.1", "--xds-port=8001")


class Gateway:
    """Installs what Contour needs and names the commands."""

    def __init__(self, layout: Layout, contour: Path) -> None:
        self._layout = layout
        self._contour = contour
        self._folder = layout.home / "gateway"

    def configure(self, api: Api, authority: Authority) -> None:
        """Install the CRDs and Contour's rights, and write the settings."""
        crds.install(api, ("gateway-api", "contour"))
        examples = crds.files(crds.SOURCES["contour"])[0].parent
        api.apply(*(examples / f"{name}.yaml" for name in ("00-common", "02-rbac", "02-role-contour")))
        self._folder.mkdir()
        reference = {"gateway": {"gatewayRef": {"namespace": NAMESPACE, "name": "contour"}}}
        (self._folder / "contour.json").write_text(json.dumps(reference))
        # Contour gets the rights of its own service account, not the administrator's.
        token = api.token(NAMESPACE, "contour")
        authority.write_kubeconfig(self._layout.kubeconfig("contour"), server=api.server, user="contour", token=token)

    def contour(self) -> list[str]:
        """Serve; the disabled kinds are not in the standard channel, so there is no CRD to watch."""
        address = self._layout.address
        return [
            str(self._contour),
            "serve",
            f"--kubeconfig={self._layout.kubeconfig('contour')}",
            f"--config-path={self._folder / 'contour.json'}",
            *("--insecure", *_XDS, "--disable-leader-election"),
            *("--http-address=127.0.0.1", "--health-address=127.0.0.1", "--debug-http-address=127.0.0.1"),
            f"--stats-address={address}",
            f"--ingress-status-address={address}",
            *(f"--disable-feature={kind}" for kind in ("tlsroutes", "tcproutes", "backendtlspolicies")),
        ]

    def envoy(self) -> list[str]:
        """Serve what Contour says; the settings are Contour's own."""
        settings = self._folder / "envoy.json"
        call([self._contour, "bootstrap", settings, *_XDS, f"--admin-address={self._folder / 'envoy.sock'}"])
        return [
            str(find_envoy()),
            *("--config-path", str(settings), "--service-cluster", "testbed", "--service-node", "testbed"),
            *("--log-level", "warn", "--concurrency", "2", "--disable-hot-restart"),
        ]


def is_ready(layout: Layout, api: Api) -> bool:
    """Whether Contour has programmed the Gateway and Envoy has heard of it."""
    conditions = (api.get(GATEWAY) or {}).get("status", {}).get("conditions", [])
    if not any(c["type"] == "Programmed" and c["status"] == "True" for c in conditions):
        return False
    return answers(f"http://{layout.address}:{STATS_PORT}/ready")


def find_envoy() -> Path:
    """Envoy as Headgate itself finds it: given, on PATH or out of the wheel."""
    try:
        return Toolbox().envoy().path
    except ToolError as error:
        raise BedError(str(error)) from error
