import csv

import nibabel
import numpy as np
import PIL.Image
import pytest

from kcseg.errors import InputError
from kcseg.prediction.expectation import Expectation
from kcseg.prediction.predict import predict_files
from kcseg.prediction.result import on_grid
from kcseg.serving.contract import KIDNEY, OUTPUTS, outputs_with_kidney
from kcseg.serving.runner import Ensemble, Segmentation

RADIUS_MM, SOFT_MM = 30.0, 4.0


class Disc:
    """Stands in for a model: a disc of cortex in the middle, its edge four millimetres soft."""

    outputs = OUTPUTS

    def __init__(self, threshold=0.5):
        self.threshold = threshold

    def __call__(self, signature, images):
        rows, columns = np.indices(images.shape[1:])
        centre = [(side - 1) / 2 for side in images.shape[1:]]
        distance = np.hypot(rows - centre[0], columns - centre[1])
        probability = np.clip((RADIUS_MM - distance) / SOFT_MM + 0.5, 0, 1).astype(np.float32)
        answer = np.repeat(probability[np.newaxis], len(images), axis=0)
        mask = (answer > self.threshold).astype(np.uint8)
        return {"mask": mask, "probability": answer, "disagreement": 0.1 * answer}


def write_slice(path, spacing_mm):
    """A NIfTI slice of 120 x 120 mm with pixels of (height, width) mm."""
    height_mm, width_mm = spacing_mm
    shape = round(120 / width_mm), 1, round(120 / height_mm)
    hu = np.random.default_rng(0).normal(40, 60, shape).astype(np.float32) - 100
    nibabel.save(nibabel.Nifti1Image(hu, np.diag([width_mm, 5.0, height_mm, 1.0])), path)
    return path


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (2.0, 1.0), (0.7, 0.7), (0.5, 1.5)])
def test_the_table_states_the_area_of_the_mask_that_is_written(tmp_path, spacing_mm):
    image = write_slice(tmp_path / "slice.nii", spacing_mm)
    (row,) = predict_files(Ensemble(Disc()), {"slice": image}, tmp_path / "out")
    mask = np.asarray(PIL.Image.open(tmp_path / "out" / "masks" / "slice.png")) > 0
    written_mm2 = mask.sum() * spacing_mm[0] * spacing_mm[1]
    assert row.cortex_mm2 == pytest.approx(written_mm2, abs=0.05)
    assert written_mm2 == pytest.approx(np.pi * RADIUS_MM**2, rel=0.01)
    with (tmp_path / "out" / "table.csv").open() as file:
        assert float(next(csv.DictReader(file))["cortex_mm2"]) == row.cortex_mm2


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_the_probability_is_cut_where_the_model_cuts_it(threshold):
    answer = Disc(threshold)("", np.zeros((1, 120, 120), np.float32))
    found = Segmentation(*(answer[name][0] for name in ("mask", "probability", "disagreement")))
    found = Segmentation(found.mask.astype(bool), found.probability, found.disagreement)
    finer = on_grid(found, (480, 480))
    expected = np.pi * (RADIUS_MM + SOFT_MM * (0.5 - threshold)) ** 2
    assert finer.mask.sum() / 16 == pytest.approx(expected, rel=0.02)
    assert on_grid(found, (120, 120)) is found


def test_an_empty_mask_stays_empty():
    empty = Segmentation(np.zeros((20, 20), bool), np.full((20, 20), 0.4, np.float32), np.zeros((20, 20)))
    assert not on_grid(empty, (33, 47)).mask.any()


def test_other_files_in_the_way_are_named_and_left_alone(tmp_path):
    image = write_slice(tmp_path / "slice.nii", (1.0, 1.0))
    drawn = tmp_path / "masks" / "slice.png"
    drawn.parent.mkdir()
    drawn.write_bytes(b"drawn by hand")
    with pytest.raises(InputError, match="not written by kcseg"):
        predict_files(Ensemble(Disc()), {"slice": image}, tmp_path, force=True)
    assert drawn.read_bytes() == b"drawn by hand" and not (tmp_path / "table.csv").exists()


def test_a_second_prediction_replaces_the_first_and_spares_what_is_not_its_own(tmp_path):
    images = {name: write_slice(tmp_path / f"{name}.nii", (1.0, 1.0)) for name in ("a", "b")}
    out = tmp_path / "out"
    predict_files(Ensemble(Disc()), images, out)
    (out / "masks" / "mine.png").write_bytes(b"drawn by hand")
    predict_files(Ensemble(Disc()), {"b": images["b"]}, out, force=True)
    assert {path.name for path in (out / "masks").iterdir()} == {"b.png", "b.nii.gz", "mine.png"}
    assert {path.name for path in (out / "overlays").iterdir()} == {"b.png"}


def test_thin_cortex_keeps_its_area_on_coarser_pixels():
    """A ring two pixels thick whose probability is 0.9 inside and 0.02 outside: means over pixels would cut it away."""
    rows, columns = np.indices((200, 200))
    ring = np.abs(np.hypot(rows - 99.5, columns - 99.5) - 60) < 1
    probability = np.where(ring, 0.9, 0.02).astype(np.float32)
    found = Segmentation(ring, probability, np.zeros_like(probability))
    for shape in ((100, 200), (200, 100), (140, 140)):
        scale = (200 / shape[0]) * (200 / shape[1])
        assert on_grid(found, shape).mask.sum() * scale == pytest.approx(ring.sum(), rel=0.08)


class Kidneys:
    """Stands in for a model: a kidney with a rim of cortex in the middle, of which the members are less sure where
    the image is noisy."""

    outputs = outputs_with_kidney()

    def __call__(self, signature, images):
        rows, columns = np.indices(images.shape[1:])
        distance = np.hypot(rows - 59.5, columns - 59.5)
        kidney = np.repeat((distance < RADIUS_MM)[np.newaxis], len(images), axis=0).astype(np.float32)
        cortex = kidney * (distance > RADIUS_MM - 7)
        spread = images[:, :20, :20].std(axis=(1, 2), keepdims=True) / 100
        return {"probability": cortex, "disagreement": cortex * spread, KIDNEY: kidney}


def write_kidney(path, noise_hu, medulla_hu=80.0):
    """A crop with the kidney that `Kidneys` sees."""
    rows, columns = np.indices((120, 120))
    distance = np.hypot(rows - 59.5, columns - 59.5)
    hu = np.select([distance < RADIUS_MM - 7, distance < RADIUS_MM], [medulla_hu, 180.0], -100.0)
    np.save(path, (hu + np.random.default_rng(0).normal(0, noise_hu, hu.shape)).astype(np.float32))
    return path


def expecting_by_disagreement():
    """What a card states: where the members agree a Dice of about 0.9, else less."""
    coefficients = [[constant, -1.5, *[0.0] * 8] for constant in (-4.0, -3.5, -3.0)]
    expectation = Expectation(coefficients, lowest=[-20.0] * 9, highest=[20.0] * 9)
    return {"expected_dice": expectation.facts()}


def test_masks_of_which_little_is_expected_come_first(tmp_path):
    images = {
        "calm": write_kidney(tmp_path / "calm.npy", 5),
        "noisy": write_kidney(tmp_path / "noisy.npy", 60),
        "alike": write_kidney(tmp_path / "alike.npy", 5, medulla_hu=180.0),
    }
    ensemble = Ensemble(Kidneys(), card=expecting_by_disagreement())
    calm, noisy, alike = predict_files(ensemble, images, tmp_path / "out")
    assert calm.expected_dice_low < calm.expected_dice < calm.expected_dice_high
    assert noisy.expected_dice < 0.8 < calm.expected_dice
    assert alike.cortex_mm2 is None and alike.expected_dice is None and "look alike" in alike.note
    page = (tmp_path / "out" / "index.html").read_text()
    order = [page.index(f'<figure id="{name}"') for name in ("noisy", "alike", "calm")]
    assert order == sorted(order)
    assert noisy.note == "expected Dice below 0.8" and not calm.note


def test_without_a_card_no_dice_is_expected(tmp_path):
    image = write_kidney(tmp_path / "one.npy", 5)
    (row,) = predict_files(Ensemble(Kidneys()), {"one": image}, tmp_path / "out")
    assert row.expected_dice is None and row.cortex_mm2 > 0 and not row.note


def test_a_card_of_other_features_is_refused(tmp_path):
    image = write_kidney(tmp_path / "one.npy", 5)
    with pytest.raises(InputError, match="another kcseg"):
        card = {"expected_dice": {"features": ["weather"]}}
        predict_files(Ensemble(Kidneys(), card=card), {"one": image}, tmp_path / "out")
