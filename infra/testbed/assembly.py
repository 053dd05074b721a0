"""How a cluster comes up, daemon by daemon, in an order that waits for as little as possible."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from infra.testbed import cgroups, control_plane, gateway, images, node
from infra.testbed.api import Api
from infra.testbed.cache import Say
from infra.testbed.credentials import Authority
from infra.testbed.errors import BedError
from infra.testbed.gateway import Gateway
from infra.testbed.layout import SERVICE_RANGE, Layout, Profile
from infra.testbed.manifests import MANIFESTS
from infra.testbed.namespaces import Namespaces
from infra.testbed.node import Node
from infra.testbed.packages import Packages
from infra.testbed.processes import call, last_words, polling
from infra.testbed.programs import Builder

NODE_INIT = Path(__file__).parent / "node-init.sh"
PROGRAMS: dict[Profile, tuple[str, ...]] = {
    "api": ("pause", *control_plane.PROGRAMS, "kwok"),
    "full": ("pause", *control_plane.PROGRAMS, *node.PROGRAMS, *gateway.PROGRAMS, *images.PROGRAMS),
}


class Daemons(Protocol):
    """Where daemons are started, and what became of them."""

    def start(self, daemon: str, *command: str | Path) -> None: ...

    def dead(self) -> list[str]: ...


def prepare(profile: Profile, cache: Path, say: Say) -> None:
    """Make all that a profile needs and that every cluster can share; slow once, nothing afterwards."""
    if profile == "full" and os.geteuid() != 0:
        raise BedError("Profile full mounts and makes network devices, so it needs root. Profile api does not.")
    builder = Builder(cache, say)
    builder.build(PROGRAMS[profile])
    if profile == "full":
        gateway.find_envoy()
        Packages(cache, say).install()
        images.pack(builder, cache)


class Assembly:
    """One cluster in the making."""

    def __init__(self, layout: Layout, namespaces: Namespaces, daemons: Daemons, *, cache: Path, say: Say) -> None:
        self._layout = layout
        self._namespaces = namespaces
        self._daemons = daemons
        self._cache = cache
        self._builder = Builder(cache, say)
        self._packages = Packages(cache, say)
        self._authority = Authority(layout.pki)
        self._node = Node(layout, plugins=self._packages.plugins)

    def run(self) -> None:
        """Bring everything up; returns when a pod can be created and gets Ready."""
        for folder in (self._layout.run, self._layout.logs, self._layout.data):
            folder.mkdir()
        self._authority.create()
        control_plane.issue(self._authority, self._layout)
        if self._layout.profile == "full":
            self._full()
        else:
            self._api()
        # No pod can be created before the controller manager has made this.
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._wait("the default service account", lambda: self._client.get(account))

    def _api(self) -> None:
        self._namespaces.create([], self._builder.path("pause"))
        self._start_api_server()
        self._wait_for_api_server()
        self._start_controllers()
        self._start("kwok", *control_plane.kwok(self._layout, MANIFESTS / "stages.yaml"))
        self._client.apply(MANIFESTS / "fake-nodes.yaml")
        self._wait("the nodes", self._nodes_are_ready)

    def _full(self) -> None:
        self._node.issue(self._authority)
        self._node.configure()
        pause = self._builder.path("pause")
        self._namespaces.create([str(NODE_INIT), str(self._node.folder), self._layout.node], pause)
        self._connect()
        cgroups.create(self._layout.cgroup)
        self._daemons.start("containerd", *self._node.containerd())
        self._start_api_server()
        self._import_images()
        self._wait_for_api_server()
        self._start_controllers()
        self._client.apply(MANIFESTS / "coredns.yaml")
        self._start("kubelet", *self._node.kubelet())
        self._start("kube-proxy", *self._node.proxy())
        self._start("coredns", *self._node.coredns())
        self._start_gateway()
        self._wait("the node", self._nodes_are_ready)
        self._wait("the gateway", lambda: gateway.is_ready(self._layout, self._client))

    def _connect(self) -> None:
        """Join the cluster's network to the machine by one link, with no way further out."""
        layout, init = self._layout, self._namespaces.init
        if not init:
            raise BedError(f"Process 1 of {layout.name} ended at once. Look at {layout.run / 'init.log'}.")
        call(["ip", "link", "add", layout.link, "type", "veth", "peer", "name", "eth0", "netns", str(init.pid)])
        call(["ip", "addr", "add", f"{layout.host_address}/30", "dev", layout.link])
        call(["ip", "link", "set", layout.link, "up"])
        inside = [
            "link set lo up",
            f"addr add {layout.address}/30 dev eth0",
            "link set eth0 up",
            # There is no default route. Still a process needs some route to a service's address before kube-proxy's
            # rules get to rewrite it.
            f"route add {SERVICE_RANGE} dev lo src {layout.address}",
        ]
        call(["nsenter", f"--target={init.pid}", "--net", "ip", "-batch", "-"], text="\n".join(inside))

    def _start_api_server(self) -> None:
        self._start("etcd", *control_plane.etcd(self._layout))
        self._start("kube-apiserver", *control_plane.apiserver(self._layout))

    def _wait_for_api_server(self) -> None:
        self._client = Api(self._layout.kubeconfig())
        self._wait("the API server", lambda: self._client.is_ready)

    def _start_controllers(self) -> None:
        self._start("kube-controller-manager", *control_plane.controller_manager(self._layout))
        self._start("kube-scheduler", *control_plane.scheduler(self._layout))

    def _import_images(self) -> None:
        # It waits for containerd by itself.
        control = [*self._namespaces.enter(), "ctr", f"--address={node.CONTAINERD_SOCKET}", "--namespace=k8s.io"]
        archive = images.pack(self._builder, self._cache)
        call([*control, "--connect-timeout=30s", "images", "import", archive], environ=self._packages.environ)

    def _start_gateway(self) -> None:
        made = Gateway(self._layout, self._builder.path("contour"))
        made.configure(self._client, self._authority)
        self._daemons.start("contour", *made.contour())
        self._daemons.start("envoy", *made.envoy())
        self._client.apply(MANIFESTS / "gateway.yaml")

    def _nodes_are_ready(self) -> bool:
        """Whether the controller manager has taken the nodes' taints away, as it does when they are Ready."""
        nodes = self._client.get("/api/v1/nodes")["items"]
        return bool(nodes) and not any("taints" in found["spec"] for found in nodes)

    def _start(self, program: str, *flags: str) -> None:
        self._daemons.start(program, self._builder.path(program), *flags)

    def _wait(self, what: str, happened: Callable[[], object]) -> None:
        """Wait for something that daemons do; when one of them dies, say its last words."""
        for _ in polling(what, limit=120):
            if happened():
                return
            for daemon in self._daemons.dead():
                said = last_words(self._layout.log(daemon).read_text(errors="replace"))
                raise BedError(f"{daemon} ended while {what} was waited for: {said}")
