"""The command lines of etcd, the control plane and kwok."""

from pathlib import Path

from infra.testbed.credentials import Authority
from infra.testbed.layout import FIRST_SERVICE, POD_RANGE, SERVICE_RANGE, Layout

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
}
_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


def issue(authority: Authority, layout: Layout) -> None:
    """Issue what the control plane and the administrator show each other."""
    addresses = {"127.0.0.1", layout.address, FIRST_SERVICE}
    names = [*(f"DNS:{name}" for name in _NAMES), *(f"IP:{address}" for address in sorted(addresses))]
    authority.issue_server("apiserver", "/CN=kube-apiserver", names)
    for user, subject in CLIENTS.items():
        authority.issue_client(user, subject)
        authority.write_kubeconfig(layout.kubeconfig(user), server=layout.server, user=user)


def etcd(layout: Layout) -> list[str]:
    """Keep the data for as long as the cluster lives, and no longer: nothing is ever synced to the disk."""
    url = f"http://127.0.0.1:{layout.etcd_port}"
    return [
        f"--data-dir={layout.data / 'etcd'}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--listen-peer-urls=http://127.0.0.1:0",
    ]


def apiserver(layout: Layout) -> list[str]:
    """Serve with RBAC, Node authorization and the default admission plugins."""
    pki = layout.pki
    flags = [
        f"--etcd-servers=http://127.0.0.1:{layout.etcd_port}",
        f"--bind-address={layout.address}",
        f"--advertise-address={layout.address}",
        f"--secure-port={layout.api_port}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'tokens.pub'}",
        f"--service-account-signing-key-file={pki / 'tokens.key'}",
    ]
    if layout.profile == "api":
        # A loopback address is no valid endpoint, and nothing here would use it.
        return [*flags, "--endpoint-reconciler-type=none"]
    return [
        *flags,
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def controller_manager(layout: Layout) -> list[str]:
    """Run all controllers, each with its own service account."""
    pki = layout.pki
    # Nothing renews the lease of a made-up node.
    # With a single node, an API server that was away for the usual 50 s would make all pods look lost.
    grace = [f"--node-monitor-grace-period={'24h' if layout.profile == 'api' else '2m'}"]
    return [
        *grace,
        f"--kubeconfig={layout.kubeconfig('kube-controller-manager')}",
        "--leader-elect=false",
        "--secure-port=0",
        "--use-service-account-credentials=true",
        # With the default of 20 requests a second the start takes 5 s longer.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        # A third of the default, because tests wait for it.
        "--horizontal-pod-autoscaler-sync-period=5s",
        f"--service-account-private-key-file={pki / 'tokens.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
    ]


def scheduler(layout: Layout) -> list[str]:
    """Place pods."""
    return ["--leader-elect=false", "--secure-port=0", f"--kubeconfig={layout.kubeconfig('kube-scheduler')}"]


def kwok(layout: Layout, stages: Path) -> list[str]:
    """Play the kubelet of every node, by the stages in the file."""
    return [
        f"--kubeconfig={layout.kubeconfig()}",
        f"--config={stages}",
        "--manage-all-nodes",
        f"--cidr={POD_RANGE}",
        "--node-lease-duration-seconds=0",
    ]
