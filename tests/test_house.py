"""The rooms of the house import one way, and only those that need TensorFlow load it."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

import kcseg

PACKAGE = Path(kcseg.__file__).parent
ROOMS = [
    "errors",
    "files",
    "config",
    "processes",
    "cluster",
    "data",
    "network",
    "training",
    "serving",
    "results",
    "challenge",
    "reproduction",
    "cli",
]


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module == "kcseg":
            names.update(f"kcseg.{alias.name}" for alias in node.names)
    return {name.split(".")[1] for name in names if name and name.startswith("kcseg.")}


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_point_one_way(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for imported in imported_rooms(path):
        assert ROOMS.index(imported) <= ROOMS.index(room), f"{room} may not import {imported}"


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_private_api_of_keras_or_tensorflow(path):
    text = path.read_text()
    assert "keras.src" not in text and "tensorflow.python" not in text


def test_only_one_module_knows_albumentations():
    knowing = [path.name for path in PACKAGE.rglob("*.py") if "albumentations" in imported_packages(path)]
    assert knowing == ["augment.py"]


def test_only_the_cluster_modules_know_ray():
    knowing = {path.name for path in PACKAGE.rglob("*.py") if "ray" in imported_packages(path)}
    assert knowing == {"cluster.py"}


def imported_packages(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {
        alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    return plain | {(node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_tensorflow_stays_in_its_modules(path):
    place = str(path.relative_to(PACKAGE))
    allowed = place in ("data/pipeline.py", "network/components.py", "network/median.py")
    allowed = allowed or place.startswith(("training/", "serving/"))
    assert allowed or "tensorflow" not in imported_packages(path)


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_nothing_below_the_commands_reads_the_wall_clock(path):
    """A clock set forward or back changes nothing: durations come from the monotonic clock."""
    text = path.read_text()
    clocks = [clock for clock in ("time.time(", "datetime.now(", "date.today(", "utcnow(") if clock in text]
    assert not clocks or path.is_relative_to(PACKAGE / "cli")


def test_data_commands_start_without_tensorflow_and_ray():
    modules = "kcseg.cli, kcseg.phantom.simulate, kcseg.dataset.check"
    check = f"import sys, {modules}; sys.exit(bool({{'tensorflow', 'ray'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_every_package_is_installed():
    """setup.cfg names the packages, since one of them, the weights, lies elsewhere."""
    settings = configparser.ConfigParser()
    settings.read(PACKAGE.parent / "setup.cfg")
    named = settings["options"]["packages"].split()
    found = [".".join(path.parent.relative_to(PACKAGE.parent).parts) for path in PACKAGE.rglob("__init__.py")]
    assert named == sorted([*found, "kcseg.checkpoints"])
