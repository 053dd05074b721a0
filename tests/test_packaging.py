import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).parents[1]
PACKAGES = {"workflows", "activities", "worker", "cli"}


OWNERS = """
import importlib.metadata, json
print(json.dumps(importlib.metadata.packages_distributions()))
"""

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
for root in sys.argv[1:]:
    for module in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{root}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    finished = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def clean_bin(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel and what it requires, and nothing else."""
    environment = tmp_path_factory.mktemp("clean")
    bin_folder = environment / "bin"
    install = (uv.find_uv_bin(), "pip", "install", "--python", bin_folder / "python")
    run(uv.find_uv_bin(), "venv", "--clear", "--python", sys.executable, environment)
    run(*install, "--require-hashes", "-r", "requirements/runtime.txt")
    run(*install, "--no-deps", wheel)
    return bin_folder


def test_the_wheel_holds_exactly_the_four_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES
    assert not [name for name in names if name.split("/")[1].startswith(("test", "conftest"))]


def test_no_other_distribution_owns_one_of_the_four_names(clean_bin: Path) -> None:
    owners = json.loads(run(clean_bin / "python", "-I", "-c", OWNERS))

    assert {name: owners[name] for name in PACKAGES} == {name: ["headgate"] for name in PACKAGES}


def test_the_runtime_requirements_are_all_that_any_module_imports(clean_bin: Path) -> None:
    run(clean_bin / "python", "-I", "-c", IMPORT_EVERYTHING, *sorted(PACKAGES))


def test_the_command_works_where_only_the_wheel_is_installed(clean_bin: Path, tmp_path: Path) -> None:
    assert "Usage: headgate" in run(clean_bin / "headgate", "--help", cwd=tmp_path)


def test_the_wheel_brings_what_the_demo_plays(clean_bin: Path, tmp_path: Path) -> None:
    scenarios = json.loads(run(clean_bin / "headgate", "demo", "--list", "-o", "json", cwd=tmp_path))
    assert "canary-good" in [scenario["name"] for scenario in scenarios]
    assert all(Path(scenario["file"]).is_file() for scenario in scenarios)
