"""Where a cluster's files, addresses and ports are. All else asks here, so two clusters never share any of them."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Profile = Literal["api", "full"]

POD_RANGE = "10.244.0.0/24"
SERVICE_RANGE = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"


@dataclass(frozen=True)
class Layout:
    """One cluster's places. The index is its own on this machine, and settles addresses and ports."""

    home: Path
    profile: Profile
    index: int
    temporary: bool = False

    @property
    def name(self) -> str:
        return self.home.name

    @property
    def node(self) -> str:
        return f"{self.name}-node"

    # Profile `full` has a network of its own, so its ports are the usual ones. Profile `api` lives on the loopback,
    # with ports below those that the kernel gives to outgoing connections: a stopped daemon finds its port free again.

    @property
    def has_network(self) -> bool:
        return self.profile == "full"

    @property
    def host_address(self) -> str:
        """The machine's end of the link. 198.18.0.0/15 is set aside for tests and routed nowhere."""
        return f"198.18.{self.index}.1"

    @property
    def address(self) -> str:
        """Where the API server, the gateway, Prometheus and the node ports answer."""
        return f"198.18.{self.index}.2" if self.has_network else "127.0.0.1"

    @property
    def mark(self) -> str:
        """What tells this cluster's things from all others on the machine, also from those of another cache."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:8]

    @property
    def link(self) -> str:
        return f"hg-{self.mark}"

    @property
    def api_port(self) -> int:
        return 6443 if self.has_network else 20000 + 2 * self.index

    @property
    def etcd_port(self) -> int:
        return 2379 if self.has_network else 20001 + 2 * self.index

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.api_port}"

    @property
    def cgroup(self) -> str:
        return f"headgate-testbed-{self.mark}"

    @property
    def pki(self) -> Path:
        return self.home / "pki"

    @property
    def run(self) -> Path:
        """Who runs: process 1, the pids of daemons, and their command lines."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def data(self) -> Path:
        return self.home / "data"

    def kubeconfig(self, user: str = "admin") -> Path:
        return self.home / "kubeconfig" / user

    def log(self, daemon: str) -> Path:
        return self.logs / f"{daemon}.log"

    def save(self) -> None:
        """Claim name and index; from now on other clusters keep clear of them."""
        self.home.mkdir(parents=True, exist_ok=True)
        state = {key: value for key, value in asdict(self).items() if key != "home"}
        (self.home / "cluster.json").write_text(json.dumps(state))

    @classmethod
    def load(cls, home: Path) -> "Layout | None":
        """Read what save() wrote; None when there is no such cluster."""
        try:
            return cls(home=home, **json.loads((home / "cluster.json").read_text()))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
