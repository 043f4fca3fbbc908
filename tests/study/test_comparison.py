from dataclasses import replace

import numpy as np
import pytest

from kcseg.errors import InputError
from kcseg.network.unet import build_unet
from kcseg.study.comparison import PRETRAINED, RANDOM, Comparison, compare
from kcseg.training.checkpoint import save_pretrained
from kcseg.training.members import train_members
from kcseg.training.run import open_run


@pytest.fixture(scope="module")
def comparison(tiny):
    return Comparison(tiny, seeds=2, steps=7, every=3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, rings, tiny):
    """Weights that know rings already."""
    folder = tmp_path_factory.mktemp("weights")
    longer = replace(tiny, training=replace(tiny.training, maximum_epochs=8, patience_epochs=8))
    path, run = folder / "pretrained.npz", open_run(folder / "run", rings, longer)
    train_members(run, rings, [3])
    save_pretrained(path, run.load_network(3))
    return path


@pytest.fixture(scope="module")
def compared(tmp_path_factory, rings, weights, comparison):
    folder = tmp_path_factory.mktemp("comparison")
    return folder, compare(folder, rings, weights, comparison)


def test_looks_at_the_held_out_images_after_so_many_steps(compared):
    _, histories = compared
    for start in (PRETRAINED, RANDOM):
        assert len(histories[start]) == 2
        for history in histories[start]:
            assert [row["step"] for row in history] == [3, 6]
            assert all(0 <= row["val_dice"] <= 1 and row["binary_crossentropy"] > 0 for row in history)


def test_the_starts_differ_and_so_do_the_seeds(compared):
    _, histories = compared
    first = {(start, seed): histories[start][seed][0]["loss"] for start in histories for seed in (0, 1)}
    assert len(set(first.values())) == 4


def test_a_start_from_weights_that_know_is_ahead(compared):
    _, histories = compared
    known, unknown = (
        np.mean([history[0]["binary_crossentropy"] for history in histories[start]])
        for start in (PRETRAINED, RANDOM)
    )
    assert known < unknown


def test_run_again_it_trains_nothing_and_says_the_same(compared, rings, weights, comparison):
    folder, histories = compared
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("history.csv")}
    assert compare(folder, rings, weights, comparison) == histories
    assert files == {path: path.stat().st_mtime_ns for path in folder.rglob("history.csv")}


def test_other_settings_are_refused(compared, rings, weights, comparison):
    with pytest.raises(InputError, match="other settings"):
        compare(compared[0], rings, weights, replace(comparison, steps=9))


def test_weights_of_another_network_are_refused(tmp_path, rings, tiny, comparison):
    save_pretrained(tmp_path / "other.npz", build_unet(replace(tiny.network, filters=8), seed=0))
    with pytest.raises(InputError, match="first_convolution"):
        compare(tmp_path / "run", rings, tmp_path / "other.npz", comparison)


@pytest.mark.parametrize("values", [{"seeds": 0}, {"every": 0}, {"steps": 2}])
def test_what_cannot_be_compared_is_refused(tiny, values):
    with pytest.raises(InputError, match="at least one"):
        Comparison(tiny, **{"every": 3, "steps": 6, **values})
