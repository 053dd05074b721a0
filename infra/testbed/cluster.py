"""One cluster, from nothing to Ready and back to nothing."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.testbed import cache, cgroups, gateway
from infra.testbed.api import Api
from infra.testbed.assembly import Assembly, prepare
from infra.testbed.cache import Say, locked
from infra.testbed.credentials import Authority
from infra.testbed.errors import BedError
from infra.testbed.extras import EXTRAS, extra
from infra.testbed.layout import Layout, Profile
from infra.testbed.namespaces import Namespaces
from infra.testbed.packages import Packages
from infra.testbed.processes import Process, call, everyone, polling
from infra.testbed.programs import Builder, say

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
        return f"http://{self.layout.address}:{gateway.PORT}" if self.layout.profile == "full" else None

    def url(self, name: str) -> str | None:
        """Where an extra answers, once it was added."""
        layout = self.layout
        return EXTRAS[name](layout).url if (layout.run / f"{name}.json").exists() else None

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
        prepare(profile, self._cache, self._say)
        with locked(cache.lock(self.name)):
            if self.is_up:
                raise BedError(f"Cluster {self.name} is up already: use it, or `python -m infra.testbed down` first.")
            self._remove()
            begun = time.monotonic()
            layout = self._claim(profile, temporary=temporary)
            try:
                Assembly(layout, _namespaces(layout), self, cache=self._cache, say=self._say).run()
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

    def add(self, name: str) -> str:
        """Build and start an extra, unless it runs, and return where it answers."""
        added = extra(name, self.layout)
        builder = Builder(self._cache, self._say)
        builder.build([name])
        with locked(cache.lock(self.name)):
            if not self.url(name):
                added.configure(self.api(), Authority(self.layout.pki))
                self.start(name, *added.command(builder.path(name)))
        for _ in polling(name, limit=30):
            if added.is_ready:
                break
        return added.url

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
            daemon, json.loads(remembered.read_text()), log=layout.log(daemon), environ=self._environ
        )

    def run(self, command: Sequence[str]) -> int:
        """Run a command inside the cluster's namespaces, on this terminal, and return its status."""
        environ = {**self._environ, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(self.inside(command), env=environ, check=False).returncode

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command that runs one inside the cluster's namespaces, where pods have addresses."""
        return [*_namespaces(self.layout).enter(), *command]

    def dead(self) -> list[str]:
        """The daemons that should run and don't."""
        return [daemon.name for daemon in self.daemons() if not daemon.process]

    @property
    def _environ(self) -> dict[str, str]:
        """What programs inside see of this process's environment, and what they need to find each other."""
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TERM"}}
        return kept | Packages(self._cache, self._say).environ if self.layout.profile == "full" else kept

    def _claim(self, profile: Profile, *, temporary: bool) -> Layout:
        with locked(cache.lock("clusters.claim")):
            taken = {layout.index for home in self._home.parent.glob("*/") if (layout := Layout.load(home))}
            for index in set(range(1, HIGHEST_INDEX)) - taken:
                layout = Layout(self._home, profile, index, temporary)
                if _is_free(layout):
                    layout.save()
                    return layout
        raise BedError("No addresses and ports are left. Take down clusters that nobody needs.")

    # How it goes.

    def _remove(self) -> list[str]:
        """Take away whatever there is; returns what is still there afterwards."""
        layout = Layout.load(self._home)
        identities: set[str] = set()
        if layout:
            namespaces = _namespaces(layout)
            identities = namespaces.identities()
            namespaces.end()
            cgroups.remove(layout.cgroup)
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
    """Whether nobody else on this machine has the cluster's network, or its ports."""
    if layout.has_network:
        return not _can_bind(layout.host_address, 0)
    return all(_can_bind(layout.address, port) for port in (layout.api_port, layout.etcd_port))


def _can_bind(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _link(layout: Layout) -> Path:
    return Path("/sys/class/net") / layout.link


def _leftovers(layout: Layout, identities: set[str]) -> list[str]:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [
        *(f"mount {mount.split()[4]}" for mount in mounts if f"{layout.home}/" in mount),
        *(
            f"process {p.pid}"
            for p in everyone()
            if identities & {p.namespace(kind) or "" for kind in ("pid", "mnt", "net")}
        ),
        *(f"cgroup {root}" for root in cgroups.find(layout.cgroup)),
        *([f"link {layout.link}"] if _link(layout).exists() else []),
        *([f"folder {layout.home}"] if layout.home.exists() else []),
    ]
