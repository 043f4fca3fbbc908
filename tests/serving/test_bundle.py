import shutil
from dataclasses import replace

import numpy as np
import pytest

from kcseg.errors import InputError
from kcseg.files import read_json, sha256, write_json
from kcseg.network.unet import build_unet
from kcseg.serving import bundle
from kcseg.serving.bundle import is_bundle, load_bundle, shipped_weights, write_weights
from kcseg.serving.export import export_model, exported
from kcseg.serving.runner import Ensemble


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(-1000, 400, (3, 37, 50)).astype(np.float32)


@pytest.fixture
def copy(tmp_path, packed):
    return shutil.copytree(packed, tmp_path / "copy")


def replace_array(folder, path, array):
    """Put an array into the first member's file, and its new hash into the card, as a forger would."""
    with np.load(folder / "member-1.npz") as arrays:
        changed = {**arrays, path: array}
    np.savez(folder / "member-1.npz", **{name: value for name, value in changed.items() if value is not None})
    state_hash(folder, "member-1.npz")


def state_hash(folder, name):
    card = read_json(folder / "card.json")
    card["files"][name] = sha256(folder / name)
    write_json(folder / "card.json", card)


def test_float32_weights_are_the_runs_bit_for_bit(tmp_path, trained_run):
    facts = write_weights(tmp_path, trained_run, "float32")
    packed = bundle.Bundle(tmp_path, trained_run.config, facts)
    for number in (1, 2, 3):
        for ours, theirs in zip(
            packed.load_network(number).variables, trained_run.load_network(number).variables, strict=True
        ):
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_float16_rounds_kernels_and_leaves_statistics_exact(packed, trained_run):
    for ours, theirs in zip(
        load_bundle(packed).load_network(1).variables, trained_run.load_network(1).variables, strict=True
    ):
        found, exact = np.asarray(ours), np.asarray(theirs)
        rounded = exact.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(found, rounded if exact.ndim > 1 else exact)
    with np.load(packed / "member-1.npz") as arrays:
        assert {arrays[name].dtype.name for name in arrays.files} == {"float16", "float32"}


def test_a_variance_beyond_float16_is_kept_and_a_kernel_beyond_it_refused(tmp_path, trained_run):
    class Large:
        config = trained_run.config

        def load_network(self, number):
            network = trained_run.load_network(number)
            for variable in network.variables:
                if variable.path.endswith(self.ending):
                    variable.assign(variable + 1e5)
            return network

    large = Large()
    large.ending = "moving_variance"
    facts = write_weights(tmp_path / "variance", large, "float16")
    network = bundle.Bundle(tmp_path / "variance", large.config, facts).load_network(1)
    variances = [np.asarray(v) for v in network.variables if v.path.endswith("moving_variance")]
    assert all(np.isfinite(v).all() and v.min() >= 1e5 for v in variances)
    large.ending = "kernel"
    with pytest.raises(InputError, match="member 1 cannot be written as float16"):
        write_weights(tmp_path / "kernel", large, "float16")


def test_the_ensemble_segments_as_its_export_does(tmp_path, packed, images):
    ours = Ensemble.load(packed)
    written = export_model(packed, tmp_path / "export")
    assert written == tmp_path / "export" / "1"
    theirs = Ensemble.load(tmp_path / "export")
    np.testing.assert_allclose(ours.soft_masks(images), theirs.soft_masks(images), atol=1e-5)
    np.testing.assert_array_equal(ours.segment(images).mask, theirs.segment(images).mask)
    manifest = read_json(written / "assets.extra" / "manifest.json")
    assert manifest["members"] == read_json(packed / "card.json")["members"]


def test_an_export_of_weights_needs_a_place_and_leaves_them_as_they_are(packed):
    before = sorted(path.name for path in packed.rglob("*"))
    with pytest.raises(InputError, match="name a folder to export to"):
        export_model(packed)
    with exported(packed) as folder:
        assert (folder / "1" / "saved_model.pb").is_file()
    assert not folder.exists()
    assert sorted(path.name for path in packed.rglob("*")) == before


def test_what_is_no_bundle_is_served_as_it_is(trained_run):
    with exported(trained_run.folder) as folder:
        assert folder == trained_run.folder
    assert folder.is_dir()


@pytest.mark.parametrize("name", ["member-2.npz", "config.json"])
def test_a_changed_bit_or_a_missing_file_is_named_before_it_is_used(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} is missing or not what card.json states"):
        Ensemble.load(copy)
    (copy / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing or not what card.json states"):
        Ensemble.load(copy)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({}, "does not describe"),
        ([], "does not describe"),
        ({"format": "kcseg weights 2", "files": {}}, "update kcseg"),
        ({"format": bundle.FORMAT, "files": {}}, r"config.json is missing or not what"),
    ],
)
def test_a_foreign_card_is_refused(copy, card, message):
    write_json(copy / "card.json", card)
    with pytest.raises(InputError, match=message):
        load_bundle(copy)


def test_a_card_without_the_facts_of_a_member_is_refused(copy):
    card = read_json(copy / "card.json")
    del card["members"]["member-3"]
    write_json(copy / "card.json", card)
    with pytest.raises(InputError, match="lacks 'member-3'"):
        load_bundle(copy)


def test_a_missing_card_is_named(copy):
    (copy / "card.json").unlink()
    assert is_bundle(copy)
    with pytest.raises(InputError, match=r"cannot read .*card.json"):
        Ensemble.load(copy)


@pytest.mark.parametrize(
    ("path", "array", "message"),
    [
        ("soft_mask/bias", None, "soft_mask/bias is missing"),
        ("other/kernel", np.zeros(3, np.float32), "other/kernel is not of it"),
        ("soft_mask/bias", np.zeros(2, np.float32), r"of shape \(1,\)"),
        ("soft_mask/bias", np.full(1, np.nan, np.float32), "finite"),
        ("soft_mask/bias", np.array(["a"]), "more than numbers"),
        ("soft_mask/bias", np.array([None]), "Object arrays cannot be loaded"),
    ],
)
def test_arrays_of_another_network_are_refused_whatever_the_card_says(copy, path, array, message):
    replace_array(copy, path, array)
    with pytest.raises(InputError, match=message):
        Ensemble.load(copy)


def test_bfloat16_of_weights_is_checked_on_their_training_images(tmp_path, packed, ring_challenge):
    from kcseg.config import ExportConfig

    reduced = ExportConfig(precision="bfloat16")
    with pytest.raises(InputError, match="name the challenge folder of the training"):
        export_model(packed, tmp_path, reduced)
    written = export_model(packed, tmp_path, reduced, data=ring_challenge)
    assert read_json(written / "assets.extra" / "manifest.json")["agreement_with_float32"] > 0.99


def test_the_weights_kcseg_comes_with_are_whole_and_small():
    shipped = load_bundle(shipped_weights())
    assert shipped.config.members == 7
    for number in shipped.config.member_numbers:
        shipped.load_network(number)
    assert sum(path.stat().st_size for path in shipped.folder.iterdir()) < 40e6


def test_an_installation_without_weights_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle.kcseg, "__file__", str(tmp_path / "kcseg" / "__init__.py"))
    with pytest.raises(InputError, match="no weights came with this kcseg"):
        Ensemble.load()


def test_settings_of_a_network_larger_than_its_weights_are_refused_before_it_is_built(copy, monkeypatch):
    settings = read_json(copy / "config.json")
    settings["network"] |= {"filters": 1024, "blocks_per_level": 4}  # tens of GiB
    write_json(copy / "config.json", settings)
    state_hash(copy, "config.json")
    monkeypatch.setattr(bundle, "build_unet", None)  # fails where it is called
    with pytest.raises(InputError, match=r"member-1.npz was trained with another network: .* too few"):
        Ensemble.load(copy)


def test_weights_of_networks_with_dropout_are_taken_too(tmp_path, tiny):
    class Trained:
        config = replace(tiny, network=replace(tiny.network, dropout=0.2))

        def load_network(self, number):
            return build_unet(self.config.network, seed=number)

    card = write_weights(tmp_path, Trained(), "float32")
    packed = bundle.Bundle(tmp_path, Trained.config, card)
    for number in Trained.config.member_numbers:
        written, read = Trained().load_network(number).weights, packed.load_network(number).weights
        for ours, theirs in zip(written, read, strict=True):
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
