import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner

from kcseg.cli import main
from kcseg.files import read_csv
from kcseg.image.listing import list_images
from kcseg.prediction.predict import parts


def predict(model, *arguments):
    return CliRunner().invoke(main, ["predict", *map(str, arguments), "--model", str(model)])


@pytest.fixture(scope="module")
def many_images(tmp_path_factory):
    """More images than two workers are done with at once, of two shapes, so that parts are mixed."""
    folder = tmp_path_factory.mktemp("many")
    random = np.random.default_rng(0)
    for number in range(72):
        hu = random.normal(0, 60, (128, 128 if number % 30 else 96)).astype(np.float32)
        np.save(folder / f"{number:04}.npy", hu)
    return folder


def kill_when_two_work(cluster, node, images, masks):
    """Kill the node when two parts are half written, each by a worker; return how many masks there were."""
    written = set()
    while True:
        written = {path.stem for path in masks.glob("[0-9]*.png")}
        halves = [part for part in parts(images) if 0 < len(written & part.keys()) < len(part)]
        if len(halves) == 2:
            cluster.remove_node(node, allow_graceful=False)
            return len(written)
        if len(written) == len(images):
            return len(written)
        time.sleep(0.002)


def test_a_node_killed_midway_loses_no_image(
    tmp_path, trained_run, many_images, ray_cluster, second_node, contents
):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    assert predict(trained_run.folder, many_images, "--out", alone).exit_code == 0

    images = list_images(many_images)
    written = []
    killer = threading.Thread(
        target=lambda: written.append(kill_when_two_work(ray_cluster, second_node, images, shared / "masks")),
        daemon=True,
    )
    killer.start()
    result = predict(trained_run.folder, many_images, "--out", shared, "--ray", ray_cluster.address)
    assert result.exit_code == 0, result.output
    assert written and written[0] < len(images)
    assert [row["id"] for row in read_csv(shared / "table.csv")] == list(images)

    # the killed worker's unfinished file may be left under a temporary name
    assert contents(shared, ".kcseg-") == contents(alone)


def test_what_a_worker_refuses_is_told_here(tmp_path, ring_challenge, ray_cluster, contents):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"not a model")
    out = tmp_path / "out"
    result = predict(tmp_path / "model", ring_challenge / "test", "--out", out, "--ray", ray_cluster.address)
    assert result.exit_code == 2 and "cannot be loaded" in result.output
    assert contents(out).keys() == {"files.json"}  # what would have been written


def test_a_bad_file_is_refused_before_any_node_starts(tmp_path, trained_run, ray_cluster):
    np.save(tmp_path / "bad.npy", np.zeros((3, 32, 32)))
    out = tmp_path / "out"
    result = predict(trained_run.folder, tmp_path / "bad.npy", "--out", out, "--ray", ray_cluster.address)
    assert result.exit_code == 2 and "bad.npy" in result.output and not out.exists()
