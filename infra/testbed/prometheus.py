"""Prometheus beside a node: finds pods through the API, and scrapes the gateway.

Every running pod with a container port called `metrics` is scraped once a second, with the labels app, track, version
(the image's tag), pod, namespace and pod_template_hash.
"""

import json
from pathlib import Path

from infra.testbed import gateway
from infra.testbed.api import Api
from infra.testbed.credentials import Authority
from infra.testbed.layout import Layout
from infra.testbed.manifests import MANIFESTS
from infra.testbed.processes import answers

_LABELS = {
    "pod_label_app": "app",
    "pod_label_track": "track",
    "pod_label_pod_template_hash": "pod_template_hash",
    "namespace": "namespace",
    "pod_name": "pod",
}


class Prometheus:
    """Prometheus for one cluster."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._kubeconfig = layout.kubeconfig("prometheus")
        self._settings = layout.home / "prometheus.json"

    @property
    def url(self) -> str:
        return f"http://{self._layout.address}:9090"

    @property
    def is_ready(self) -> bool:
        return answers(f"{self.url}/-/ready")

    def configure(self, api: Api, authority: Authority) -> None:
        api.apply(MANIFESTS / "prometheus.yaml")
        token = api.token("monitoring", "prometheus")
        authority.write_kubeconfig(self._kubeconfig, server=api.server, user="prometheus", token=token)
        envoy = f"{self._layout.address}:{gateway.STATS_PORT}"
        jobs = [
            self._pods(),
            {
                "job_name": "gateway",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [envoy]}],
            },
        ]
        settings = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
        self._settings.write_text(json.dumps(settings, indent=1))

    def command(self, program: Path) -> list[str]:
        return [
            str(program),
            f"--config.file={self._settings}",
            f"--storage.tsdb.path={self._layout.data / 'prometheus'}",
            "--storage.tsdb.retention.time=6h",
            f"--web.listen-address={self._layout.address}:9090",
        ]

    def _pods(self) -> dict[str, object]:
        version = {
            "source_labels": ["__meta_kubernetes_pod_container_image"],
            "regex": ".*:(.+)",
            "target_label": "version",
        }
        labels = [{"source_labels": [f"__meta_kubernetes_{name}"], "target_label": to} for name, to in _LABELS.items()]
        return {
            "job_name": "pods",
            "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(self._kubeconfig)}],
            "relabel_configs": [
                _keep("pod_container_port_name", "metrics"),
                _keep("pod_phase", "Running"),
                *labels,
                version,
            ],
        }


def _keep(name: str, value: str) -> dict[str, object]:
    return {"source_labels": [f"__meta_kubernetes_{name}"], "regex": value, "action": "keep"}
