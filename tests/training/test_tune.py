import multiprocessing
import os
import pickle
import signal
from dataclasses import replace

import pytest
import tensorflow as tf

from kcseg.errors import InputError
from kcseg.files import read_json
from kcseg.training import trial as trials
from kcseg.training.search import Search
from kcseg.training.space import Between, OneOf
from kcseg.training.trial import BEYOND_BUDGET, FAILED, FINISHED, Trial, read_results
from kcseg.training.tune import best_trial, tune

SPACE = {"network.filters": OneOf((2, 4)), "training.learning_rate": Between(1e-3, 1e-2, logarithmic=True)}


@pytest.fixture
def search(deeper):
    return Search(deeper, trials=2, folds=2, epochs=1, space=SPACE)


@pytest.fixture
def untrained(monkeypatch):
    """Scores in place of training, and in this process: the wider the better; `faults` are raised in its stead."""

    class State:
        best_score = 0.0

    faults, seen = {}, []

    def fit(folder, steps, validation, config, *, tell, stage, **more):
        seen.append(config)
        if error := faults.get(len(seen)):
            raise error
        tell(stage, 1, 1)
        state = State()
        state.best_score = config.network.filters / 10 + config.training.learning_rate
        return None, state

    monkeypatch.setattr("kcseg.training.members.fit_network", fit)
    monkeypatch.setattr(trials, "call_apart", lambda function, trial, tell: function(trial, tell))
    return faults, seen


def test_trials_are_trained_on_folds_and_scored_by_their_mean_and_killed_ones_are_passed_over(
    tmp_path, rings, search
):
    told = []

    def tell(stage, done, total, note=""):
        if stage == "trials":
            told.append((done, total))
            return
        assert 1 <= done <= total == 4  # two folds, an epoch of two steps
        if stage == "trial 1":  # as the kernel does where memory runs out
            (process,) = multiprocessing.active_children()
            os.kill(process.pid, signal.SIGKILL)

    search = replace(search, trials=3)
    results = tune(tmp_path, rings, search, tell=tell)
    assert [result.trial for result in results] == ["0", "1", "2"]
    assert told[0] == (0, 3) and told[-1] == (3, 3)
    killed = results.pop(1)
    assert killed.status == FAILED and killed.parameters > 0
    assert killed.reason == "ended by signal 9, most likely memory ran out"
    for result in results:
        assert result.status == FINISHED and result.dice == pytest.approx(sum(result.fold_dice) / 2)
        assert len(result.fold_dice) == 2 and result.parameters > 0 and result.ms_per_image is None
        config = read_json(tmp_path / "trials" / f"trial-{result.trial}" / "config.json")
        assert config["network"]["filters"] == result.values["network.filters"]
    assert not list(tmp_path.rglob("state.npz"))
    assert tune(tmp_path, rings, search) == [results[0], killed, results[1]]  # all are there


@pytest.mark.parametrize("known_first", [True, False])
def test_the_settings_a_search_starts_from_are_tried_first(tmp_path, rings, search, untrained, known_first):
    _, seen = untrained
    tune(tmp_path, rings, replace(search, folds=1, known_first=known_first))
    assert (seen[0] == search.trial_settings({})) == known_first


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


@pytest.mark.parametrize("random", [True, False])
def test_networks_with_more_parameters_than_allowed_are_not_even_proposed(
    tmp_path, rings, search, untrained, random
):
    _, seen = untrained
    search = replace(search, trials=10, folds=1, random=random, most_parameters=1000)
    results = tune(tmp_path, rings, search)
    assert [result.status for result in results] == [FINISHED] * 10
    assert {config.network.filters for config in seen} == {2}
    assert all(result.parameters <= 1000 for result in results)


def test_a_space_without_a_network_small_enough_is_an_error_that_names_the_smallest(
    tmp_path, rings, search, untrained
):
    smallest = trials.build_unet(search.settings({"network.filters": 2}).network, seed=1).count_params()
    with pytest.raises(InputError, match=f"at most 10 parameters; the smallest has {smallest}"):
        tune(tmp_path, rings, replace(search, most_parameters=10))
    assert not untrained[1]


def test_what_is_beyond_the_budget_is_not_trained(tmp_path, rings, search, untrained, monkeypatch):
    _, seen = untrained
    monkeypatch.setattr(
        trials, "milliseconds_per_image", lambda network, size: 0.001 * network.count_params()
    )
    search = replace(search, trials=6, folds=1, most_ms_per_image=1.0)
    results = tune(tmp_path, rings, search)
    assert {result.status for result in results} == {FINISHED, BEYOND_BUDGET}
    beyond = [result for result in results if result.status == BEYOND_BUDGET]
    assert all("1 allowed" in result.reason for result in beyond) and len(seen) == 6 - len(beyond)
    assert all((result.ms_per_image > 1.0) == (result.status == BEYOND_BUDGET) for result in results)


def test_the_time_of_an_image_is_measured(tiny):
    network = trials.build_unet(tiny.network, seed=1)
    assert 0 < trials.milliseconds_per_image(network, (32, 32)) < 10_000


def test_lost_proposals_cost_no_finished_trial(tmp_path, rings, search, untrained):
    _, seen = untrained
    results = tune(tmp_path, rings, search)
    (tmp_path / "proposals.json").unlink()
    trained = len(seen)
    more = tune(tmp_path, rings, replace(search, trials=3))
    assert more[:2] == results and len(more) == 3 and len(seen) == trained + search.folds


def test_a_trial_of_other_settings_begins_anew(tmp_path, rings, search, untrained):
    _, seen = untrained
    for filters in (2, 4, 4):
        values = {"network.filters": filters}
        trial = Trial(tmp_path, 7, values, replace(search, folds=1), rings)
        assert trials.run_trial(trial).values == values
    assert [config.network.filters for config in seen] == [2, 4]


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
    assert len(read_results(tmp_path / "run" / "trials")) == 2


def test_a_trial_can_be_sent_to_another_process(tmp_path, rings, deeper):
    assert pickle.dumps(Trial(tmp_path, 0, {}, Search(deeper), rings))


@pytest.mark.parametrize("changes", [{"trials": 0}, {"folds": 3}, {"epochs": 0}])
def test_searches_that_cannot_be_are_refused(search, changes):
    with pytest.raises(InputError):
        replace(search, **changes)
