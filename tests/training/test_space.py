import random
from dataclasses import replace

import keras_tuner
import numpy as np
import pytest

from kcseg.config import PRESETS
from kcseg.config_json import from_json, to_json
from kcseg.training.space import SPACE, configure, hyperparameters, values_of


@pytest.mark.parametrize("preset", PRESETS)
def test_any_values_of_the_space_are_settings_that_can_be(preset):
    oracle = keras_tuner.oracles.RandomSearchOracle(
        keras_tuner.Objective("dice", "max"), max_trials=100, seed=1, hyperparameters=hyperparameters(SPACE)
    )
    for number in range(100):
        values = oracle.populate_space(str(number))["values"]
        assert set(values) == set(SPACE)
        config = configure(PRESETS[preset], values)
        assert from_json(to_json(config), "test") == config


def test_settings_not_named_stay_and_strength_one_changes_nothing():
    base = PRESETS["quick"]
    assert configure(base, {"augmentation.geometry": 1.0, "augmentation.intensity": 1.0}) == base
    still = configure(base, {"augmentation.geometry": 0.0, "augmentation.intensity": 0.0}).augmentation
    assert (
        still.zoom == (1.0, 1.0) and still.translation_px == still.brightness == still.noise_deviation[1] == 0
    )
    changed = configure(base, {"network.filters": 16, "training.learning_rate": 0.00123456})
    assert changed.network.filters == 16 and changed.training.learning_rate == 0.001235
    assert changed.simulation == base.simulation


@pytest.mark.parametrize("preset", ["paper", "quick", "thorough"])
def test_a_presets_own_values_leave_it_as_it_is(preset):
    values = values_of(PRESETS[preset], SPACE)
    assert list(values) == list(SPACE) and configure(PRESETS[preset], values) == PRESETS[preset]


def test_settings_beyond_the_space_have_no_values_in_it():
    assert values_of(PRESETS["shipped"], SPACE) is None
    for changed in ({"network.filters": 12}, {"training.learning_rate": 0.1}):
        assert values_of(configure(PRESETS["quick"], changed), SPACE) is None
    finer = replace(PRESETS["quick"].training, learning_rate=0.00123456)  # than a trial's values are kept
    assert values_of(replace(PRESETS["quick"], training=finer), SPACE) is None


def test_what_float32_messages_lose_does_not_change_the_settings():
    base = PRESETS["quick"]
    generator = random.Random(3)
    for _ in range(200):
        rate = generator.uniform(1e-4, 1e-2)
        sent = float(np.float32(rate))
        assert configure(base, {"training.learning_rate": rate}) == configure(
            base, {"training.learning_rate": sent}
        )
