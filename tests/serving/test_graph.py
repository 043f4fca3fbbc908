import io
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kcseg.config import EXPORT, ExportConfig
from kcseg.errors import InputError
from kcseg.image.window import window
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


def test_members_that_find_kidneys_give_them_beside_the_cortex(deeper, images):
    both = replace(deeper, network=replace(deeper.network, structures=("cortex", "kidney")))
    networks = [build_unet(both.network, seed=seed) for seed in range(3)]
    graph = EnsembleGraph(networks, both, EXPORT)
    hu = tf.constant(images, tf.float32)
    shares = np.stack([network(window(images, both.image.window_hu)[..., None]) for network in networks])
    raw = graph.raw(hu)
    for place, name in enumerate(("probability", "kidney_probability")):
        np.testing.assert_allclose(raw[name], np.median(shares[:, :2, :37, :50, place], axis=0), atol=1e-5)
    assert set(graph.segment(hu)) == {"mask", "probability", "disagreement", "kidney_probability"}
    assert set(EnsembleGraph(networks[:1], both, EXPORT).members(hu)) == {"soft_masks"}


def test_without_kidneys_raw_is_the_median_of_the_raw_members(deeper, images):
    networks = [build_unet(deeper.network, seed=seed) for seed in range(3)]
    graph = EnsembleGraph(networks, deeper, EXPORT)
    hu = tf.constant(images, tf.float32)
    raw = graph.raw(hu)
    assert set(raw) == {"probability", "disagreement"}
    members = graph.raw_members(hu)["soft_masks"]
    np.testing.assert_array_equal(raw["probability"], np.median(members, axis=1))
