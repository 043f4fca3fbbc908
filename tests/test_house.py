"""Imports point one way, file by file, and only the modules that need TensorFlow load it."""

import ast
import configparser
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import kcseg

PACKAGE = Path(kcseg.__file__).parent
# from the ground up: a module imports from its own room and from those before it
ROOMS = [
    *("errors", "files", "config", "config_json", "processes", "progress", "results", "ray"),
    *("image", "phantom", "dataset", "network", "training", "serving", "server"),
    *("scan", "page", "prediction", "study", "cli", "__main__"),
]
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imported_modules(path: Path) -> set[str]:
    """The modules of kcseg that a file imports, at its top or within a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            names |= inside or {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & MODULES.keys()


def room(module: str) -> int:
    """The floor a module is on; that of the package itself, which says the version, is the lowest."""
    parts = module.split(".")
    return ROOMS.index(parts[1]) if len(parts) > 1 else -1


@pytest.mark.parametrize("module", MODULES)
def test_no_import_points_upward(module):
    upward = [name for name in imported_modules(MODULES[module]) if room(name) > room(module)]
    assert not upward or module == "kcseg"


def test_no_imports_in_circles():
    graph = {name: imported_modules(path) for name, path in MODULES.items() if name != "kcseg"}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_one_idea(module):
    assert len(MODULES[module].read_text().splitlines()) <= 300


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_private_api_of_keras_or_tensorflow(path):
    text = path.read_text()
    assert "keras.src" not in text and "tensorflow.python" not in text


def test_only_one_module_knows_albumentations():
    knowing = [path.name for path in PACKAGE.rglob("*.py") if "albumentations" in imported_packages(path)]
    assert knowing == ["augment.py"]


def test_only_the_ray_modules_know_ray():
    knowing = {path.name for path in PACKAGE.rglob("*.py") if "ray" in imported_packages(path)}
    assert knowing == {"ray.py", "on_ray.py"}


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
    network = ("network/components.py", "network/median.py", "network/normalisation.py")
    allowed = place in ("dataset/pipeline.py", *network)
    allowed = allowed or place.startswith(("training/", "serving/", "server/"))
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
