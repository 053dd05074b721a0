from pathlib import Path

import pytest

from infra.testbed.api import read_manifests
from infra.testbed.bed import Bed, bed
from infra.testbed.errors import BedError
from infra.testbed.manifests import MANIFESTS

KUBECONFIG = """\
{"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
 "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:9"}}], "users": [{"name": "x", "user": {}}]}
"""


def test_a_given_kubeconfig_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    environ = {"HEADGATE_TEST_KUBECONFIG": str(tmp_path / "none")}

    with pytest.raises(BedError, match="HEADGATE_TEST_KUBECONFIG: .*none is no file"), bed(environ=environ):
        pass


def test_a_given_cluster_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(KUBECONFIG)
    environ = {"HEADGATE_TEST_KUBECONFIG": str(tmp_path / "config")}

    with pytest.raises(BedError, match="does not answer"), bed(environ=environ):
        pass


def test_somebody_elses_cluster_has_no_faults(tmp_path: Path) -> None:
    with pytest.raises(BedError, match="unset HEADGATE_TEST_KUBECONFIG"):
        Bed(tmp_path).cluster.stop("etcd")


@pytest.mark.parametrize("file", sorted(MANIFESTS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_object_of_a_manifest_has_a_name(file: Path) -> None:
    manifests = list(read_manifests(file))

    assert manifests
    assert all(manifest["apiVersion"] and manifest["metadata"]["name"] for manifest in manifests)
