"""Debian's containerd, runc, CNI plugins and iptables, unpacked into the cache.

Nothing is installed: an installed containerd would start as a service, and gets in the way of a Docker that is there.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from infra.testbed.cache import Say, lock, locked
from infra.testbed.errors import BedError
from infra.testbed.processes import call, last_words

NAMES = (
    *("containerd", "runc", "containernetworking-plugins", "iptables"),
    # What these need and a small system has not.
    *("libip4tc2", "libip6tc2", "libmnl0", "libnetfilter-conntrack3", "libnfnetlink0", "libnftnl11", "libseccomp2"),
    "libxtables12",
)
_TOOLS = tuple(f"ip{six}tables{what}" for six in ("", "6") for what in ("", "-save", "-restore"))


class Packages:
    """The folder of unpacked packages; made once."""

    def __init__(self, cache: Path, say: Say) -> None:
        digest = hashlib.sha256(" ".join(NAMES).encode()).hexdigest()[:12]
        self.folder = cache / f"debian-{digest}"
        self._say = say

    @property
    def plugins(self) -> Path:
        """CNI's."""
        return self.folder / "usr/lib/cni"

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which the unpacked programs find each other and their libraries."""
        libraries = next((self.folder / "usr/lib").glob("*-linux-gnu"))
        programs = [self.folder / "usr/sbin", self.folder / "usr/bin"]
        return {
            "PATH": ":".join([*map(str, programs), os.environ.get("PATH", os.defpath)]),
            "LD_LIBRARY_PATH": str(libraries),
            "XTABLES_LIBDIR": str(libraries / "xtables"),
        }

    def install(self) -> None:
        """Download and unpack, under a lock and by one rename; does nothing the second time."""
        if self.folder.exists():
            return
        with locked(lock("programs.build"), waiting=lambda: self._say("Another process builds; waiting for it.")):
            if not self.folder.exists():
                self._install()

    def _install(self) -> None:
        if not shutil.which("apt-get"):
            raise BedError("Profile full unpacks Debian packages, and there is no apt-get. Use --profile api here.")
        self._say(f"Unpacking Debian's {', '.join(NAMES[:4])} into the cache; nothing is installed")
        making = self.folder.with_name(".making-debian")
        shutil.rmtree(making, ignore_errors=True)
        try:
            (making / "packages").mkdir(parents=True)
            self._download(making / "packages")
            for package in sorted((making / "packages").glob("*.deb")):
                call(["dpkg-deb", "--extract", package, making])
            for tool in _TOOLS:  # Debian makes these links when it installs.
                (making / "usr/sbin" / tool).symlink_to("xtables-nft-multi")
            shutil.rmtree(making / "packages")
            making.rename(self.folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _download(self, folder: Path) -> None:
        command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *NAMES]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            said = last_words(done.stdout + done.stderr)
            raise BedError(f"Debian's packages could not be downloaded: {said}\nRun `apt-get update` and try again.")
