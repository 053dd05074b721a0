import hashlib
import json
import tarfile
from pathlib import Path

from infra.testbed import images
from infra.testbed.images import IMAGES, PROGRAMS
from infra.testbed.programs import Builder


def a_builder(folder: Path) -> Builder:
    builder = Builder(folder, lambda _: None)
    for program in PROGRAMS:
        builder.path(program).parent.mkdir(parents=True, exist_ok=True)
        builder.path(program).write_text(program)
    return builder


def extracted(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file
    return file.read()


def test_the_archive_holds_every_image_with_the_digest_of_its_layer(tmp_path: Path) -> None:
    archive = images.pack(a_builder(tmp_path), tmp_path)

    with tarfile.open(archive) as tar:
        read = {member.name: extracted(tar, member) for member in tar}
    manifest = json.loads(read["manifest.json"])
    assert [entry["RepoTags"] for entry in manifest] == [[image.name] for image in IMAGES]
    for entry in manifest:
        layer = hashlib.sha256(read[entry["Layers"][0]]).hexdigest()
        assert json.loads(read[entry["Config"]])["rootfs"]["diff_ids"] == [f"sha256:{layer}"]


def test_packing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first = images.pack(a_builder(tmp_path / "a"), tmp_path / "a")
    second = images.pack(a_builder(tmp_path / "b"), tmp_path / "b")

    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
