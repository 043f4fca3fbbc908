from dataclasses import replace

import pytest
import tensorflow as tf

from kcseg.errors import InputError
from kcseg.files import read_json
from kcseg.training import trial as trials
from kcseg.training.space import Between, OneOf
from kcseg.training.trial import BEYOND_BUDGET, FAILED, FINISHED, Budget
from kcseg.training.tune import Search, best_trial, read_results, tune

SPACE = {"network.filters": OneOf((2, 4)), "training.learning_rate": Between(1e-3, 1e-2, logarithmic=True)}


@pytest.fixture
def search(tiny):
    return Search(tiny, trials=2, folds=2, epochs=1, space=SPACE)


@pytest.fixture
def untrained(monkeypatch):
    """Scores in place of training: the wider the better; settings listed in `faults` end with that error."""

    class State:
        best_score = 0.0

    faults, seen = {}, []

    def fit(folder, steps, validation, config, *, seed, on_step):
        seen.append(config)
        if error := faults.get(len(seen)):
            raise error
        on_step(1, 1, 0.5)
        state = State()
        state.best_score = config.network.filters / 10 + config.training.learning_rate
        return None, state

    monkeypatch.setattr(trials, "fit_network", fit)
    return faults, seen


def test_trials_are_trained_on_folds_and_scored_by_their_mean(tmp_path, rings, search):
    told = []

    class Watcher:
        def trials(self, done, total, best_dice):
            told.append((done, total))

        def step(self, trial, done, total, best_dice):
            assert 1 <= done <= total == 4  # two folds, an epoch of two steps

    results = tune(tmp_path, rings, search, watcher=Watcher())
    assert [result.trial for result in results] == ["0", "1"] and told[0] == (0, 2) and told[-1] == (2, 2)
    for result in results:
        assert result.status == FINISHED and result.dice == pytest.approx(sum(result.fold_dice) / 2)
        assert len(result.fold_dice) == 2 and result.parameters > 0 and result.ms_per_image is None
        config = read_json(tmp_path / "trials" / f"trial_{result.trial}" / "config.json")
        assert config["network"]["filters"] == result.values["network.filters"]
    assert results == tune(tmp_path, rings, search)  # all are there


def test_failing_trials_are_recorded_and_passed_over(tmp_path, rings, search, untrained):
    faults, _ = untrained
    faults |= {
        1: InputError("the loss of fold-1 stopped being a number"),
        2: tf.errors.ResourceExhaustedError(None, None, "out of memory"),
        3: MemoryError(),
        4: InputError("again"),
    }
    results = tune(tmp_path, rings, replace(search, trials=6, folds=1))
    assert [result.status for result in results] == [FAILED] * 4 + [FINISHED] * 2
    assert "stopped being a number" in results[0].reason and "out of memory" in results[1].reason
    assert results[2].reason == "MemoryError" and best_trial(results).status == FINISHED


def test_all_failing_is_an_error_and_a_fault_of_ours_is_none_of_the_trials(
    tmp_path, rings, search, untrained
):
    faults, _ = untrained
    faults |= {1: InputError("no"), 2: InputError("not this one either")}
    with pytest.raises(InputError, match=r"none of the 2 trials .* not this one either"):
        tune(tmp_path / "failing", rings, replace(search, folds=1))
    faults[3] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        tune(tmp_path / "faulty", rings, replace(search, folds=1))


def test_budgets_are_obeyed_and_beyond_them_nothing_is_trained(
    tmp_path, rings, search, untrained, monkeypatch
):
    _, seen = untrained
    results = tune(tmp_path / "a", rings, replace(search, trials=6, budget=Budget(parameters=1000)))
    assert {result.status for result in results} == {FINISHED, BEYOND_BUDGET}
    assert {config.network.filters for config in seen} == {2}
    assert all((result.parameters > 1000) == (result.status == BEYOND_BUDGET) for result in results)

    monkeypatch.setattr(
        trials, "milliseconds_per_image", lambda network, size: 0.001 * network.count_params()
    )
    results = tune(tmp_path / "b", rings, replace(search, trials=6, budget=Budget(ms_per_image=1.0)))
    assert {result.status for result in results} == {FINISHED, BEYOND_BUDGET}
    assert all((result.ms_per_image > 1.0) == (result.status == BEYOND_BUDGET) for result in results)


def test_the_time_of_an_image_is_measured(tiny):
    network = trials.build_unet(tiny.network, seed=1)
    assert 0 < trials.milliseconds_per_image(network, (32, 32)) < 10_000


def test_a_lost_state_costs_no_finished_trial(tmp_path, rings, search, untrained):
    _, seen = untrained
    results = tune(tmp_path, rings, search)
    (tmp_path / "state.json").unlink()
    trained = len(seen)
    assert tune(tmp_path, rings, search) == results and len(seen) == trained


def test_other_settings_other_data_and_other_folders_are_refused(tmp_path, rings, search, untrained):
    tune(tmp_path / "run", rings, search)
    for other in (replace(search, epochs=2), replace(search, random=True)):
        with pytest.raises(InputError, match="other settings or data"):
            tune(tmp_path / "run", rings, other)
    with pytest.raises(InputError, match="other settings or data"):
        tune(tmp_path / "run", rings.select(rings.ids[:8]), search)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "thesis.tex").touch()
    with pytest.raises(InputError, match="not a search"):
        tune(tmp_path / "else", rings, search)
    assert len(read_results(tmp_path / "run")) == 2


@pytest.mark.parametrize("changes", [{"trials": 0}, {"folds": 3}, {"epochs": 0}])
def test_searches_that_cannot_be_are_refused(search, changes):
    with pytest.raises(InputError):
        replace(search, **changes)
