import shutil

import numpy as np
import pytest
import tensorflow as tf

from kcseg.config import ExportConfig
from kcseg.errors import InputError
from kcseg.files import read_json
from kcseg.image.window import window
from kcseg.network.components import keep_largest_component
from kcseg.network.fold import fold_normalisation
from kcseg.serving.export import export_run, versions
from kcseg.serving.runner import Ensemble
from kcseg.training.run import open_run


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(-1000, 400, (3, 37, 50)).astype(np.float32)


def test_equals_the_members_components_and_median_taken_one_by_one(trained_run, images):
    prepared = window(images, trained_run.config.image.window_hu)[..., np.newaxis]
    soft_masks = [
        keep_largest_component(
            np.asarray(trained_run.load_network(number)(prepared))[..., 0], threshold=0.5, neighbours=8
        ).numpy()
        for number in (1, 2, 3)
    ]
    ensemble = Ensemble.load(trained_run.folder)
    np.testing.assert_allclose(ensemble.soft_masks(images), np.stack(soft_masks, axis=1), atol=1e-5)
    found = ensemble.segment(images)
    np.testing.assert_allclose(found.probability, np.median(soft_masks, axis=0), atol=1e-5)
    np.testing.assert_allclose(found.disagreement, np.std(soft_masks, axis=0), atol=1e-5)
    np.testing.assert_array_equal(found.mask, found.probability > 0.5)
    assert found.mask.dtype == bool and found.probability.dtype == np.float32


@pytest.mark.parametrize("source", ["export", "weights"])
def test_the_largest_components_of_raw_masks_are_the_members_masks(trained_run, packed, images, source):
    ensemble = Ensemble.load(trained_run.folder if source == "export" else packed)
    raw, expected = ensemble.soft_masks(images, components=False), ensemble.soft_masks(images)
    assert raw.shape == (3, 3, 37, 50) and raw.dtype == np.float32
    found = keep_largest_component(raw.reshape(9, 37, 50), threshold=0.5, neighbours=8)
    np.testing.assert_array_equal(found.numpy().reshape(raw.shape), expected)
    assert (raw[expected == 0] > 0.5).any()  # something was taken away


def test_signatures_keep_their_names_and_dtypes(trained_run):
    model = tf.saved_model.load(str(trained_run.folder / "export" / "kcseg" / "1"))
    outputs = model.signatures["serving_default"].structured_outputs
    assert {name: spec.dtype for name, spec in outputs.items()} == {
        "mask": tf.uint8,
        "probability": tf.float32,
        "disagreement": tf.float32,
    }
    assert set(model.signatures) == {"serving_default", "int16", "png", "members", "raw_members", "raw"}
    for name in ("members", "raw_members"):
        (output,) = model.signatures[name].structured_outputs.items()
        assert output == ("soft_masks", tf.TensorSpec((None, 3, None, None), tf.float32, "soft_masks"))


def test_images_one_by_one_equal_images_in_batches(trained_run, images):
    ensemble = Ensemble.load(trained_run.folder)
    mixed = [images[0], images[1], images[2][:20], images[2]]
    each = list(ensemble.segment_each(mixed, batch_size=2))
    assert [found.mask.shape for found in each] == [image.shape for image in mixed]
    for image, found in zip(mixed, each, strict=True):
        np.testing.assert_allclose(found.probability, ensemble.segment(image[None]).probability[0], atol=1e-5)


def test_versions_count_up_and_the_newest_is_loaded(trained_run, images):
    first = trained_run.folder / "export" / "kcseg" / "1"
    written = (first / "saved_model.pb").stat().st_mtime_ns
    newest = versions(trained_run.export_folder)[-1]
    assert int(export_run(trained_run).name) == newest + 1
    assert (first / "saved_model.pb").stat().st_mtime_ns == written
    for path in (first, first.parent, trained_run.folder):
        assert Ensemble.load(path).segment(images).mask.shape == images.shape


def test_an_image_of_another_rank_is_an_error_and_no_abort(trained_run):
    ensemble = Ensemble.load(trained_run.folder)
    with pytest.raises(InputError, match=r"got shape \(37,\)"):
        ensemble.segment(np.zeros(37, np.float32))


def test_a_run_without_all_members_is_not_exported(tmp_path, rings, tiny):
    run = open_run(tmp_path, rings, tiny)
    with pytest.raises(InputError, match="lacks the members 1, 2, 3"):
        export_run(run)
    with pytest.raises(InputError, match="not exported yet"):
        Ensemble.load(tmp_path)


def test_a_folder_without_a_model_and_a_damaged_one_are_named(tmp_path):
    with pytest.raises(InputError, match="no exported ensemble"):
        Ensemble.load(tmp_path)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"\x00broken")
    with pytest.raises(InputError, match="cannot be loaded"):
        Ensemble.load(tmp_path)


def test_bfloat16_states_how_well_it_agrees(challenge_run, ring_challenge, images):
    folder = export_run(challenge_run, ExportConfig(precision="bfloat16"), data=ring_challenge)
    facts = read_json(folder / "assets.extra" / "manifest.json")
    assert facts["precision"] == "bfloat16" and 0.99 <= facts["agreement_with_float32"] <= 1
    assert Ensemble.load(folder).segment(images).probability.dtype == np.float32


def test_bfloat16_that_agrees_too_little_is_refused_and_leaves_nothing(
    challenge_run, ring_challenge, monkeypatch
):
    def worse(network, *, dtype, into):
        folded = fold_normalisation(network, dtype=dtype, into=into)
        if dtype == "bfloat16":
            folded.get_layer("soft_mask").bias.assign_sub([1.0])
        return folded

    monkeypatch.setattr("kcseg.serving.graph.fold_normalisation", worse)
    before = versions(challenge_run.export_folder)
    with pytest.raises(InputError, match=r"agree .* Dice of 0\.\d+ on 12 training images, less than 0.99"):
        export_run(challenge_run, ExportConfig(precision="bfloat16"), data=ring_challenge)
    assert versions(challenge_run.export_folder) == before


def test_bfloat16_needs_the_images_of_the_run(challenge_run, tmp_path, ring_challenge):
    with pytest.raises(InputError, match="name the challenge folder of the training"):
        export_run(challenge_run, ExportConfig(precision="bfloat16"))
    shutil.copytree(ring_challenge, tmp_path / "other")
    for kind in ("images", "masks"):
        (tmp_path / "other" / "train-1" / kind / "0003.npy").unlink()
    with pytest.raises(InputError, match=r"other does not hold the images these members were trained on"):
        export_run(challenge_run, ExportConfig(precision="bfloat16"), data=tmp_path / "other")


def test_folders_that_are_no_versions_are_passed_over(tmp_path):
    for name in ("1", "12", "0", "01", "²", "٣", "9" * 30, "v1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    assert versions(tmp_path) == [1, 12]
