from dataclasses import replace

import numpy as np
import pytest

from kcseg.dataset.pipeline import TrainingSteps, validation_dataset
from kcseg.errors import InputError
from kcseg.files import read_csv
from kcseg.training.fit import compiled_network, fit_network
from kcseg.training.run import random_folds


class Cut(Exception):
    pass


def fit(folder, rings, config, *, validate=True, cut_after=None):
    held_out = random_folds(rings.ids, 3, seed=1)[0]

    def tell(stage, done, total, note=""):
        if done == cut_after:
            raise Cut

    return fit_network(
        folder,
        TrainingSteps(rings.select(frozenset(rings.ids) - frozenset(held_out)), config, seed=3),
        validation_dataset(rings.select(held_out), config) if validate else None,
        config,
        seed=3,
        tell=tell,
    )


def test_a_step_is_traced_once(tiny, monkeypatch):
    network, traces = compiled_network(tiny, steps_per_epoch=2, seed=0), []
    compute_loss = network.compute_loss

    def traced(*arguments, **more):
        traces.append(arguments)
        return compute_loss(*arguments, **more)

    monkeypatch.setattr(network, "compute_loss", traced)
    network.fit(
        np.zeros((4, 16, 16, 1)), np.zeros((4, 16, 16, 1)), batch_size=2, epochs=2, shuffle=False, verbose=0
    )
    assert len(traces) == 1


@pytest.mark.parametrize("validate", [True, False])
def test_learns_rings(tmp_path, rings, tiny, validate):
    config = replace(tiny, training=replace(tiny.training, maximum_epochs=25, patience_epochs=25))
    _, state = fit(tmp_path, rings, config, validate=validate)
    assert state.best_score > 0.8
    watched = [row["val_dice" if validate else "dice"] for row in state.history]
    assert state.best_score == max(watched) and watched[state.best_epoch] == state.best_score


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path, rings, deeper):
    config = replace(
        deeper, network=replace(deeper.network, dropout=0.2)
    )  # dropout's generator is state, too
    whole, _ = fit(tmp_path / "whole", rings, config)
    for step in (1, 3, 4):  # in the first epoch, in the second, and in the second again
        with pytest.raises(Cut):
            fit(tmp_path / "cut", rings, config, cut_after=step)
    resumed, state = fit(tmp_path / "cut", rings, config)
    assert state.epoch == 3
    for expected, found in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert expected.tobytes() == found.tobytes()


def test_a_network_begins_anew_whatever_was_trained_before(tmp_path, rings, deeper):
    config = replace(deeper, network=replace(deeper.network, dropout=0.2))
    first, _ = fit(tmp_path / "first", rings, config)
    fit(tmp_path / "other", rings.select(frozenset(rings.ids[:9])), config)
    again, _ = fit(tmp_path / "again", rings, config)
    for expected, found in zip(first.get_weights(), again.get_weights(), strict=True):
        assert expected.tobytes() == found.tobytes()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, rings, tiny):
    folder = tmp_path_factory.mktemp("fit")
    return folder, *fit(folder, rings, tiny)


def test_returns_the_weights_of_the_best_epoch(fitted):
    _, network, state = fitted
    for expected, found in zip(state.best_weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_stops_when_the_score_no_longer_rises(tmp_path, rings, tiny):
    # at a rate of nearly zero nothing is learned, so that no epoch is better than the first
    training = replace(tiny.training, learning_rate=1e-30, maximum_epochs=9, patience_epochs=2)
    still = replace(tiny, training=training, network=replace(tiny.network, batch_norm_momentum=0.0))
    _, state = fit(tmp_path, rings, still)
    assert state.epoch - state.best_epoch - 1 == 2 and state.epoch < 9


def test_history_tells_steps_losses_and_scores(fitted):
    folder, *_ = fitted
    rows = read_csv(folder / "history.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert {"loss", "dice", "val_loss", "val_dice"} <= rows[0].keys()
    assert any((folder / "tensorboard").rglob("events*"))


def test_a_loss_that_is_no_number_is_named(tmp_path, rings, tiny):
    with pytest.raises(InputError, match=r"lower 'training\.learning_rate'"):
        fit(tmp_path, rings, replace(tiny, training=replace(tiny.training, learning_rate=1e30)))
