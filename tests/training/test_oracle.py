import keras_tuner
import numpy as np
import pytest

from kcseg.training.oracle import RANDOM_FIRST, Limit, Oracle
from kcseg.training.space import Between, OneOf, hyperparameters

SPACE = {"a.x": Between(-1.0, 1.0), "a.y": Between(1e-3, 1.0, logarithmic=True), "a.kind": OneOf(("p", "q"))}


class Tuner(keras_tuner.Tuner):
    def run_trial(self, trial):
        raise NotImplementedError


def new_oracle(folder, trials=20, *, random=False, seed=2, **options):
    path = folder / "proposals.json"
    oracle = Oracle(
        hyperparameters(SPACE), path, trials=trials, seed=seed, random=random, timeout_s=60, **options
    )
    Tuner(oracle, directory=str(folder))  # says where keras-tuner's own files go
    return oracle


def score(values):
    """A hill at x = 0.5, y = 0.1, higher for kind q."""
    return (
        -((values["a.x"] - 0.5) ** 2) - (np.log10(values["a.y"]) + 1) ** 2 + 0.3 * (values["a.kind"] == "q")
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


def test_a_search_begins_with_what_is_known_unless_it_is_beyond_the_limit(tmp_path):
    known = {"a.x": 0.5, "a.y": 0.1, "a.kind": "q"}  # the top of the hill
    trials = RANDOM_FIRST + 4
    values = run(new_oracle(tmp_path / "known", trials, first=known), trials)
    drawn = run(new_oracle(tmp_path / "drawn", trials), trials)
    assert values[0] == known and values[1:RANDOM_FIRST] == drawn[1:RANDOM_FIRST]
    learned, blind = ([score(value) for value in found[RANDOM_FIRST:]] for found in (values, drawn))
    assert np.mean(learned) > np.mean(blind)
    limit = Limit(lambda values: int(values["a.kind"] == "q"), most=0)
    assert run(new_oracle(tmp_path / "limit", 2, first=known, limit=limit), 1)[0]["a.kind"] == "p"


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
