import numpy as np
from PIL import Image

from kcseg.page.figures import (
    BOTH,
    PREDICTION,
    REFERENCE,
    against_reference,
    around,
    disagreement_figure,
    overlay,
    overlay_figure,
    reference_figure,
    save_figures,
    scores_figure,
    segmentation_figure,
    training_figure,
)


def test_overlay_colours_the_mask_and_nothing_else():
    image = np.linspace(-150, 250, 100).reshape(10, 10)
    mask = np.eye(10, dtype=bool)
    picture = overlay(image, mask)
    grey = overlay(image, np.zeros_like(mask))
    np.testing.assert_array_equal(picture[~mask], grey[~mask])
    np.testing.assert_allclose(picture[mask], (grey[mask] + PREDICTION) / 2)
    np.testing.assert_allclose(grey[0, 0], 0)
    np.testing.assert_allclose(grey[-1, -1], 1)


def test_prediction_reference_and_both_have_colours_of_their_own():
    image = np.full((1, 4), -150.0)
    picture = against_reference(image, np.array([[1, 0, 1, 0]], bool), np.array([[0, 1, 1, 0]], bool))
    np.testing.assert_allclose(picture[0, :3], np.array([PREDICTION, REFERENCE, BOTH]) / 2)
    np.testing.assert_allclose(picture[0, 3], 0)


def test_figures_are_written_as_pictures(tmp_path):
    random = np.random.default_rng(0)
    images = [random.normal(0, 100, (20, 20)) for _ in range(2)]
    masks = [random.random((20, 20)) < 0.5 for _ in range(2)]
    folds = [random.random((3, 20, 20)) for _ in range(2)]
    history = [{"step": 10.0, "loss": 0.5, "val_dice": 0.7}, {"step": 20.0, "loss": 0.4, "val_dice": 0.8}]
    figures = {
        "segmentation": segmentation_figure(images, masks, masks, ["a", "b"]),
        "overlays": overlay_figure(images, masks, ["a", "b"]),
        "references": reference_figure(images[:1] * 3, masks[:1] * 3, masks[1:] * 3, ["a", "b", "c"]),
        "scores": scores_figure([0.1, 0.2, 0.2, 0.4], np.array([False, False, False, True])),
        "scores of which nothing is known": scores_figure([0.1, 0.2, 0.2], None),
        "disagreement": disagreement_figure(images, folds, ["a", "b"]),
        "training": training_figure({"member 1": history, "member 7": [{"step": 10.0, "loss": 0.6}]}),
    }
    written = save_figures(tmp_path, {name: (figure, f"The {name}.") for name, figure in figures.items()})
    assert written == [(tmp_path / f"{name}.png", f"The {name}.") for name in figures]
    for name in figures:
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"))
        assert min(pixels.shape[:2]) > 200 and pixels.std() > 10
    dice_axes, loss_axes = figures["training"].axes
    assert len(dice_axes.lines) == 1 and len(loss_axes.lines) == 2
    np.testing.assert_array_equal(dice_axes.lines[0].get_ydata(), [0.7, 0.8])


def test_pictures_are_cut_to_a_square_around_the_mask():
    mask = np.zeros((100, 80), bool)
    mask[40:61, 30:41] = True
    rows, columns = around(mask, margin_px=5)
    assert mask[rows, columns].shape == (31, 31) and mask[rows, columns].sum() == mask.sum()
    corner = np.zeros((100, 80), bool)
    corner[90:, 60:] = True
    assert corner[around(corner)].sum() == corner.sum()
    assert corner[around(corner)].shape == (48, 48)
    assert mask[around(np.ones_like(mask))].shape == mask.shape
    assert mask[around(np.zeros_like(mask))].shape == mask.shape
