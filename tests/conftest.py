"""Small data made for the tests, and the console kept quiet."""

import gc
import json
import os
import shutil
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# several processes share the cores: with threads for every core in each, they wait for each other
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from kcseg.config import Config, EnsembleConfig, NetworkConfig, SimulationConfig, TrainingConfig
from kcseg.config_json import to_json
from kcseg.dataset.batch import Batch, training_batch
from kcseg.files import atomic_folder, locked, sha256
from kcseg.serving.export import export_run
from kcseg.study.pack import pack_run
from kcseg.training.members import train_members
from kcseg.training.run import load_run, open_run

gc.freeze()  # what was imported stays: Keras collects garbage after each network, and would search it all

_LONGEST = ("tests/test_on_ray.py", "tests/test_notebooks.py")


def pytest_collection_modifyitems(items):
    """Begin with the longest files, or one process would end with them while the others have nothing left to do."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


def _contents(folder, *passed_over):
    """Every file of a folder with its SHA-256, by its path there, but for names that begin as one passed over."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(passed_over))
    return {str(path.relative_to(folder)): sha256(path) for path in files}


@pytest.fixture(scope="session")
def contents():
    return _contents


def draw_rings(count: int, size: int = 32, seed: int = 0) -> Batch:
    """Bright rings around a darker core on fat: what a cortex is, as small as a network can learn."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices((size, size))
    images, masks = [], []
    for _ in range(count):
        row, column = random.uniform(0.4 * size, 0.6 * size, 2)
        distance = np.hypot(rows - row, columns - column)
        radius = random.uniform(0.22, 0.32) * size
        mask = (distance < radius) & (distance > 0.55 * radius)
        hu = np.where(mask, 160, np.where(distance < radius, 60, -90)) + random.normal(0, 15, (size, size))
        images.append(hu.astype(np.float32))
        masks.append(mask)
    return Batch("train", tuple(f"{number:04}" for number in range(count)), tuple(images), tuple(masks))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Return `make`'s folder of that name, made once for all processes that share the tests; not to be changed."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent  # of each process's own

    def made_once(name, make):
        with locked(place / "made" / f"{name}-lock", wait=True):
            if not (place / "made" / name).exists():
                with atomic_folder(place / "made" / name) as folder:
                    make(folder)
        return place / "made" / name

    return made_once


@pytest.fixture(scope="session")
def tiny() -> Config:
    """Two folds and a full member of a network that trains in seconds."""
    return Config(
        network=NetworkConfig(levels=1, filters=4),
        training=TrainingConfig(learning_rate=1e-2, batch_size=4, maximum_epochs=3, patience_epochs=3),
        ensemble=EnsembleConfig(folds=2, full_members=1),
        simulation=SimulationConfig(train=(4, 4), test=2),
        seed=5,
    )


@pytest.fixture(scope="session")
def deeper(tiny) -> Config:
    """The same with a network that has all kinds of layers: what halves an image and doubles it again, too."""
    return replace(tiny, network=NetworkConfig(levels=2, filters=4))


@pytest.fixture(scope="session")
def config_path(tmp_path_factory, tiny):
    """`tiny` as a file for --config."""
    path = tmp_path_factory.mktemp("config") / "tiny.json"
    path.write_text(json.dumps(to_json(tiny)))
    return path


@pytest.fixture(scope="session")
def ring_challenge(tmp_path_factory):
    """A challenge folder on disk: a training and a test batch of rings, with truth beside the test references."""
    folder = tmp_path_factory.mktemp("challenge")
    for name, batch in {"train-1": draw_rings(12), "test": draw_rings(4, seed=1)}.items():
        truth = tuple(
            binary_erosion(mask) for mask in batch.masks
        )  # so that no score against it passes for another
        kinds = {"images": batch.images, "masks": batch.masks, "truth": truth}
        for kind, arrays in kinds.items():
            (folder / name / kind).mkdir(parents=True)
            for identifier, array in zip(batch.ids, arrays, strict=True):
                np.save(folder / name / kind / f"{identifier}.npy", array)
    return folder


@pytest.fixture(scope="session")
def rings(ring_challenge) -> Batch:
    """The training images of that folder."""
    return training_batch(ring_challenge)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory, made_once, rings, deeper):
    """A run with all members trained and exported; not to be changed by a test, but for a further export."""

    def train(folder):
        run = open_run(folder, rings, deeper)
        train_members(run, rings, [1, 2, 3])
        export_run(run)

    return load_run(
        shutil.copytree(made_once("run", train), tmp_path_factory.mktemp("run"), dirs_exist_ok=True)
    )


@pytest.fixture(scope="session")
def challenge_run(tmp_path_factory, trained_run):
    """That run before it was exported; not to be changed by a test, but for an export."""
    return load_run(_members_of(trained_run, tmp_path_factory.mktemp("run")))


@pytest.fixture
def run_to_change(tmp_path, trained_run):
    """That run before it was exported, a copy for one test."""
    return load_run(_members_of(trained_run, tmp_path))


def _members_of(run, folder):
    ignored = shutil.ignore_patterns("export")
    return shutil.copytree(run.folder, folder, ignore=ignored, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def packed(made_once, challenge_run, ring_challenge):
    """The weights of that run as a folder to pass on; not to be changed by a test."""
    return made_once("packed", lambda folder: pack_run(challenge_run, folder, data=ring_challenge))


@pytest.fixture(scope="session")
def exported(trained_run, tmp_path_factory):
    """An exported model with the one version 1, which no test adds to."""
    folder = tmp_path_factory.mktemp("export") / "kcseg"
    shutil.copytree(trained_run.export_folder / "1", folder / "1")
    return folder


@pytest.fixture(scope="session")
def server(exported):
    """A running server of that version, on free ports."""
    from kcseg.server.server import Server

    with Server(exported, port=0, grpc_port=0).in_background() as server:
        yield server


@pytest.fixture(scope="session")
def ray_cluster():
    """A Ray cluster of one node with one CPU on this machine, for tests to join and to add nodes to."""
    pytest.importorskip("ray", reason="the extra kcseg[ray] is not installed")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    # a busy machine may answer late, and no tests wait for a killed node longer than they must
    node["_system_config"] = {"health_check_timeout_ms": 60_000, "health_check_period_ms": 500}
    # its workers would give way to all other tests, which take every core
    node["_system_config"]["worker_niceness"] = 0
    try:
        cluster = Cluster(initialize_head=True, head_node_args=node)
    except Exception:  # Ray waits 30 s for a node, and a busy machine may take longer
        cluster = Cluster(initialize_head=True, head_node_args=node)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def second_node(ray_cluster):
    """A second node; `ray_cluster.remove_node(second_node, allow_graceful=False)` kills it."""
    node = ray_cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    ray_cluster.wait_for_nodes()
    yield node
    if node in ray_cluster.list_all_nodes():
        ray_cluster.remove_node(node)
