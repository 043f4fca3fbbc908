import contextlib
import json
import random
import signal
import time

import numpy as np
import pytest
from click.testing import CliRunner

from kcseg.cli import main
from kcseg.config_json import to_json
from kcseg.files import read_csv, read_json, sha256
from tests.started import ended, start


def kcseg(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, ring_challenge, config_path):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    result = kcseg("train", "--data", ring_challenge, "--config", config_path, "--run", folder)
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_one_command_leaves_scores_figures_report_and_model(finished):
    folder, output = finished
    rows = read_csv(folder / "scores.csv")
    assert [row["name"] for row in rows] == ["member-1", "member-2", "member-3", "mean", "median"]
    assert all(0 <= float(row[column]) <= 1 for row in rows for column in ("dice_reference", "dice_truth"))
    assert (folder / "export" / "kcseg" / "1" / "saved_model.pb").is_file()
    assert {path.name for path in (folder / "figures").iterdir()} == {"segmentation.png", "training.png"}
    predicted = folder / "predictions" / "test"
    assert len(list((predicted / "masks").iterdir())) == 4 and (predicted / "index.html").is_file()
    page = (folder / "report.html").read_text()
    assert "not a medical device" in page and rows[-1]["dice_reference"] in page
    assert rows[-1]["dice_reference"] in output and "report.html" in output


def test_a_finished_run_is_refused_and_left_as_it_was(finished, ring_challenge, config_path):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}
    result = kcseg("train", "--data", ring_challenge, "--config", config_path, "--run", folder)
    assert result.exit_code == 2 and "finished run" in result.output and "--force" in result.output
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}


def test_members_trained_apart_make_the_same_run(tmp_path, finished, ring_challenge, config_path, contents):
    arguments = ("train", "--data", ring_challenge, "--config", config_path, "--run", tmp_path)
    for member in (3, 1, 2):
        assert kcseg(*arguments, "--member", member).exit_code == 0
    assert not (tmp_path / "report.html").exists()
    assert kcseg(*arguments).exit_code == 0
    # logs state times, and the order of the graph varies
    varying = ("events.out", ".lock", "log.txt", "saved_model.pb", "fingerprint.pb")
    assert contents(tmp_path, *varying) == contents(finished[0], *varying)


def test_without_data_the_challenge_is_simulated(tmp_path, config_path):
    settings = read_json(config_path)
    settings["training"]["maximum_epochs"] = 1
    settings["ensemble"]["full_members"] = 0
    (tmp_path / "short.json").write_text(json.dumps(settings))
    arguments = ("train", "--config", tmp_path / "short.json", "--run", tmp_path / "run")
    assert kcseg(*arguments).exit_code == 0
    assert len(list((tmp_path / "run" / "challenge" / "train-2" / "images").iterdir())) == 4
    assert "simulated challenge" in (tmp_path / "run" / "report.html").read_text()
    assert kcseg(*arguments, "--force").exit_code == 0


def test_force_replaces_a_run_but_never_with_unusable_data(tmp_path, ring_challenge, config_path):
    arguments = ("train", "--config", config_path, "--run", tmp_path, "--data", ring_challenge, "--member", 3)
    assert kcseg(*arguments).exit_code == 0
    (tmp_path / "none").mkdir()
    result = kcseg(
        "train", "--config", config_path, "--run", tmp_path, "--data", tmp_path / "none", "--force"
    )
    assert result.exit_code == 2 and (tmp_path / "member-3" / "member.json").exists()
    result = kcseg(*arguments, "--force")
    assert result.exit_code == 2 and "name no members" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"netwrok": {}}, "did you mean 'network'"),
        ({"ensemble": {"folds": 13}}, "12 training images cannot be dealt into 13 folds"),
    ],
)
def test_settings_that_cannot_be_leave_nothing_behind(tmp_path, ring_challenge, settings, message):
    (tmp_path / "config.json").write_text(json.dumps(settings))
    run = tmp_path / "run"
    result = kcseg("train", "--data", ring_challenge, "--config", tmp_path / "config.json", "--run", run)
    assert result.exit_code == 2 and message in " ".join(result.output.split())
    assert not run.exists() or not [path for path in run.iterdir() if path.name != ".lock"]


def test_an_image_without_a_mask_is_named(tmp_path, config_path):
    for kind in ("images", "masks"):
        (tmp_path / "data" / "train-1" / kind).mkdir(parents=True)
    np.save(
        tmp_path / "data" / "train-1" / "images" / "a.npy", np.random.default_rng(0).normal(0, 50, (32, 32))
    )
    np.save(tmp_path / "data" / "train-1" / "masks" / "b.npy", np.eye(32, dtype=bool))
    result = kcseg("train", "--data", tmp_path / "data", "--config", config_path, "--run", tmp_path / "run")
    assert result.exit_code == 2 and "a.npy" in result.output.replace("\n", "")


def test_a_run_folder_that_cannot_be_written_is_named(tmp_path, ring_challenge, config_path):
    (tmp_path / "file").touch()
    result = kcseg(
        "train", "--data", ring_challenge, "--config", config_path, "--run", tmp_path / "file" / "run"
    )
    assert result.exit_code == 2 and "cannot write" in result.output


def start_training(data, config, run):
    options = ("--data", data, "--config", config, "--run", run, "--member", 1, "--member", 3)
    return start(config.with_name("output"), "train", *options)


def wait_for_progress(training, run):
    """Wait until the training has kept a state it did not have when it was started, or is over."""
    known = {path: path.stat().st_mtime_ns for path in run.glob("member-*/state.npz")}
    while training.exitcode is None:
        for path in run.glob("member-*/state.npz"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns != known.get(path):
                    return True
        time.sleep(0.005)
    return False


def test_killed_again_and_again_at_random_it_ends_with_the_same_bytes(tmp_path, tiny, ring_challenge):
    settings = to_json(tiny)
    settings["training"]["maximum_epochs"] = settings["training"]["patience_epochs"] = 40
    config = tmp_path / "config.json"
    config.write_text(json.dumps(settings))
    assert ended(start_training(ring_challenge, config, tmp_path / "whole")) == 0

    moments = random.Random(7)
    landed = 0
    for _ in range(6):
        training = start_training(ring_challenge, config, tmp_path / "killed")
        if wait_for_progress(training, tmp_path / "killed"):
            time.sleep(moments.uniform(0, 0.2))
        training.kill()
        landed += ended(training) == -signal.SIGKILL
    assert landed == 6
    assert ended(start_training(ring_challenge, config, tmp_path / "killed")) == 0
    for member in ("member-1", "member-3"):
        whole, killed = (tmp_path / run / member for run in ("whole", "killed"))
        assert sha256(whole / "member.weights.h5") == sha256(killed / "member.weights.h5")
        assert (whole / "history.csv").read_text() == (killed / "history.csv").read_text()
        assert not list(killed.glob(".kcseg-*")) and not (killed / "state.npz").exists()
