"""Training and predicting on a Ray cluster; in one file, so that one process starts one cluster."""

import json
import shutil
import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner

from kcseg.cli import main
from kcseg.config_json import to_json
from kcseg.errors import InputError
from kcseg.files import locked, read_csv, sha256
from kcseg.image.listing import list_images
from kcseg.image.nifti import write_volume
from kcseg.prediction.predict import parts
from kcseg.ray import joined
from kcseg.training.on_ray import train_members_on_ray
from kcseg.training.run import open_run
from tests.scan.conftest import Body, axial

MEMBERS = ("--member", 1, "--member", 3)


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


def test_predicting_on_a_node_killed_midway_loses_no_image(
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


def test_scans_are_shared_out_as_images_are(tmp_path, trained_run, ray_cluster, contents):
    body = Body().scan(*axial((4.0, 4.0, 6.0)))
    (tmp_path / "scans").mkdir()
    for name in ("anna", "ben"):
        write_volume(tmp_path / "scans" / f"{name}.nii.gz", body.hu, body.affine)
    # what is brighter than the liver, and no spine
    write_volume(
        tmp_path / "kidneys.nii.gz", ((body.hu > 90) & (body.hu < 300)).astype(np.uint8), body.affine
    )
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    arguments = (tmp_path / "scans", "--kidneys", tmp_path / "kidneys.nii.gz", "--out")
    for out, more in ((alone, ()), (shared, ("--ray", ray_cluster.address))):
        result = predict(trained_run.folder, *arguments, out, *more)
        assert result.exit_code == 0, result.output
    assert contents(shared) == contents(alone)
    assert [row["id"] for row in read_csv(shared / "table.csv")] == ["anna", "anna", "ben", "ben"]


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


@pytest.fixture(scope="module")
def long_config_path(tmp_path_factory, tiny):
    """Long enough for a node to be killed in the middle."""
    settings = to_json(tiny)
    settings["training"]["maximum_epochs"] = settings["training"]["patience_epochs"] = 120
    path = tmp_path_factory.mktemp("config") / "long.json"
    path.write_text(json.dumps(settings))
    return path


@pytest.fixture(scope="module")
def joined_cluster(ray_cluster):
    """The cluster joined once for the tests below, whose worker imports TensorFlow once; commands join it alone."""
    with joined(ray_cluster.address):
        yield


def train(*arguments):
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


def kill_when_both_train(cluster, node, run):
    """Kill the node when both members have kept an epoch; return the members' processes and epochs at that time."""
    folders = [run / "member-1", run / "member-3"]
    while not all((folder / "history.csv").exists() for folder in folders):
        time.sleep(0.002)
    cluster.remove_node(node, allow_graceful=False)
    return [((folder / ".lock").read_text(), len(read_csv(folder / "history.csv"))) for folder in folders]


def test_training_on_a_node_killed_midway_ends_with_the_same_bytes(
    tmp_path, ring_challenge, long_config_path, ray_cluster, second_node
):
    arguments = ("--data", ring_challenge, "--config", long_config_path, *MEMBERS, "--run")
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    assert train(*arguments, alone).exit_code == 0

    killed = []
    killer = threading.Thread(
        target=lambda: killed.extend(kill_when_both_train(ray_cluster, second_node, shared)), daemon=True
    )
    killer.start()
    result = train(*arguments, shared, "--ray", ray_cluster.address)
    assert result.exit_code == 0, result.output
    assert killed and all(epochs < 120 for _, epochs in killed)

    processes = [(shared / name / ".lock").read_text() for name in ("member-1", "member-3")]
    went_on = [process != before for process, (before, _) in zip(processes, killed, strict=True)]
    assert sorted(went_on) == [False, True]  # one lost its process with the node, the other kept it
    for name in ("member-1", "member-3"):
        for file in ("member.weights.h5", "member.json", "history.csv"):
            assert sha256(shared / name / file) == sha256(alone / name / file)
        assert not (shared / name / "state.npz").exists()


def test_members_finished_elsewhere_are_passed_over_and_all_is_told(run_to_change, rings, joined_cluster):
    run = run_to_change
    shutil.rmtree(run.member_folder(2))
    written = run.weights_path(3).stat().st_mtime_ns
    told = {}
    train_members_on_ray(run, rings, [1, 2, 3], lambda stage, *steps: told.update({stage: steps}))
    assert not run.missing_members() and run.weights_path(3).stat().st_mtime_ns == written
    assert sorted(told) == ["member 1", "member 2", "member 3", "members"]
    assert all(done == total for done, total, *_ in told.values())


def test_a_member_in_training_elsewhere_is_refused(tmp_path, rings, tiny, joined_cluster):
    run = open_run(tmp_path, rings, tiny)
    held, refused = locked(run.member_folder(1)), pytest.raises(InputError, match="in use by process")
    with held, refused:
        train_members_on_ray(run, rings, [1, 2])
    with pytest.raises(InputError, match="no member 9; this run has members 1 to 3"):
        train_members_on_ray(run, rings, [9])


def test_what_a_task_refuses_is_told_here(tmp_path, rings, tiny, joined_cluster):
    run = open_run(tmp_path, rings, tiny)
    run.member_folder(1).mkdir()
    (run.member_folder(1) / "state.npz").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"state\.npz is damaged"):
        train_members_on_ray(run, rings, [1])
    (run.folder / "config.json").unlink()
    with pytest.raises(InputError, match="is not seen on every node"):
        train_members_on_ray(run, rings, [1])
