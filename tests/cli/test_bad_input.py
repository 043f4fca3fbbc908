"""Every mistake a user can make with a challenge folder: one sentence, exit code 2, nothing written."""

import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kcseg.cli import main


def image(**changes):
    return np.random.default_rng(0).normal(0, 50, (32, 32)).astype(changes.get("dtype", np.float32))


def save(path, array):
    np.save(path, array)


def empty(train):
    for path in (train / "images").iterdir():
        path.unlink()


def set_pixel(path, value):
    array = np.load(path)
    array[3, 3] = value
    np.save(path, array)


MISTAKES = {
    "empty folder": (empty, "found none"),
    "image without mask": (lambda train: (train / "masks" / "0003.npy").unlink(), "no mask for .*0003.npy"),
    "mask without image": (lambda train: (train / "images" / "0003.npy").unlink(), "no image for .*0003.npy"),
    "wrong dtype": (lambda train: save(train / "images" / "0003.npy", image(dtype=np.complex64)), "0003.npy"),
    "three dimensions": (
        lambda train: save(train / "images" / "0003.npy", np.zeros((3, 32, 32))),
        "0003.npy",
    ),
    "NaN": (lambda train: set_pixel(train / "images" / "0003.npy", np.nan), "0003.npy"),
    "constant image": (lambda train: save(train / "images" / "0003.npy", np.full((32, 32), 7.0)), "0003.npy"),
    "truncated file": (
        lambda train: (train / "images" / "0003.npy").write_bytes(
            (train / "images" / "0002.npy").read_bytes()[:500]
        ),
        "0003.npy",
    ),
    "mask that is not binary": (
        lambda train: save(train / "masks" / "0003.npy", np.arange(1024).reshape(32, 32)),
        "0003.npy.*binary|binary.*0003.npy",
    ),
    "mask of another size": (
        lambda train: save(train / "masks" / "0003.npy", np.eye(20, dtype=bool)),
        "0003.npy",
    ),
    "two files with one id": (
        lambda train: Image.fromarray(np.zeros((32, 32), np.uint8)).save(train / "masks" / "0003.png"),
        "one file with id '0003'",
    ),
    "fewer images than folds": (
        lambda train: [
            path.unlink() for kind in ("images", "masks") for path in sorted((train / kind).iterdir())[4:]
        ],
        "4 training images cannot be dealt into 5 folds",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_training_names_the_mistake_and_writes_nothing(tmp_path, ring_challenge, mistake):
    make, message = MISTAKES[mistake]
    data = tmp_path / "data"
    shutil.copytree(ring_challenge, data)
    make(data / "train-1")
    result = CliRunner().invoke(main, ["train", "--data", str(data), "--run", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit), result.exception
    sentence = result.output.split("Error: ")[1].strip()
    assert re.search(message, sentence), sentence
    assert "\n" not in sentence and len(sentence) < 400
    assert not (tmp_path / "run").exists()


def test_a_bad_test_batch_shows_before_training(tmp_path, ring_challenge):
    data = tmp_path / "data"
    shutil.copytree(ring_challenge, data)
    set_pixel(data / "test" / "images" / "0001.npy", np.inf)
    result = CliRunner().invoke(main, ["train", "--data", str(data), "--run", str(tmp_path / "run")])
    assert result.exit_code == 2 and "0001.npy" in result.output and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "command", ["train --run x --data", "simulate", "predict --out x", "audit --out x", "export"]
)
def test_a_name_that_no_disk_holds_is_refused_in_one_sentence(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*command.split(), "x" * 300])
    assert result.exit_code == 2 and "Error: " in result.output, result.output
    assert not list(tmp_path.glob("[!.]*"))
