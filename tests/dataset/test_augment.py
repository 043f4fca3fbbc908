import numpy as np
import pytest

from kcseg.config import AugmentationConfig
from kcseg.dataset.augment import Augmenter
from kcseg.image.window import window

STILL = AugmentationConfig(0.0, 0.0, (1.0, 1.0), (0.0, 0.0), 0.0, 0.0)


def prepared(rings):
    return window(np.stack(rings.images), (-150, 200)), np.stack(rings.masks).astype(np.uint8)[..., None]


def test_without_ranges_nothing_changes(rings):
    images, masks = prepared(rings)
    changed, moved = Augmenter(STILL)(images, masks, seed=1)
    np.testing.assert_allclose(changed, images, atol=1e-6)
    np.testing.assert_array_equal(moved, masks)


def test_image_and_mask_move_together(rings):
    _, masks = prepared(rings)
    moving = AugmentationConfig(6.0, 40.0, (0.8, 1.2), (0.0, 0.0), 0.0, 0.0)
    changed, moved = Augmenter(moving)(masks[..., 0].astype(np.float32), masks, seed=3)
    assert (moved != masks).any(axis=(1, 2)).all()
    assert np.abs((changed > 0.5) != (moved[..., 0] > 0)).mean() < 0.01


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("translation", {"translation_px": 8.0}),
        ("rotation", {"rotation_degrees": 45.0}),
        ("zoom", {"zoom": (0.6, 0.8)}),
        ("noise", {"noise_deviation": (0.05, 0.05)}),
        ("brightness", {"brightness": 0.2}),
        ("contrast", {"contrast": 0.3}),
    ],
)
def test_each_of_the_papers_six_changes_the_image(rings, kind, changes):
    images, masks = prepared(rings)
    config = AugmentationConfig(**{**vars(STILL), **changes})
    changed, moved = Augmenter(config)(images, masks, seed=1)
    assert np.abs(changed - images).mean() > 0.003
    assert (moved != masks).any() == (kind in ("translation", "rotation", "zoom"))


def test_noise_differs_between_the_images_of_a_batch():
    flat = np.full((2, 32, 32), 0.5, np.float32)
    noisy = AugmentationConfig(0.0, 0.0, (1.0, 1.0), (0.05, 0.05), 0.0, 0.0)
    changed, _ = Augmenter(noisy)(flat, flat.astype(np.uint8)[..., None], seed=1)
    assert changed.std() == pytest.approx(0.05, rel=0.1)
    assert not np.array_equal(changed[0], changed[1])


def test_equal_seeds_give_equal_bytes_whatever_came_before(rings):
    images, masks = prepared(rings)
    augmenter, fresh = Augmenter(AugmentationConfig()), Augmenter(AugmentationConfig())
    augmenter(images, masks, seed=8)
    for used, unused in zip(augmenter(images, masks, seed=4), fresh(images, masks, seed=4), strict=True):
        assert used.tobytes() == unused.tobytes()
    assert fresh(images, masks, seed=5)[0].tobytes() != augmenter(images, masks, seed=4)[0].tobytes()


def test_a_square_is_cut_from_the_middle(rings):
    images, masks = prepared(rings)
    cropping = AugmentationConfig(**{**vars(STILL), "crop_px": 20})
    cut, outlines = Augmenter(cropping)(images, masks, seed=1)
    np.testing.assert_allclose(cut, images[:, 6:26, 6:26], atol=1e-6)
    np.testing.assert_array_equal(outlines, masks[:, 6:26, 6:26])
