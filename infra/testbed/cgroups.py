"""The cgroup under which the kubelet keeps a cluster's pods; the one thing of a cluster that no namespace holds."""

from pathlib import Path

from infra.testbed.processes import polling

_TOP = Path("/sys/fs/cgroup")


def create(name: str) -> None:
    """Make the cgroup in every hierarchy, or in the only one."""
    for parent in _hierarchies():
        (parent / name).mkdir(exist_ok=True)


def remove(name: str) -> None:
    """Remove it and all below it, as soon as the kernel has counted out the processes that ended."""
    for root in find(name):
        for folder in (*sorted((found for found in root.rglob("*") if found.is_dir()), reverse=True), root):
            for _ in polling(f"cgroup {folder} to empty", limit=10):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    continue
                break


def find(name: str) -> list[Path]:
    """Where it exists."""
    return [parent / name for parent in _hierarchies() if (parent / name).is_dir()]


def _hierarchies() -> list[Path]:
    if (_TOP / "cgroup.controllers").exists():
        return [_TOP]
    return sorted(found for found in _TOP.iterdir() if found.is_dir() and not found.is_symlink())
