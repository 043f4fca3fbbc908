import numpy as np
import pytest

from kcseg.errors import InputError
from kcseg.training.checkpoint import TrainingState, load_state, save_state


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
