import keras
import numpy as np
import pytest
import tensorflow as tf

from kcseg.network.normalisation import BatchNormalization

SHAPE = (3, 7, 5, 4)
PIXELS = 3 * 7 * 5


@pytest.fixture
def pair():
    """Ours and Keras' with equal weights, none of which is 0 or 1."""
    layers = BatchNormalization(momentum=0.8), keras.layers.BatchNormalization(momentum=0.8)
    random = np.random.default_rng(0)
    weights = [random.uniform(0.5, 2, SHAPE[-1:]) for _ in range(4)]
    for layer in layers:
        layer.build(SHAPE)
        layer.set_weights(weights)
    return layers


@pytest.fixture
def inputs():
    return tf.constant(np.random.default_rng(1).normal(3, 2, SHAPE), tf.float32)


def test_normalises_by_the_moving_statistics_as_keras_does(pair, inputs):
    found, expected = (layer(inputs, training=False) for layer in pair)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_normalises_and_learns_as_keras_does(pair, inputs):
    results = []
    for layer in pair:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs**3)
        results.append((outputs, *tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_moving_statistics_follow_those_of_the_batch(pair, inputs):
    ours, _ = pair
    mean, variance = (np.array(moving) for moving in (ours.moving_mean, ours.moving_variance))
    ours(inputs, training=True)
    pixels = inputs.numpy().reshape(PIXELS, -1).astype(np.float64)
    np.testing.assert_allclose(ours.moving_mean, 0.8 * mean + 0.2 * pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(ours.moving_variance, 0.8 * variance + 0.2 * pixels.var(0, ddof=1), rtol=1e-5)


def test_weights_that_keras_saved_fit(tmp_path, inputs):
    def network(layer):
        return keras.Sequential([keras.Input(SHAPE[1:]), layer])

    theirs, ours = network(keras.layers.BatchNormalization()), network(BatchNormalization())
    theirs.layers[0].set_weights([np.full(SHAPE[-1], value) for value in (2.0, 0.5, 3.0, 4.0)])
    theirs.save_weights(tmp_path / "a.weights.h5")
    ours.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_allclose(ours(inputs), theirs(inputs), rtol=1e-5, atol=1e-5)
