"""What tests use: a cluster for as long as a `with` block lasts.

With HEADGATE_TEST_KUBECONFIG it is the cluster of that file, which whoever set the variable has thereby called
disposable; HEADGATE_TEST_GATEWAY, HEADGATE_TEST_PROMETHEUS and HEADGATE_TEST_TRAEFIK say where those answer.
"""

import fcntl
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from infra.testbed import cache, crds
from infra.testbed.api import Api
from infra.testbed.cache import locked
from infra.testbed.cluster import Cluster, clusters
from infra.testbed.errors import BedError
from infra.testbed.layout import Profile

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Bed:
    """A cluster that tests may use as they like."""

    kubeconfig: Path
    """The administrator's; its current context is the cluster."""
    own: Cluster | None = None
    """The cluster if the test bed made it; None where faults and visits inside are impossible."""
    gateway: str | None = None
    """Where the Gateway API data plane answers, such as `http://198.18.1.2:8080`; None where there is none."""
    prometheus: str | None = None
    traefik: str | None = None
    """Where the data plane of IngressRoute and TraefikService answers."""

    @property
    def api(self) -> Api:
        return Api(self.kubeconfig)

    @property
    def cluster(self) -> Cluster:
        """Our own cluster, for faults; BedError where it is somebody else's."""
        if not self.own:
            raise BedError("This needs a cluster of the test bed's own: unset HEADGATE_TEST_KUBECONFIG.")
        return self.own


@contextmanager
def bed(
    profile: Profile = "api",
    *,
    name: str | None = None,
    crds: Sequence[str] = (),
    extras: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Iterator[Bed]:
    """Give a cluster with these CRDs and extras.

    One with a name is shared by all who ask for it, and goes with the last of them. A cluster that was brought up on
    the command line under that name is used, and left alone afterwards.
    """
    if given := environ.get("HEADGATE_TEST_KUBECONFIG"):
        found = _foreign(Path(given).expanduser().absolute(), environ)
        _install(found, crds)
        yield found
        return
    sweep()
    cluster = Cluster(name or f"bed-{os.getpid()}-{next(_numbers)}")
    with _joined(cluster, profile):
        for extra in extras:
            cluster.add(extra)
        found = Bed(
            cluster.kubeconfig,
            cluster,
            gateway=cluster.gateway,
            prometheus=cluster.url("prometheus"),
            traefik=cluster.url("traefik"),
        )
        _install(found, crds)
        yield found


def _install(found: Bed, names: Sequence[str]) -> None:
    if names:
        crds.install(found.api, names)


def _foreign(kubeconfig: Path, environ: Mapping[str, str]) -> Bed:
    if not kubeconfig.is_file():
        raise BedError(f"HEADGATE_TEST_KUBECONFIG: {kubeconfig} is no file. Correct the variable or unset it.")
    if not Api(kubeconfig).is_ready:
        raise BedError(f"HEADGATE_TEST_KUBECONFIG: the cluster of {kubeconfig} does not answer. Start it or unset it.")
    return Bed(
        kubeconfig,
        gateway=environ.get("HEADGATE_TEST_GATEWAY"),
        prometheus=environ.get("HEADGATE_TEST_PROMETHEUS"),
        traefik=environ.get("HEADGATE_TEST_TRAEFIK"),
    )


@contextmanager
def _joined(cluster: Cluster, profile: Profile) -> Iterator[None]:
    """Be one of the cluster's users; the kernel remembers the others, so one that is killed counts no longer."""
    gate, users = _locks(cluster)
    with ExitStack() as stack:
        with locked(gate):
            held = stack.enter_context(users.open("a"))
            fcntl.flock(held, fcntl.LOCK_SH)
            if not cluster.is_up:
                cluster.up(profile, temporary=True)
        try:
            if cluster.layout.profile != profile:
                raise BedError(f"Cluster {cluster.name} has profile {cluster.layout.profile}. Use another name.")
            yield
        finally:
            with locked(gate):
                if _is_alone(held):
                    if cluster.is_temporary:
                        cluster.down()
                    users.unlink()
                    gate.unlink()


def sweep() -> None:
    """Take down the temporary clusters whose users were all killed."""
    for cluster in filter(lambda found: found.is_temporary, clusters()):
        gate, users = _locks(cluster)
        with gate.open("a") as entered, users.open("a") as held:
            if _is_alone(entered) and _is_alone(held):
                cluster.down()
                users.unlink()
                gate.unlink()


def _locks(cluster: Cluster) -> tuple[Path, Path]:
    """The lock of whoever comes or goes, and the one that every user shares."""
    return cache.lock(f"{cluster.name}.gate"), cache.lock(f"{cluster.name}.users")


def _is_alone(held: IO[str]) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
