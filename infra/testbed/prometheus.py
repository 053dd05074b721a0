"""Prometheus beside a cluster: finds pods through the API, and scrapes the gateway where there is one.

Every running pod with a container port called `metrics` is scraped once a second, with the labels app, track, version
(the image's tag), pod, namespace and pod_template_hash.
"""

import http.client
import json

from infra.testbed import gateway
from infra.testbed.api import Api
from infra.testbed.credentials import Authority
from infra.testbed.layout import Layout

PROGRAM = "prometheus"
USER = "prometheus"
NAMESPACE = "monitoring"
_LABELS = {
    "pod_label_app": "app",
    "pod_label_track": "track",
    "pod_label_pod_template_hash": "pod_template_hash",
    "namespace": "namespace",
    "pod_name": "pod",
}


def configure(layout: Layout, api: Api, authority: Authority) -> None:
    """Write the settings, with credentials of Prometheus's own service account."""
    server = {"server": api.server, "user": USER, "token": api.token(NAMESPACE, USER)}
    authority.write_kubeconfig(layout.kubeconfig(USER), **server)
    pods = {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(layout.kubeconfig(USER))}],
        "relabel_configs": [
            _keep("pod_container_port_name", "metrics"),
            _keep("pod_phase", "Running"),
            *({"source_labels": [f"__meta_kubernetes_{name}"], "target_label": to} for name, to in _LABELS.items()),
            {
                "source_labels": ["__meta_kubernetes_pod_container_image"],
                "regex": ".*:(.+)",
                "target_label": "version",
            },
        ],
    }
    envoy = {
        "job_name": "gateway",
        "metrics_path": "/stats/prometheus",
        "static_configs": [{"targets": [f"{layout.address}:{gateway.STATS_PORT}"]}],
    }
    settings = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [pods, envoy] if layout.profile == "full" else [pods],
    }
    (layout.home / "prometheus.json").write_text(json.dumps(settings, indent=1))


def flags(layout: Layout) -> list[str]:
    """Listen where tests reach it, and keep the data with the cluster."""
    return [
        f"--config.file={layout.home / 'prometheus.json'}",
        f"--storage.tsdb.path={layout.data / 'prometheus'}",
        "--storage.tsdb.retention.time=6h",
        f"--web.listen-address={layout.address}:{layout.prometheus_port}",
    ]


def is_ready(layout: Layout) -> bool:
    """Whether it answers queries."""
    connection = http.client.HTTPConnection(layout.address, layout.prometheus_port, timeout=2)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _keep(name: str, value: str) -> dict[str, object]:
    return {"source_labels": [f"__meta_kubernetes_{name}"], "regex": value, "action": "keep"}
