import ipaddress
from pathlib import Path
from typing import get_args

import pytest

from infra.testbed.cluster import HIGHEST_INDEX, Cluster
from infra.testbed.errors import BedError
from infra.testbed.layout import Layout, Profile

CACHE = Path("/cache/clusters")


def test_no_two_clusters_share_a_port_or_an_address() -> None:
    layouts = [Layout(CACHE / f"c{index}", "api", index) for index in range(1, HIGHEST_INDEX)]
    ports = [port for one in layouts for port in (one.api_port, one.etcd_port)]
    networks = [Layout(one.home, "full", one.index).address for one in layouts]

    assert len(set(ports)) == len(ports)
    assert len(set(networks)) == len(networks)


def test_ports_lie_below_those_that_the_kernel_gives_away() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert Layout(CACHE / "last", "api", HIGHEST_INDEX).etcd_port < first


def test_addresses_are_of_the_range_that_is_set_aside_for_tests() -> None:
    layout = Layout(CACHE / "one", "full", HIGHEST_INDEX)

    assert ipaddress.ip_address(layout.address) in ipaddress.ip_network("198.18.0.0/15")


def test_the_same_name_in_another_cache_has_another_link_and_cgroup() -> None:
    mine, theirs = Layout(Path("/a/x"), "full", 1), Layout(Path("/b/x"), "full", 1)

    assert mine.link != theirs.link
    assert mine.cgroup != theirs.cgroup
    assert len(mine.link) <= 15  # What the kernel takes.


@pytest.mark.parametrize("profile", get_args(Profile))
def test_what_is_saved_can_be_loaded(tmp_path: Path, profile: Profile) -> None:
    layout = Layout(tmp_path / "one", profile, 7, temporary=True)
    layout.save()

    assert Layout.load(layout.home) == layout
    assert Layout.load(tmp_path / "two") is None


@pytest.mark.parametrize("name", ["", "A", "a/b", "a.b", "1a", "../a", "a" * 41])
def test_a_name_that_could_mean_something_else_is_refused(name: str) -> None:
    with pytest.raises(BedError, match="is no name for a cluster"):
        Cluster(name)
