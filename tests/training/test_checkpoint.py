import copy
import io
import zipfile

import h5py
import numpy as np
import pytest

from kcseg.config import NetworkConfig
from kcseg.errors import InputError
from kcseg.network.unet import build_unet
from kcseg.training.checkpoint import (
    TrainingState,
    arrays_in,
    load_pretrained,
    load_state,
    load_weights,
    save_pretrained,
    save_state,
)


@pytest.fixture
def state():
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)]
    return TrainingState([{"epoch": 1, "loss": 1 / 3}], 0, 0.1 + 0.2, arrays, arrays[:1])


def test_comes_back_bit_for_bit(tmp_path, state):
    save_state(tmp_path / "state.npz", state)
    found = load_state(tmp_path / "state.npz")
    assert (found.history, found.best_epoch, found.best_score) == (state.history, 0, state.best_score)
    for expected, array in zip(
        state.variables + state.best_weights, found.variables + found.best_weights, strict=True
    ):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("keep", [0, 1, 50, 0.5, -1])
def test_a_truncated_file_is_named(tmp_path, state, keep):
    path = tmp_path / "state.npz"
    save_state(path, state)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match=r"state\.npz is damaged"):
        load_state(path)


def test_pickles_are_never_opened(tmp_path):
    np.savez(tmp_path / "state.npz", facts=np.array({"history": []}, dtype=object))
    with pytest.raises(InputError, match="is damaged"):
        load_state(tmp_path / "state.npz")


def test_a_compressed_state_is_refused_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "state.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("facts.npy", bytes(100 << 20))
    with pytest.raises(InputError, match="unpacks to more than it holds"):
        load_state(tmp_path / "state.npz")


def test_a_text_that_is_none_is_refused(tmp_path):
    np.savez(tmp_path / "state.npz", facts=np.frombuffer(b"\xff" * 8, "<U2"))  # beyond Unicode
    with pytest.raises(InputError, match="is damaged"):
        load_state(tmp_path / "state.npz")


@pytest.fixture
def network():
    return build_unet(NetworkConfig(levels=1, filters=2), seed=0)


def external(group):
    group["0"] = h5py.ExternalLink("/etc/hostname", "/0")


def soft(group):
    group["0"] = h5py.SoftLink("/layers")


def elsewhere(group):
    group.create_dataset("0", (4,), "f4", external=[("/etc/hostname", 0, 16)])


def unpacking(group):
    group.create_dataset("0", (2**40,), "f4", chunks=(2**20,), compression="gzip")


@pytest.mark.parametrize("trick", [external, soft, elsewhere, unpacking])
def test_weights_that_reach_beyond_their_file_are_refused(tmp_path, network, trick):
    network.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        group = next(one for one in file["layers"].values() if "0" in one["vars"])["vars"]
        del group["0"]
        trick(group)
    with pytest.raises(InputError, match=r"has links|not stored in it as it is"):
        load_weights(tmp_path / "a.weights.h5", network)


def test_weights_that_are_missing_do_not_stay_random(tmp_path, network):
    network.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        del file["layers"]["conv2d"]
    with pytest.raises(InputError, match="cannot be loaded as weights of this network"):
        load_weights(tmp_path / "a.weights.h5", network)


def test_weights_of_another_network_are_refused(tmp_path, network):
    build_unet(NetworkConfig(levels=2, filters=4), seed=0).save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(InputError, match="cannot be loaded as weights of this network"):
        load_weights(tmp_path / "a.weights.h5", network)


def test_arrays_that_share_a_place_are_refused(tmp_path):
    content = io.BytesIO()
    np.save(content, np.zeros(1000))
    path = tmp_path / "twice.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", content.getvalue())
        archive.filelist += [copy.copy(archive.filelist[0]) for _ in range(9)]
        for number, entry in enumerate(archive.filelist):
            entry.filename = f"{number}.npy"
        archive.NameToInfo = {entry.filename: entry for entry in archive.filelist}
    with pytest.raises(ValueError, match="unpacks to more than it holds"):
        arrays_in(path.read_bytes())


def test_groups_linked_to_each_other_are_not_walked_for_ever(tmp_path, network):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("0")
        for _ in range(40):  # two ways down at each level: 2^40 ways through
            below = group.create_group("below")
            group["again"] = below
            group = below
    with pytest.raises(InputError, match="0 arrays instead of"):
        load_weights(path, network)


@pytest.mark.parametrize(
    "array", [np.full((3, 3, 1, 8), np.nan, np.float32), np.zeros((3, 3, 1, 8), np.int64)]
)
def test_pre_trained_weights_that_are_no_finite_numbers_are_refused(tmp_path, array):
    config = NetworkConfig(levels=2, filters=8)
    network = build_unet(config, seed=1)
    save_pretrained(tmp_path / "whole.npz", network)
    arrays = arrays_in((tmp_path / "whole.npz").read_bytes())
    name = next(name for name, found in arrays.items() if found.shape == array.shape)
    np.savez(tmp_path / "bad.npz", **{**arrays, name: array})
    with pytest.raises(InputError, match="no finite numbers"):
        load_pretrained(tmp_path / "bad.npz", config)


def test_a_network_too_large_for_its_weights_is_not_even_built(tmp_path, monkeypatch):
    save_pretrained(tmp_path / "small.npz", build_unet(NetworkConfig(levels=1, filters=2), seed=0))
    monkeypatch.setattr("kcseg.training.checkpoint.build_unet", None)  # fails where it is called
    with pytest.raises(
        InputError, match=r"small.npz was trained with another network: .* too few for \d{10} weights"
    ):
        load_pretrained(tmp_path / "small.npz", NetworkConfig(filters=1024))


def test_a_network_with_dropout_starts_from_pre_trained_weights(tmp_path):
    config = NetworkConfig(levels=2, filters=2, dropout=0.1)
    network = build_unet(config, seed=1)
    save_pretrained(tmp_path / "pretrained.npz", network)
    start = load_pretrained(tmp_path / "pretrained.npz", config)
    expected = {weight.path: weight.numpy() for weight in network.weights if "soft_mask" not in weight.path}
    assert start.keys() == expected.keys()
    for path, array in expected.items():
        np.testing.assert_array_equal(start[path], array)
