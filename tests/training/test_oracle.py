from dataclasses import replace

import keras_tuner
import numpy as np
import pytest

from kcseg.config import Config, NetworkConfig, TrainingConfig
from kcseg.network.unet import count_parameters
from kcseg.training.oracle import RANDOM_FIRST, Oracle
from kcseg.training.search import Search
from kcseg.training.space import Between, OneOf

SPACE = {
    "network.dropout": Between(0.0, 1.0),
    "training.learning_rate": Between(1e-3, 1.0, logarithmic=True),
    "network.filters": OneOf((2, 4)),
}
# the top of the hill
KNOWN = Config(network=NetworkConfig(dropout=0.75, filters=4), training=TrainingConfig(learning_rate=0.1))


class Tuner(keras_tuner.Tuner):
    def run_trial(self, trial):
        raise NotImplementedError


def new_oracle(folder, trials=20, **options):
    search = Search(KNOWN, trials=trials, space=SPACE, **{"seed": 2, "known_first": False, **options})
    oracle = Oracle(search, folder / "proposals.json", timeout_s=60)
    Tuner(oracle, directory=str(folder))  # says where keras-tuner's own files go
    return oracle


def score(values):
    """A hill at a dropout of 0.75 and a rate of 0.1, higher for four filters."""
    return (
        -((2 * values["network.dropout"] - 1.5) ** 2)
        - (np.log10(values["training.learning_rate"]) + 1) ** 2
        + 0.3 * (values["network.filters"] == 4)
    )


def finish(oracle, trial):
    oracle.update_trial(trial.trial_id, {"dice": score(trial.hyperparameters.values)})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


def run(oracle, count):
    for _ in range(count):
        finish(oracle, oracle.create_trial("tuner0"))
    return [trial.hyperparameters.values for trial in oracle.trials.values()]


@pytest.mark.parametrize("random", [True, False])
def test_proposals_are_the_same_after_any_restart(tmp_path, random):
    trials = RANDOM_FIRST + 2
    whole = run(new_oracle(tmp_path / "whole", trials, random=random), trials)
    for ended in range(trials):
        oracle = new_oracle(tmp_path / "cut", trials, random=random)
        assert run(oracle, ended) == whole[:ended]
        oracle.create_trial("tuner0")  # and never ended
        if ended == RANDOM_FIRST:
            (tmp_path / "cut" / "proposals.json").unlink()
    oracle = new_oracle(tmp_path / "cut", trials, random=random)
    assert run(oracle, trials) == whole and oracle.is_over()


def test_bayesian_proposals_climb(tmp_path):
    values = run(new_oracle(tmp_path, 14), 14)
    drawn = run(new_oracle(tmp_path / "random", 14, random=True), 14)
    assert values[:RANDOM_FIRST] == drawn[:RANDOM_FIRST] and values[RANDOM_FIRST] != drawn[RANDOM_FIRST]
    drawn = [score(value) for value in values[:RANDOM_FIRST]]
    learned = [score(value) for value in values[RANDOM_FIRST:]]
    assert np.mean(learned) > np.mean(drawn) and max(learned) > max(drawn)


def test_a_search_begins_with_what_is_known_unless_it_is_beyond_the_budget(tmp_path):
    trials = RANDOM_FIRST + 4
    values = run(new_oracle(tmp_path / "known", trials, known_first=True), trials)
    drawn = run(new_oracle(tmp_path / "drawn", trials), trials)
    assert values[0] == dict(zip(SPACE, (0.75, 0.1, 4), strict=True))
    assert values[1:RANDOM_FIRST] == drawn[1:RANDOM_FIRST]
    learned, blind = ([score(value) for value in found[RANDOM_FIRST:]] for found in (values, drawn))
    assert np.mean(learned) > np.mean(blind)
    most = count_parameters(replace(KNOWN.network, filters=2))
    (first,) = run(new_oracle(tmp_path / "budget", 2, known_first=True, most_parameters=most), 1)
    assert first["network.filters"] == 2


def test_more_trials_continue_a_search(tmp_path):
    run(new_oracle(tmp_path, 3), 3)
    oracle = new_oracle(tmp_path, 5)
    run(oracle, 3)
    assert not oracle.is_over()
    run(oracle, 2)
    assert oracle.is_over() and oracle.create_trial("tuner0").status == "STOPPED"


def test_a_worker_that_comes_back_gets_its_trial_back(tmp_path):
    before = new_oracle(tmp_path)
    run(before, 1)
    dealt = before.create_trial("w1")
    oracle = new_oracle(tmp_path)
    oracle.restore({0: 0.25})
    assert oracle.end_order == ["00"] and oracle.trials["00"].score == 0.25 and not oracle.tuner_ids
    assert oracle.create_trial("w2").trial_id != dealt.trial_id
    again = oracle.create_trial("w1")
    assert again.trial_id == dealt.trial_id
    assert again.hyperparameters.values == dealt.hyperparameters.values


def test_a_silent_workers_trial_goes_to_the_next_that_asks(tmp_path):
    oracle = new_oracle(tmp_path)
    lost = oracle.create_trial("w1")
    assert not oracle.missing_workers()
    oracle.timeout_s = 0.0
    assert oracle.missing_workers() == ["w1"]
    assert oracle.create_trial("w2").trial_id == lost.trial_id
    assert set(oracle.ongoing_trials) == {"w2"} and oracle.tuner_ids == {"w2"}
