import json

import keras_tuner
import numpy as np
import pytest

from kcseg.errors import InputError
from kcseg.training.oracle import RANDOM_FIRST, Limit, build_oracle
from kcseg.training.space import Between, OneOf, hyperparameters

SPACE = {"a.x": Between(-1.0, 1.0), "a.y": Between(1e-3, 1.0, logarithmic=True), "a.kind": OneOf(("p", "q"))}


class Tuner(keras_tuner.Tuner):
    def run_trial(self, trial):
        raise NotImplementedError


def new_oracle(folder, trials=20, *, random=False, seed=3, **options):
    oracle = build_oracle(hyperparameters(SPACE), trials=trials, seed=seed, random=random, **options)
    oracle.keep_in(folder / "state.json", timeout_s=60)
    Tuner(oracle, directory=str(folder), project_name="trials")  # says where keras-tuner's own files go
    oracle.verbose = 0
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
    trials = RANDOM_FIRST + 1
    whole = run(new_oracle(tmp_path / "whole", trials, random=random), trials)
    for _ in range(trials):
        oracle = new_oracle(tmp_path / "cut", trials, random=random)
        oracle.restore(workers=False)
        finish(oracle, oracle.create_trial("tuner0"))
        if not oracle.is_over():
            lost = oracle.create_trial("tuner0")  # and never ended
    assert [trial.hyperparameters.values for trial in oracle.trials.values()] == whole
    assert lost.trial_id == list(oracle.trials)[-1] and oracle.is_over()


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
    oracle.restore(workers=False)
    assert not oracle.is_over()
    run(oracle, 2)
    assert oracle.is_over() and oracle.create_trial("tuner0").status == "STOPPED"


def test_a_worker_that_comes_back_gets_its_trial_back(tmp_path):
    dealt = new_oracle(tmp_path).create_trial("w1").trial_id
    oracle = new_oracle(tmp_path)
    oracle.restore(workers=True)
    assert oracle.create_trial("w2").trial_id != dealt
    assert oracle.create_trial("w1").trial_id == dealt


def test_a_silent_workers_trial_goes_to_the_next_that_asks(tmp_path):
    oracle = new_oracle(tmp_path)
    lost = oracle.create_trial("w1")
    assert not oracle.missing_workers()
    oracle.timeout_s = 0.0
    assert oracle.missing_workers() == ["w1"]
    assert oracle.create_trial("w2").trial_id == lost.trial_id
    assert set(oracle.ongoing_trials) == {"w2"} and oracle.tuner_ids == {"w2"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"trials": {"0": {}}, "oracle": {}}'])
def test_a_damaged_state_is_named(tmp_path, content):
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(InputError, match=r"state\.json"):
        new_oracle(tmp_path).restore(workers=False)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (
            ("oracle", "hyperparameters", "space", 0),
            {"class_name": "Popen", "module": "subprocess", "config": {}},
        ),
        (("trials", "first", "hyperparameters", "space"), []),
        (("trials", "first", "trial_id"), ["0"]),
        (("oracle", "retry_queue"), ["7"]),
        (("oracle", "seed"), None),
        (("oracle", "display"), {"trial_number": ""}),
        (("oracle", "id_to_hash"), {"0": {}}),
        (("oracle", "run_times"), {"0": "1"}),
        (("trials",), 5),
    ],
)
def test_a_state_that_is_not_this_searchs_is_refused(tmp_path, path, value):
    run(new_oracle(tmp_path), 2)
    state = json.loads((tmp_path / "state.json").read_text())
    place = state
    for step in path[:-1]:
        place = place[next(iter(place)) if step == "first" else step]
    place[path[-1]] = value
    (tmp_path / "state.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match="is no state of a search"):
        new_oracle(tmp_path).restore(workers=False)
