import numpy as np
import pytest
import tensorflow as tf
from skimage.measure import label

from kcseg.network.components import keep_largest_component


def spiral(size: int) -> np.ndarray:
    """A path one pixel wide that winds to the centre: the longest chain of runs a size allows."""
    mask = np.zeros((size, size), np.float32)
    row, column, turn = 0, 0, 0
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    length = size - 1
    mask[0, 0] = 1
    lengths = [length] + [step for step in range(length, 0, -2) for _ in range(2)]
    for length in lengths:
        for _ in range(length):
            row, column = row + steps[turn][0], column + steps[turn][1]
            mask[row, column] = 1
        turn = (turn + 1) % 4
    return mask


def expected(mask: np.ndarray, threshold: float, neighbours: int) -> np.ndarray:
    labels = label(mask > threshold, connectivity=1 if neighbours == 4 else 2)
    if labels.max() == 0:
        return np.zeros_like(mask)
    # scikit-image numbers in raster order, and argmax takes the first of equal areas
    return np.where(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]), mask, 0)


def masks_of_all_kinds() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    checkerboard = np.indices((9, 12)).sum(axis=0) % 2
    ring = np.pad(np.pad(np.ones((3, 3)), 2), 1, constant_values=1)
    twins = np.zeros((5, 9))
    twins[1:3, 6:8] = twins[2:4, 1:3] = 1
    return {
        "spiral": spiral(33),
        "spiral mirrored": spiral(33)[:, ::-1],
        "checkerboard": checkerboard,
        "empty": np.zeros((6, 7)),
        "full": np.ones((6, 7)),
        "one pixel": np.ones((1, 1)),
        "one row": random.integers(0, 2, (1, 50)),
        "one column": random.integers(0, 2, (50, 1)),
        "ring": ring,
        "equal areas": twins,
        "sparse noise": random.random((61, 47)) < 0.3,
        "critical noise": random.random((61, 47)) < 0.45,
        "dense noise": random.random((64, 64)) < 0.6,
        "soft noise": random.random((40, 40)),
    }


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("kind", masks_of_all_kinds())
def test_equals_scikit_image(kind, neighbours):
    mask = masks_of_all_kinds()[kind].astype(np.float32)
    kept = keep_largest_component(mask[None], threshold=0.5, neighbours=neighbours)[0]
    np.testing.assert_array_equal(kept, expected(mask, 0.5, neighbours))


@pytest.mark.parametrize("neighbours", [4, 8])
def test_masks_of_one_call_do_not_touch_each_other(neighbours):
    random = np.random.default_rng(3)
    masks = np.stack(
        [(random.random((20, 31)) < density).astype(np.float32) for density in np.linspace(0, 1, 30)]
    )
    kept = keep_largest_component(masks, threshold=0.5, neighbours=neighbours)
    np.testing.assert_array_equal(kept, [expected(mask, 0.5, neighbours) for mask in masks])


def test_runs_in_a_graph_of_unknown_size_and_without_any_mask():
    traced = tf.function(
        lambda masks: keep_largest_component(masks, threshold=0.2, neighbours=8),
        input_signature=[tf.TensorSpec((None, None, None), tf.float32)],
    )
    soft = np.random.default_rng(5).random((3, 17, 23)).astype(np.float32)
    np.testing.assert_array_equal(traced(soft), [expected(mask, 0.2, 8) for mask in soft])
    assert traced(np.zeros((0, 5, 5), np.float32)).shape == (0, 5, 5)
