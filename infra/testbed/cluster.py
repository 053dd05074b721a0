"""One cluster, from nothing to Ready and back to nothing."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.testbed import cache, control_plane
from infra.testbed.api import Api
from infra.testbed.cache import Say, locked
from infra.testbed.credentials import Authority
from infra.testbed.errors import BedError
from infra.testbed.layout import Layout, Profile
from infra.testbed.namespaces import Namespaces
from infra.testbed.processes import Process, call, everyone, last_words, polling
from infra.testbed.programs import Builder, say

MANIFESTS = Path(__file__).parent / "manifests"
CONTROL_PLANE = ("pause", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
PROGRAMS: dict[Profile, tuple[str, ...]] = {"api": (*CONTROL_PLANE, "kwok"), "full": CONTROL_PLANE}
NAMESPACES: dict[Profile, tuple[str, ...]] = {"api": ("pid", "mnt"), "full": ("pid", "mnt", "net", "uts", "ipc")}
HIGHEST_INDEX = 250


@dataclass(frozen=True)
class Daemon:
    """A daemon at one moment; the process is None when it does not run."""

    name: str
    process: Process | None


class Cluster:
    """The cluster with a name, up or not; every method finds out for itself, so any process may use it."""

    def __init__(self, name: str, *, tell: Say = say) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", name):
            raise BedError(f"{name!r} is no name for a cluster. Use up to 40 small letters, digits and hyphens.")
        self.name = name
        self._say = tell
        self._cache = cache.root()
        self._home = self._cache / "clusters" / name
        self._builder = Builder(self._cache, tell)

    # What it is.

    @property
    def is_up(self) -> bool:
        return (layout := Layout.load(self._home)) is not None and _namespaces(layout).init is not None

    @property
    def is_temporary(self) -> bool:
        """Whether tests made it for themselves, up or not."""
        return (layout := Layout.load(self._home)) is not None and layout.temporary

    @property
    def layout(self) -> Layout:
        if not self.is_up or not (layout := Layout.load(self._home)):
            raise BedError(f"Cluster {self.name} is not up: `python -m infra.testbed up --name {self.name}`.")
        return layout

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.layout.kubeconfig()

    def api(self) -> Api:
        """A client with the administrator's rights."""
        return Api(self.kubeconfig)

    @property
    def gateway(self) -> str | None:
        """Where the data plane answers."""
        return f"http://{self.layout.address}:8080" if self.layout.profile == "full" else None

    @property
    def prometheus(self) -> str | None:
        """Where Prometheus answers."""
        return f"http://{self.layout.address}:9090" if (self.layout.run / "prometheus.json").exists() else None

    def daemons(self) -> list[Daemon]:
        """Every daemon that was started, and process 1."""
        layout = self.layout
        alive = _namespaces(layout).daemons()
        names = sorted(file.stem for file in layout.run.glob("*.json"))
        return [Daemon("pause", _namespaces(layout).init), *(Daemon(name, alive.get(name)) for name in names)]

    # Up and down.

    def up(self, profile: Profile, *, temporary: bool = False) -> None:
        """Build what is missing and bring the cluster up; when that fails, nothing of it stays.

        A temporary one is taken down by the last of the tests that use it.
        """
        self._builder.build(PROGRAMS[profile])
        with locked(cache.lock(self.name)):
            if self.is_up:
                raise BedError(f"Cluster {self.name} is up already: use it, or `python -m infra.testbed down` first.")
            self._remove()
            begun = time.monotonic()
            layout = self._claim(profile, temporary=temporary)
            try:
                self._bring_up(layout)
            except BaseException:
                self._remove()
                raise
        self._say(f"Cluster {self.name} ({profile}) is up after {time.monotonic() - begun:.1f} s.")

    def down(self) -> None:
        """Take everything away, also after a crash; BedError names what could not be."""
        with locked(lock := cache.lock(self.name)):
            left = self._remove()
            lock.unlink()
        if left:
            raise BedError(f"Cluster {self.name} left something behind: {'; '.join(left)}. Run `down` again.")

    # Faults and visits.

    def stop(self, daemon: str, *, at_once: bool = False) -> None:
        """End one daemon: by SIGTERM, after 10 s or at once by SIGKILL."""
        process = _namespaces(self.layout).daemons().get(daemon)
        if not process:
            raise BedError(f"{daemon} does not run in {self.name}. `python -m infra.testbed status` lists what does.")
        os.kill(process.pid, signal.SIGKILL if at_once else signal.SIGTERM)
        for waited in polling(f"{daemon} to end", limit=30):
            if not process.is_alive:
                return
            if waited > 10:  # The API server waits for its watchers.
                os.kill(process.pid, signal.SIGKILL)

    def start(self, daemon: str, *command: str | Path) -> None:
        """Start a daemon, or without a command start again one that was stopped."""
        layout = self.layout
        remembered = layout.run / f"{daemon}.json"
        if daemon in _namespaces(layout).daemons():
            raise BedError(f"{daemon} runs already in {self.name}.")
        if command:
            remembered.write_text(json.dumps([str(word) for word in command]))
        elif not remembered.exists():
            raise BedError(f"{self.name} never had a daemon {daemon}. `python -m infra.testbed status` lists them.")
        _namespaces(layout).start(
            daemon, json.loads(remembered.read_text()), log=layout.log(daemon), environ=self.environ
        )

    def run(self, command: Sequence[str]) -> int:
        """Run a command inside the cluster's namespaces, on this terminal, and return its status."""
        kubeconfig = {"KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            [*_namespaces(self.layout).enter(), *command], env={**self.environ, **kubeconfig}, check=False
        )
        return done.returncode

    @property
    def environ(self) -> dict[str, str]:
        """What programs inside see of this process's environment."""
        return {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TERM"}}

    # How it comes up.

    def _claim(self, profile: Profile, *, temporary: bool) -> Layout:
        with locked(cache.lock("clusters.claim")):
            taken = {layout.index for home in self._home.parent.glob("*/") if (layout := Layout.load(home))}
            for index in set(range(1, HIGHEST_INDEX)) - taken:
                layout = Layout(self._home, profile, index, temporary)
                if _is_free(layout):
                    layout.save()
                    return layout
        raise BedError("No addresses and ports are left. Take down clusters that nobody needs.")

    def _bring_up(self, layout: Layout) -> None:
        for folder in (layout.run, layout.logs, layout.data):
            folder.mkdir()
        authority = Authority(layout.pki)
        authority.create()
        control_plane.issue(authority, layout)
        self._make_namespaces(layout)
        self._start_control_plane(layout)
        self._start_kwok(layout)
        api = self.api()
        # No pod can be created before the controller manager has made this.
        self._wait("the default service account", lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default"))

    def _make_namespaces(self, layout: Layout) -> None:
        _namespaces(layout).create(self._builder.path("pause"), layout.home)

    def _start_control_plane(self, layout: Layout) -> None:
        for name, flags in (("etcd", control_plane.etcd(layout)), ("kube-apiserver", control_plane.apiserver(layout))):
            self.start(name, self._builder.path(name), *flags)
        api = self.api()
        self._wait("the API server", lambda: api.is_ready)
        for name, flags in (
            ("kube-controller-manager", control_plane.controller_manager(layout)),
            ("kube-scheduler", control_plane.scheduler(layout)),
        ):
            self.start(name, self._builder.path(name), *flags)

    def _start_kwok(self, layout: Layout) -> None:
        self.start("kwok", self._builder.path("kwok"), *control_plane.kwok(layout, MANIFESTS / "stages.yaml"))
        api = self.api()
        api.apply(MANIFESTS / "fake-nodes.yaml")
        # The controller manager takes a node's taint away when it sees that it is Ready.
        self._wait("the nodes", lambda: not any("taints" in node["spec"] for node in api.get("/api/v1/nodes")["items"]))

    def _wait(self, what: str, happened: Callable[[], object]) -> None:
        """Wait for something that daemons do; when one of them dies, say its last words."""
        for _ in polling(what, limit=120):
            if happened():
                return
            for daemon in self.daemons():
                if not daemon.process:
                    said = last_words(self.layout.log(daemon.name).read_text(errors="replace"))
                    raise BedError(f"{daemon.name} ended while {what} was waited for: {said}")

    # How it goes.

    def _remove(self) -> list[str]:
        """Take away whatever there is; returns what is still there afterwards."""
        layout = Layout.load(self._home)
        identities: set[str] = set()
        if layout:
            namespaces = _namespaces(layout)
            identities = namespaces.identities()
            namespaces.end()
            _remove_cgroups(layout.cgroup)
            # The kernel takes it away too, but a little later.
            if _link(layout).exists():
                call(["ip", "link", "delete", layout.link])
        shutil.rmtree(self._home, ignore_errors=True)
        return _leftovers(layout, identities) if layout else []


def clusters() -> list[Cluster]:
    """Every cluster of this cache that is up, or that a crash left."""
    homes = (cache.root() / "clusters").glob("*/")
    return [Cluster(home.name) for home in sorted(homes)]


def _namespaces(layout: Layout) -> Namespaces:
    return Namespaces(layout.run, NAMESPACES[layout.profile])


def _is_free(layout: Layout) -> bool:
    """Nobody else on this machine has the cluster's ports, or its link."""
    if layout.has_network:
        return not _link(layout).exists()
    for port in (layout.api_port, layout.etcd_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((layout.address, port))
            except OSError:
                return False
    return True


def _link(layout: Layout) -> Path:
    return Path("/sys/class/net") / layout.link


def _cgroup_roots(name: str) -> list[Path]:
    top = Path("/sys/fs/cgroup")
    return [found for found in (top / name, *top.glob(f"*/{name}")) if found.is_dir() and not found.parent.is_symlink()]


def _remove_cgroups(name: str) -> None:
    for root in _cgroup_roots(name):
        folders = sorted((folder for folder in root.rglob("*") if folder.is_dir()), reverse=True)
        for folder in (*folders, root):
            for _ in polling(f"cgroup {folder} to empty", limit=10):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    continue
                break


def _leftovers(layout: Layout, identities: set[str]) -> list[str]:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [
        *(f"mount {mount.split()[4]}" for mount in mounts if f"{layout.home}/" in mount),
        *(
            f"process {p.pid}"
            for p in everyone()
            if identities & {p.namespace(kind) or "" for kind in ("pid", "mnt", "net")}
        ),
        *(f"cgroup {root}" for root in _cgroup_roots(layout.cgroup)),
        *([f"link {layout.link}"] if _link(layout).exists() else []),
        *([f"folder {layout.home}"] if layout.home.exists() else []),
    ]
