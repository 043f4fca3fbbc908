import json
from dataclasses import replace

import pytest

from kcseg.config import PAPER, PRESETS, QUICK
from kcseg.config_json import from_json, to_json
from kcseg.errors import InputError


@pytest.mark.parametrize("name", PRESETS)
def test_json_and_back_is_the_same_configuration(name):
    assert from_json(json.loads(json.dumps(to_json(PRESETS[name]))), "here") == PRESETS[name]


def test_the_paper_says_so():
    assert PAPER.image.window_hu == (-150, 200)
    assert PAPER.network.levels == 5
    assert (PAPER.training.learning_rate, PAPER.training.batch_size) == (1e-4, 10)
    assert PAPER.training.loss == "binary_crossentropy"
    assert (PAPER.ensemble.folds, PAPER.ensemble.full_members, PAPER.members) == (5, 2, 7)
    assert (PAPER.simulation.train, PAPER.simulation.test) == ((250, 247), 299)


def test_what_is_left_out_keeps_the_preset():
    changed = from_json({"network": {"filters": 12}, "seed": 3}, "here", base=QUICK)
    assert changed == replace(QUICK, network=replace(QUICK.network, filters=12), seed=3)


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(
        InputError, match=r"unknown key 'network\.fliters' in a\.json; did you mean 'network\.filters'"
    ):
        from_json({"network": {"fliters": 12}}, "a.json")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "must be an object"),
        ({"network": 3}, "'?network"),
        ({"network": {"filters": "8"}}, r"'network\.filters' in here must be int, got '8'"),
        ({"network": {"filters": True}}, "must be int, got True"),
        ({"image": {"window_hu": [1]}}, r"'image\.window_hu'"),
        ({"image": {"window_hu": [200, -150]}}, r"here: 'image\.window_hu' cannot be \(200\.0, -150\.0\)"),
        ({"training": {"loss": "focal"}}, r"here: 'training\.loss' cannot be 'focal'"),
        ({"training": {"batch_size": 0}}, r"'training\.batch_size'"),
        ({"ensemble": {"folds": 1}}, r"'ensemble\.folds'"),
        ({"ensemble": {"folds": 0, "full_members": 0}}, "leave no member"),
        ({"augmentation": {"zoom": [1.2, 0.8]}}, r"'augmentation\.zoom'"),
        ({"augmentation": {"brightness": -1}}, r"'augmentation\.brightness'"),
        ({"augmentation": {"noise_deviation": [0, 5]}}, r"'augmentation\.noise_deviation'"),
        ({"image": {"window_hu": [float("-inf"), 200]}}, r"'image\.window_hu'"),
        ({"training": {"learning_rate": 10**400}}, r"'training\.learning_rate'"),
        ({"training": {"learning_rate": float("nan")}}, r"'training\.learning_rate'"),
    ],
)
def test_values_that_cannot_be_are_named(values, message):
    with pytest.raises(InputError, match=message):
        from_json(values, "here")


def test_whole_numbers_stand_for_floats_and_lists_for_tuples():
    config = from_json({"training": {"learning_rate": 1}, "simulation": {"train": [3, 4, 5]}}, "here")
    assert config.training.learning_rate == 1.0 and config.simulation.train == (3, 4, 5)
