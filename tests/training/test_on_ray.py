import json
import shutil
import threading
import time

import pytest
from click.testing import CliRunner

from kcseg.cli import main
from kcseg.config_json import to_json
from kcseg.errors import InputError
from kcseg.files import locked, read_csv, sha256
from kcseg.ray import joined
from kcseg.training.on_ray import train_members_on_ray
from kcseg.training.run import open_run

MEMBERS = ("--member", 1, "--member", 3)


@pytest.fixture(scope="module")
def config_path(tmp_path_factory, tiny):
    """Long enough for a node to be killed in the middle."""
    settings = to_json(tiny)
    settings["training"]["maximum_epochs"] = settings["training"]["patience_epochs"] = 120
    path = tmp_path_factory.mktemp("config") / "long.json"
    path.write_text(json.dumps(settings))
    return path


@pytest.fixture(scope="module")
def joined_cluster(ray_cluster):
    """The cluster joined once for several tests: its workers import TensorFlow once."""
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


def test_a_node_killed_midway_ends_with_the_same_bytes(
    tmp_path, ring_challenge, config_path, ray_cluster, second_node
):
    arguments = ("--data", ring_challenge, "--config", config_path, *MEMBERS, "--run")
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
