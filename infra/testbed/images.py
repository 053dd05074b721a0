"""The container images, packed without a registry: one docker-archive that containerd imports when a cluster comes up.

Their names exist nowhere else, so a pod must say `imagePullPolicy: Never` or `IfNotPresent`.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.testbed.programs import Builder

REPOSITORY = "headgate.test"
PAUSE = f"{REPOSITORY}/pause:1.0.0"
_EPOCH = "1970-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """One program in an image of its own."""

    name: str
    program: str
    arguments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


def _podinfo(tag: str, version: str, *arguments: str, **environ: str) -> Image:
    # Port 9797 serves /metrics and /healthz without the faults that port 9898 may have.
    variables = {"PODINFO_PORT_METRICS": "9797", **{f"PODINFO_{key.upper()}": value for key, value in environ.items()}}
    return Image(f"{REPOSITORY}/podinfo:{tag}", f"podinfo-{version}", arguments, variables)


IMAGES = (
    Image(PAUSE, "pause"),
    _podinfo("1.0.0", "1.0.0"),
    _podinfo("1.1.0", "1.1.0"),
    # Faulty in one way each. There is none that ends in `-missing`, which is a fault too.
    _podinfo("1.1.1-errors", "1.1.0", random_error="true"),
    _podinfo(
        *("1.1.2-slow", "1.1.0"),
        random_delay="true",
        random_delay_unit="ms",
        random_delay_min="300",
        random_delay_max="900",
    ),
    _podinfo("1.1.3-unready", "1.1.0", unready="true"),
    _podinfo("1.1.4-crash", "1.1.0", "--no-such-flag"),
)
PROGRAMS = tuple(dict.fromkeys(image.program for image in IMAGES))


def pack(builder: Builder, cache: Path) -> Path:
    """Pack all images, unless these very ones are packed already; returns the archive."""
    recipe = [repr(IMAGES), *(builder.path(program).name for program in PROGRAMS)]
    archive = cache / f"images-{hashlib.sha256(''.join(recipe).encode()).hexdigest()[:12]}.tar"
    if not archive.exists():
        making = archive.with_name(f".making-{archive.name}")
        with tarfile.open(making, "w") as tar:
            _write(tar, builder)
        making.replace(archive)
    return archive


def _write(tar: tarfile.TarFile, builder: Builder) -> None:
    layers = {program: _layer(builder.path(program).read_bytes()) for program in PROGRAMS}
    for program, layer in layers.items():
        _add(tar, f"{program}.tar", layer)
    manifest = []
    for image in IMAGES:
        config = json.dumps(_config(image, layers[image.program]), sort_keys=True).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        _add(tar, name, config)
        manifest.append({"Config": name, "RepoTags": [image.name], "Layers": [f"{image.program}.tar"]})
    _add(tar, "manifest.json", json.dumps(manifest).encode())


def _layer(program: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for folder in ("data", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
        _add(tar, "program", program, mode=0o755)
    return written.getvalue()


def _config(image: Image, layer: bytes) -> dict[str, object]:
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": _EPOCH,
        "config": {
            "User": "65532:65532",
            "WorkingDir": "/data",
            "Entrypoint": ["/program", *image.arguments],
            "Env": [f"{name}={value}" for name, value in image.environ.items()],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": _EPOCH, "created_by": "headgate test bed"}],
    }


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    """Add a file whose bytes are the same each time."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
