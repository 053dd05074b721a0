"""The command line of the test bed: `python -m infra.testbed --help`."""

import argparse
import sys

from infra.testbed import cache, crds, selftest
from infra.testbed.assembly import PROGRAMS, prepare
from infra.testbed.bed import sweep
from infra.testbed.cluster import Cluster, clusters
from infra.testbed.errors import BedError
from infra.testbed.extras import EXTRAS
from infra.testbed.programs import Builder, say


def main(words: list[str] | None = None) -> int:
    """Do one command and return its exit status."""
    options = _parser().parse_args(words)
    try:
        return int(options.do(options) or 0)
    except BedError as error:
        say(f"error: {error}")
        return 1


def _build(options: argparse.Namespace) -> None:
    prepare(options.profile, cache.root(), say)
    Builder(cache.root(), say).build(options.extras)


def _up(options: argparse.Namespace) -> None:
    cluster = Cluster(options.name)
    if cluster.is_up and cluster.layout.profile == options.profile:
        say(f"Cluster {cluster.name} is up already.")
    else:
        cluster.up(options.profile)
    print(f"export KUBECONFIG={cluster.kubeconfig}")


def _down(options: argparse.Namespace) -> None:
    for cluster in clusters() if options.all else [Cluster(options.name)]:
        cluster.down()
        say(f"Nothing is left of cluster {cluster.name}.")


def _status(_: argparse.Namespace) -> None:
    for cluster in clusters():
        if not cluster.is_up:
            print(f"{cluster.name}: not up; `down --name {cluster.name}` takes away what a crash left")
            continue
        print(f"{cluster.name}: profile {cluster.layout.profile}, KUBECONFIG={cluster.kubeconfig}")
        for what, address in {"gateway": cluster.gateway, **{name: cluster.url(name) for name in EXTRAS}}.items():
            if address:
                print(f"  {what} at {address}")
        for daemon in cluster.daemons():
            process = daemon.process
            facts = f"pid {process.pid:<8} {process.resident_bytes / 2**20:6.0f} MiB" if process else "does not run"
            print(f"  {daemon.name:26} {facts}")


def _run(options: argparse.Namespace) -> int:
    return Cluster(options.name).run(options.command[options.command[:1] == ["--"] :])


def _crds(options: argparse.Namespace) -> None:
    print(*crds.install(Cluster(options.name).api(), options.projects or tuple(crds.SOURCES)), sep="\n")


def _add(options: argparse.Namespace) -> None:
    print(Cluster(options.name).add(options.extra))


def _stop(options: argparse.Namespace) -> None:
    Cluster(options.name).stop(options.daemon, at_once=options.now)


def _start(options: argparse.Namespace) -> None:
    Cluster(options.name).start(options.daemon)


def _selftest(options: argparse.Namespace) -> None:
    selftest.run(options.profile)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.testbed", description="A real Kubernetes cluster without Docker."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default="headgate", help="the cluster's (default: %(default)s)")
    profiled = argparse.ArgumentParser(add_help=False)
    profiled.add_argument("--profile", choices=sorted(PROGRAMS), default="full", help="default: %(default)s")

    def command(name: str, do: object, help_: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_, parents=parents)
        added.set_defaults(do=do)
        return added

    built = command("build", _build, "build what a profile needs, and extras; nothing else", profiled)
    built.add_argument("extras", nargs="*", metavar="EXTRA", help=f"{' or '.join(EXTRAS)}")
    command("up", _up, "bring a cluster up", named, profiled)
    command("down", _down, "take every trace of it away", named).add_argument("--all", action="store_true")
    command("sweep", lambda _: sweep(), "take away what tests left that were killed")
    command("status", _status, "list the clusters and their daemons")
    command("run", _run, "run a command in its namespaces", named).add_argument("command", nargs=argparse.REMAINDER)
    known = command("crds", _crds, f"install CRDs: {', '.join(crds.SOURCES)} (default: all)", named)
    known.add_argument("projects", nargs="*", metavar="PROJECT")
    added = command("add", _add, f"add {' or '.join(EXTRAS)}, and print where it answers", named)
    added.add_argument("extra", choices=EXTRAS)
    stop = command("stop", _stop, "end a daemon", named)
    stop.add_argument("daemon")
    stop.add_argument("--now", action="store_true", help="by SIGKILL")
    command("start", _start, "start a daemon that was stopped", named).add_argument("daemon")
    command("selftest", _selftest, "prove a profile from end to end, and measure it", profiled)
    return parser


if __name__ == "__main__":
    sys.exit(main())
