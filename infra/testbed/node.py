"""The node of profile `full`: containerd, kubelet, kube-proxy and CoreDNS, with their settings.

Most settings are answers to traps; `docs/how-to/test-bed.md` lists them.
"""

import json
from pathlib import Path

from infra.testbed.credentials import Authority
from infra.testbed.images import PAUSE
from infra.testbed.layout import POD_RANGE, Layout

PROGRAMS = ("kubelet", "kube-proxy", "coredns")
DOMAIN = "cluster.local"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

_CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
netns_mounts_under_state_dir = true
# Without CAP_SYS_RESOURCE nothing may lower its oom_score_adj, and runc gives up.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""

_COREDNS = """\
.:53 {{
  bind {address}
  errors
  ready 127.0.0.1:8181
  kubernetes {domain} {{
    kubeconfig {kubeconfig}
    ttl 1
  }}
}}
"""


class Node:
    """Writes the settings into one folder and names the commands."""

    def __init__(self, layout: Layout, *, plugins: Path) -> None:
        self._layout = layout
        self._plugins = plugins
        self.folder = layout.home / "node"

    def issue(self, authority: Authority) -> None:
        """Issue what the node and the API server show each other."""
        layout = self._layout
        identity = f"/O=system:nodes/CN=system:node:{layout.node}"
        authority.issue_client("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
        authority.issue_server("kubelet-server", identity, [f"DNS:{layout.node}", f"IP:{layout.address}"])
        for user, subject in {
            "kubelet": identity,
            "kube-proxy": "/CN=system:kube-proxy",
            "coredns": "/CN=coredns",
        }.items():
            authority.issue_client(user, subject)
            authority.write_kubeconfig(layout.kubeconfig(user), server=layout.server, user=user)

    def configure(self) -> None:
        """Write every settings file."""
        (self.folder / "cni").mkdir(parents=True)
        (self.folder / "resolv.conf").write_text("")
        self._write("cni/10-testbed.conflist", self._network())
        self._write("kubelet.json", self._kubelet())
        self._write("kube-proxy.json", self._proxy())
        containerd = {"folder": self.folder, "socket": CONTAINERD_SOCKET, "pause": PAUSE, "plugins": self._plugins}
        (self.folder / "containerd.toml").write_text(_CONTAINERD.format(**containerd))
        kubeconfig = self._layout.kubeconfig("coredns")
        (self.folder / "Corefile").write_text(
            _COREDNS.format(address=self._layout.address, domain=DOMAIN, kubeconfig=kubeconfig)
        )

    def containerd(self) -> list[str]:
        return ["containerd", "--config", str(self.folder / "containerd.toml")]

    def kubelet(self) -> list[str]:
        """The flags; most is in the file."""
        return [
            f"--config={self.folder / 'kubelet.json'}",
            f"--kubeconfig={self._layout.kubeconfig('kubelet')}",
            f"--hostname-override={self._layout.node}",
            f"--node-ip={self._layout.address}",
            f"--root-dir={self.folder / 'kubelet'}",
        ]

    def proxy(self) -> list[str]:
        return [f"--config={self.folder / 'kube-proxy.json'}"]

    def coredns(self) -> list[str]:
        return ["-conf", str(self.folder / "Corefile")]

    def _write(self, name: str, content: object) -> None:
        (self.folder / name).write_text(json.dumps(content, indent=1))

    def _network(self) -> object:
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}]},
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "1.0.0", "name": "testbed", "plugins": [bridge, ports]}

    def _kubelet(self) -> object:
        pki = self._layout.pki
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self._layout.address,
            "healthzBindAddress": "127.0.0.1",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki / "kubelet-server.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._layout.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "podLogsDir": "/var/log/pods",
            "resolvConf": str(self.folder / "resolv.conf"),
            "clusterDNS": [self._layout.address],
            "clusterDomain": DOMAIN,
            # An image that is collected can't be pulled again.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        }

    def _proxy(self) -> object:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": POD_RANGE,
            "hostnameOverride": self._layout.node,
            "clientConnection": {"kubeconfig": str(self._layout.kubeconfig("kube-proxy"))},
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            # These belong to the machine, and a network namespace may not set them.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
