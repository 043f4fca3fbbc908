"""Every task is cut off at every step of its writing: what stood before stands, and the next call ends the same."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kcseg.config import PretrainingConfig, SimulationConfig
from kcseg.errors import InputError
from kcseg.files import locked, remove_leftovers
from kcseg.image.listing import list_images
from kcseg.network.unet import build_unet
from kcseg.phantom.case import draw_case
from kcseg.phantom.simulate import simulate_challenge
from kcseg.prediction.predict import predict_files
from kcseg.serving.export import export_run, versions
from kcseg.serving.local import find_model
from kcseg.serving.runner import Segmentation
from kcseg.training.checkpoint import TrainingState, save_state
from kcseg.training.members import train_members
from kcseg.training.pretrain import pretrain
from kcseg.training.run import open_run

STEPS = ((os, "fsync"), (Path, "replace"), (Path, "mkdir"))
TIDYING = ((shutil, "rmtree"), (Path, "unlink"))  # which a full disk still allows


class Killed(BaseException):
    """The process is gone: nothing that would tidy up runs, either."""


class Faults:
    """Lets the writing fail at its n-th step; full disks fail from there on with an error, else all is over."""

    def __init__(self, monkeypatch):
        self.left, self.full = None, False
        for place, name in STEPS + TIDYING:
            step = self._guarded(getattr(place, name), tidies=(place, name) in TIDYING)
            monkeypatch.setattr(place, name, step)

    def _guarded(self, step, *, tidies):
        def guarded(*arguments, **more):
            if self.left is not None and not (self.full and tidies):
                self._count()
            return step(*arguments, **more)

        return guarded

    def _count(self):
        self.left -= 1
        if self.left < 0 and self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.left < 0:
            raise Killed

    def at_every_step(self, do, *, full=False):
        """Call `do(n)`, failing at the n-th step, for n from 0 on until it comes through; yield n after each fault."""
        for step in range(200):
            self.left, self.full = step, full
            try:
                do(step)
            except (Killed, InputError) as error:
                assert isinstance(error, Killed) or (full and "No space left" in str(error))
            else:
                break
            finally:
                self.left = None
            yield step
        assert 5 < step < 199


@pytest.fixture
def faults(monkeypatch):
    return Faults(monkeypatch)


@pytest.fixture
def simulate(monkeypatch):
    # what is drawn does not matter here, only how it is written
    monkeypatch.setattr("kcseg.phantom.simulate.draw_case", lambda random: drawn())
    return simulate_one


@cache
def drawn():
    return draw_case(np.random.default_rng(0))


def simulate_one(folder):
    simulate_challenge(folder, SimulationConfig(train=(1,), test=0, seed=3))


def predict(folder):
    predict_files(Stub(), list_images(folder.parent / "images"), folder, force=True)


class Stub:
    """An ensemble that takes what is bright."""

    finds_kidneys, card = False, {}

    def segment_each(self, images, raw):
        for image in images:
            yield Segmentation(image > 100, np.float32(image > 100), np.zeros_like(image))


def fit(folder, steps, validation, config, *, seed, **more):
    """Do what `fit_network` does with files, without training."""
    network = network_of(config.network, seed)
    state = TrainingState(
        [{"epoch": 1, "step": 1, "loss": 0.5}], 0, 0.5, network.get_weights(), network.get_weights()
    )
    save_state(folder / "state.npz", state)
    return network, state


@cache
def network_of(config, seed):
    return build_unet(config, seed=seed)


@pytest.fixture
def train(rings, tiny, monkeypatch):
    monkeypatch.setattr("keras.backend.clear_session", lambda **more: None)
    monkeypatch.setattr("kcseg.training.members.fit_network", fit)
    config = replace(tiny, network=replace(tiny.network, levels=1, filters=2))

    def train(folder):
        remove_leftovers(folder)  # as train_challenge does
        train_members(open_run(folder, rings, config), rings, [3])

    return train


def split_of(folder, split):
    return SimpleNamespace(annotations=folder / "annotations" / f"instances_{split}2017.json")


@pytest.fixture
def learn(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr("kcseg.training.pretrain.fit_network", fit)
    for name in ("PersonSteps", "person_validation"):
        monkeypatch.setattr(f"kcseg.training.pretrain.{name}", lambda *args, **more: None)
    monkeypatch.setattr("kcseg.training.pretrain.CocoPersons", split_of)
    monkeypatch.setattr("kcseg.training.pretrain._result", lambda *args: {"validation_dice": 0.5})
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        (tmp_path / "coco" / "annotations" / f"instances_{split}2017.json").write_text("{}")
    config = replace(
        tiny, pretraining=PretrainingConfig(size_px=16), network=replace(tiny.network, levels=1, filters=2)
    )
    return lambda folder: pretrain(folder, tmp_path / "coco", config)


@pytest.fixture
def tasks(tmp_path, simulate, train, learn):
    (tmp_path / "images").mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).normal(0, 80, (32, 32))
        np.save(tmp_path / "images" / f"{number}.npy", pixels)
    return {"simulate": simulate, "predict": predict, "train": train, "pretrain": learn}


@pytest.mark.parametrize("full", [False, True], ids=["killed", "disk full"])
@pytest.mark.parametrize("task", ["simulate", "predict", "train", "pretrain"])
def test_cut_off_anywhere_the_next_call_ends_the_same(tmp_path, faults, tasks, task, full, contents):
    do = tasks[task]
    do(tmp_path / "whole")
    expected = contents(tmp_path / "whole", ".lock")
    for step in faults.at_every_step(lambda step: do(tmp_path / f"cut-{step}"), full=full):
        folder = tmp_path / f"cut-{step}"
        if folder.exists():
            held = contents(folder, ".lock", ".kcseg-")
            assert held.keys() <= expected.keys() | {
                "state.npz",
                "member-3/state.npz",
                "simulation-started.json",
            }
            for name in held.keys() & expected.keys():
                assert held[name] == expected[name], f"{name} is not whole after step {step}"
        try:
            do(folder)
        except InputError as error:  # cut off after its last word, with the state it no longer needs
            assert "holds a finished pre-training" in str(error)
            (folder / "state.npz").unlink(missing_ok=True)
        assert contents(folder, ".lock") == expected, f"after step {step}"


def save_model(graph, folder, signatures):
    """Write what TensorFlow writes, but for what is in it."""
    (Path(folder) / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "fingerprint.pb", "variables/variables.index"):
        (Path(folder) / name).write_bytes(name.encode())


def test_an_export_cut_off_anywhere_leaves_the_version_before(tmp_path, faults, tiny, monkeypatch, contents):
    graph = SimpleNamespace(traced={}, weights=lambda: None)
    monkeypatch.setattr("kcseg.serving.export.EnsembleGraph.of", lambda *args: graph)
    monkeypatch.setattr("kcseg.serving.export.manifest", lambda *args, **more: {})
    monkeypatch.setattr("kcseg.serving.export.tf.saved_model.save", save_model)
    run = SimpleNamespace(
        folder=tmp_path,
        config=tiny,
        export_folder=tmp_path / "versions",
        challenge=lambda data: tmp_path,
        missing_members=list,
    )
    export_run(run)
    before = contents(tmp_path / "versions" / "1")
    for _ in faults.at_every_step(lambda _: export_run(run)):
        assert contents(tmp_path / "versions" / "1") == before
        newest = versions(tmp_path / "versions")[-1]
        assert find_model(tmp_path / "versions").name == str(newest)
        assert contents(find_model(tmp_path / "versions")).keys() == before.keys()


def test_a_file_that_vanishes_after_it_was_listed_is_named(tmp_path, tasks):
    images = list_images(tmp_path / "images")
    images["1"].unlink()
    with pytest.raises(InputError, match=r"1\.npy is not a file"):
        predict_files(Stub(), images, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_second_process_on_a_run_is_refused_at_once_and_told_of_the_first(tmp_path):
    hold = (
        "import sys, pathlib, kcseg.files as f\n"
        "with f.locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=f"in use by process {first.pid} on "), locked(tmp_path):
            pass
        first.kill()
        first.wait()
        with locked(tmp_path):  # and no longer than the first lives
            pass


TOLD = """
import os, resource, signal, sys
from pathlib import Path
from kcseg.config import SimulationConfig
from kcseg.phantom.simulate import simulate_challenge
from kcseg.errors import InputError
exec(sys.argv[2])
try:
    simulate_challenge(Path(sys.argv[1]), SimulationConfig(train=(1,), test=0))
except InputError as error:
    print(error)
"""


def told(folder, hindrance):
    """Simulate in a process that is hindered, and return what it says."""
    command = [sys.executable, "-c", TOLD, str(folder), hindrance]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_file_that_may_not_grow_is_told(tmp_path):
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    assert "cannot write" in told(tmp_path / "data", limit)
    assert not list((tmp_path / "data").rglob(".kcseg-*")) and not list((tmp_path / "data").rglob("*.npy"))
    simulate_challenge(tmp_path / "data", SimulationConfig(train=(1,), test=0))


def test_a_folder_that_may_not_be_written_is_told():
    with tempfile.TemporaryDirectory() as folder:  # everybody may go there, unlike to tmp_path
        Path(folder).chmod(0o555)
        # root may write anywhere, and gives that up here
        said = told(folder, "os.seteuid(65534) if os.geteuid() == 0 else None")
        assert "Permission denied" in said and "choose another" in said
        assert not list(Path(folder).iterdir())
