import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcseg.config import NetworkConfig
from kcseg.network.unet import build_unet, count_parameters

SMALL = NetworkConfig(filters=2)


@pytest.mark.parametrize("shape", [(192, 192), (33, 50), (16, 16), (1, 1), (7, 64)])
def test_takes_images_of_any_size(shape):
    images = np.random.default_rng(0).random((2, *shape, 1), dtype=np.float32)
    soft_masks = np.asarray(build_unet(SMALL, seed=1)(images))
    assert soft_masks.shape == images.shape
    assert soft_masks.min() >= 0 and soft_masks.max() <= 1


@pytest.mark.parametrize("upsampling", ["nearest", "transpose"])
def test_every_level_reaches_the_output(upsampling):
    config = NetworkConfig(
        filters=4, upsampling=upsampling, blocks_per_level=2, dropout=0.1, skip_convolutions=2
    )
    network = build_unet(config, seed=1)
    image = np.random.default_rng(0).random((1, 96, 96, 1), dtype=np.float32)
    far = image.copy()
    far[0, :8, :8] += 5  # of the other corner only the lowest level sees anything
    change = np.abs(np.asarray(network(far)) - np.asarray(network(image)))
    assert change[0, 80:, 80:].max() > 0


def test_normalises_between_each_convolution_and_its_relu():
    names = [layer.name for layer in build_unet(SMALL, seed=1).layers]
    for name in names:
        if name.endswith("_convolution"):
            assert name.replace("_convolution", "_normalisation") in names
    images = np.random.default_rng(0).normal(5, 3, (4, 32, 32, 1)).astype(np.float32)
    network = build_unet(SMALL, seed=1)
    parts = [network.get_layer(f"first_{kind}").output for kind in ("convolution", "normalisation", "relu")]
    convolved, normalised, activated = map(
        np.asarray, keras.Model(network.input, parts)(images, training=True)
    )
    assert abs(normalised.mean()) < 0.01 and normalised.std() == pytest.approx(1, abs=0.01)
    assert np.corrcoef(convolved[..., 0].ravel(), normalised[..., 0].ravel())[0, 1] == pytest.approx(
        1, abs=1e-3
    )
    np.testing.assert_array_equal(activated, np.maximum(normalised, 0))


def test_equal_seeds_give_equal_weights_and_others_do_not():
    first, again, other = (build_unet(SMALL, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(first, other, strict=True))


def test_five_levels_double_their_filters():
    widths = {layer.filters for layer in build_unet(SMALL, seed=1).layers if hasattr(layer, "filters")}
    assert widths == {1, 2, 4, 8, 16, 32}


@settings(max_examples=20, deadline=None)
@given(
    st.builds(
        NetworkConfig,
        levels=st.integers(1, 5),
        filters=st.integers(1, 3),
        blocks_per_level=st.integers(1, 3),
        kernel_px=st.sampled_from([1, 3, 5]),
        upsampling=st.sampled_from(["nearest", "transpose"]),
        skip_convolutions=st.integers(0, 2),
        dropout=st.sampled_from([0.0, 0.2]),
    )
)
def test_weights_are_counted_without_building_them(config):
    assert count_parameters(config) == build_unet(config, seed=1).count_params()
