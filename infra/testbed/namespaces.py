"""The namespaces in which a cluster's processes run, and the one process whose end ends all of them.

Process 1 of the pid namespace is `pause`. When it ends, the kernel ends every other process in there, and with the last
of them every private mount and network device goes. So nothing is ever looked for by its name, and a cluster whose
builder was killed is taken away just the same.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.testbed.errors import BedError
from infra.testbed.processes import Process, everyone, inner_pid, last_words, polling

KINDS = {"pid": "--pid", "mnt": "--mount", "net": "--net", "uts": "--uts", "ipc": "--ipc"}

# The holder writes who it is before it becomes `unshare`, so that there is no moment at which nobody knows it.
_HOLD = """\
log=$1 holder=$2; shift 2
setsid sh -c 'cut -d " " -f 1,22 </proc/$$/stat >"$0"; exec "$@"' "$holder" "$@" </dev/null >"$log" 2>&1 &"""
# Leaves the daemon to process 1, and says which pid it has there.
_DETACH = 'log=$1 pid=$2; shift 2; setsid "$@" </dev/null >>"$log" 2>&1 & echo $! >"$pid"'


@dataclass(frozen=True)
class Namespaces:
    """One set of namespaces; what is known of it lies in a folder, so that any process can take it over."""

    folder: Path
    kinds: tuple[str, ...]

    @property
    def _is_root(self) -> bool:
        return os.geteuid() == 0

    @property
    def holder(self) -> Process | None:
        """The `unshare` that keeps process 1, while it lives."""
        try:
            process = Process.parse((self.folder / "holder").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return process if process.is_alive else None

    @property
    def init(self) -> Process | None:
        """Process 1 as the machine sees it."""
        return self.holder.child if self.holder else None

    def create(self, before: Sequence[str], pause: Path) -> None:
        """Make the namespaces, with `pause` as process 1; a script before it makes mounts and then becomes it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        user = () if self._is_root else ("--user", "--map-root-user")
        flags = (*user, *(KINDS[kind] for kind in self.kinds), "--fork", "--kill-child", "--mount-proc")
        log, holder = self.folder / "init.log", self.folder / "holder"
        unshare = ["unshare", *flags, *before, str(pause), str(self.folder)]
        subprocess.run(["sh", "-c", _HOLD, "sh", str(log), str(holder), *unshare], check=True, cwd="/")
        for _ in polling("the namespaces", limit=20):
            if self.init and self.init.program == pause:
                return
            if holder.exists() and holder.read_text() and not self.holder:
                said = last_words(log.read_text())
                raise BedError(f"The namespaces could not be made: {said}\nRun as root, or allow user namespaces.")

    def enter(self) -> list[str]:
        """The words before a command that runs it inside."""
        if not (init := self.init):
            raise BedError("The cluster is not up. Bring it up with `python -m infra.testbed up`.")
        user = [] if self._is_root else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={init.pid}", *user, *(KINDS[kind] for kind in self.kinds), "--"]

    def start(self, daemon: str, command: Sequence[str], *, log: Path, environ: dict[str, str]) -> None:
        """Start a daemon that outlives the caller."""
        script = ["sh", "-c", _DETACH, "sh", str(log), str(self.folder / f"{daemon}.pid"), *command]
        subprocess.run([*self.enter(), *script], check=True, env=environ, cwd="/")

    def daemons(self) -> dict[str, Process]:
        """The daemons that run, by name."""
        if not (init := self.init):
            return {}
        inside = {inner_pid(p): p for p in everyone() if p.namespace("pid") == init.namespace("pid")}
        pids = {file.stem: int(file.read_text()) for file in sorted(self.folder.glob("*.pid"))}
        return {name: inside[pid] for name, pid in pids.items() if pid in inside}

    def end(self) -> None:
        """End everything inside; nothing happens when nothing is there."""
        holder = self.holder
        if not holder:
            return
        _kill(self.init or holder)
        # The holder ends when the kernel has ended all the others.
        for waited in polling(f"process {holder.pid} to end", limit=30, interval=0.01):
            if not holder.is_alive:
                return
            if waited > 10:
                _kill(holder)

    def identities(self) -> set[str]:
        """The namespaces' identities, by which a process left in one of them is found."""
        found = (self.init.namespace(kind) for kind in self.kinds) if self.init else ()
        return {identity for identity in found if identity}


def _kill(process: Process) -> None:
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
