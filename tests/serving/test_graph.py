import io
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kcseg.config import EXPORT, ExportConfig
from kcseg.errors import InputError
from kcseg.network.unet import build_unet
from kcseg.serving.graph import EnsembleGraph


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(-1000, 400, (2, 37, 50)).astype(np.int16)


@pytest.fixture(scope="module")
def model(trained_run):
    return tf.saved_model.load(str(trained_run.export_folder / "1"))


def test_int16_and_png_equal_float32(model, images):
    expected = model.signatures["serving_default"](image=tf.constant(images, tf.float32))
    pictures = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray((image.astype(np.int32) - EXPORT.hu_offset).astype(np.uint16)).save(file, "PNG")
        pictures.append(file.getvalue())
    for found in (
        model.signatures["int16"](image=tf.constant(images)),
        model.signatures["png"](image_bytes=tf.constant(pictures)),
    ):
        assert set(found) == set(expected)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name], name)


def test_another_hu_offset_and_limit_reach_the_graph(deeper):
    networks = [build_unet(deeper.network, seed=seed) for seed in range(3)]
    graph = EnsembleGraph(networks, deeper, ExportConfig(hu_offset=-50, maximum_pixels=30))
    stored = tf.constant(np.arange(30).reshape(5, 6, 1) * 5, tf.uint16)
    found = graph.segment_png([tf.io.encode_png(stored)])
    expected = graph.segment(tf.cast(stored[None, ..., 0], tf.float32) - 50)
    np.testing.assert_array_equal(found["probability"], expected["probability"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 30 pixels"):
        graph.segment(tf.zeros((1, 31, 1)))


def test_bfloat16_is_close_and_answers_in_float32(deeper, images):
    networks = [build_unet(deeper.network, seed=seed) for seed in range(3)]
    exact = EnsembleGraph(networks, deeper, EXPORT)
    reduced = EnsembleGraph(networks, deeper, replace(EXPORT, precision="bfloat16"))
    hu = tf.constant(images, tf.float32)
    found, expected = reduced.members(hu)["soft_masks"], exact.members(hu)["soft_masks"]
    assert found.dtype == tf.float32
    pixels = (found > 0) & (expected > 0)  # elsewhere a component may have been another one
    assert 0 < np.abs(found - expected)[pixels].max() < 0.03


@pytest.mark.parametrize(
    "wrong", [{"precision": "float16"}, {"hu_offset": 70000}, {"maximum_pixels": 0}, {"sample_images": 0}]
)
def test_settings_that_cannot_be_are_named(wrong):
    with pytest.raises(InputError, match=f"'export.{next(iter(wrong))}'"):
        ExportConfig(**wrong)
