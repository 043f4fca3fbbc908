import keras
import numpy as np
import pytest

from kcseg.config import NetworkConfig
from kcseg.network.fold import fold_normalisation
from kcseg.network.unet import build_unet


def used_network(config: NetworkConfig) -> keras.Model:
    """A network whose averages, scales and shifts are no longer those it starts with."""
    network = build_unet(config, seed=1)
    random = np.random.default_rng(0)
    for _ in range(5):
        network(random.random((4, 48, 48, 1), dtype=np.float32), training=True)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, *averages = layer.get_weights()
            layer.set_weights(
                [random.uniform(0.5, 1.5, gamma.shape), random.normal(0, 0.2, beta.shape), *averages]
            )
    return network


def soft_masks(network: keras.Model, shape=(2, 48, 31, 1)) -> np.ndarray:
    return np.asarray(network(np.random.default_rng(1).random(shape, dtype=np.float32), training=False))


def in_float64(network: keras.Model) -> keras.Model:
    exact = keras.models.clone_model(
        network,
        clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float64"}),
    )
    exact.set_weights(network.get_weights())
    return exact


@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig(filters=4),
        NetworkConfig(levels=3, filters=4, upsampling="nearest", dropout=0.1, blocks_per_level=2),
    ],
    ids=["default", "all choices"],
)
def test_folding_adds_nothing_to_what_rounding_does(config):
    network = used_network(config)
    before = [weight.copy() for weight in network.get_weights()]
    exact = soft_masks(in_float64(network))
    np.testing.assert_allclose(
        soft_masks(fold_normalisation(network, dtype="float64")), exact, rtol=0, atol=1e-6
    )
    plain, folded = soft_masks(network), soft_masks(fold_normalisation(network))
    np.testing.assert_allclose(folded, plain, rtol=0, atol=1e-5)
    assert np.abs(folded - exact).mean() < 1.5 * np.abs(plain - exact).mean()
    assert all(np.array_equal(*pair) for pair in zip(before, network.get_weights(), strict=True))


def test_no_normalisation_is_left():
    folded = fold_normalisation(used_network(NetworkConfig(levels=2, filters=2)))
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    assert folded.get_layer("first_convolution").use_bias


def test_in_bfloat16_the_soft_mask_is_still_float32_and_close():
    network = used_network(NetworkConfig(levels=3, filters=4))
    folded = fold_normalisation(network, dtype="bfloat16")
    assert folded.get_layer("first_convolution").kernel.dtype == "bfloat16"
    found = soft_masks(folded)
    assert found.dtype == np.float32 and len(np.unique(found)) > 1000  # more values than bfloat16 has here
    difference = np.abs(found - soft_masks(network)).max()
    assert 0 < difference < 0.05
