import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.spatial.distance import dice as dissimilarity

from kcseg.cli.score import score as score_command
from kcseg.config import EnsembleConfig
from kcseg.dataset.batch import Batch
from kcseg.errors import InputError
from kcseg.image.formats import write_mask
from kcseg.study.known import Known
from kcseg.study.scores import Scores, dice, evaluate, score, score_folders, score_rows


def box(top: int, height: int) -> np.ndarray:
    mask = np.zeros((20, 20), bool)
    mask[top : top + height, :10] = True
    return mask


def test_dice_by_hand():
    assert dice(box(0, 4), box(2, 4)) == 2 * 20 / (40 + 40)
    assert dice(box(0, 4), box(0, 2)) == 2 * 20 / (40 + 20)
    assert dice(box(0, 4), box(10, 4)) == 0


def test_dice_of_empty_masks():
    assert dice(box(0, 0), box(0, 0)) == 1
    assert dice(box(0, 0), box(0, 1)) == 0


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_dice_agrees_with_scipy_and_has_no_sides(data):
    shape = data.draw(array_shapes(min_dims=2, max_dims=2))
    one, other = (data.draw(arrays(bool, shape)) for _ in range(2))
    assert dice(one, other) == dice(other, one)
    if one.any() or other.any():
        assert dice(one, other) == pytest.approx(1 - dissimilarity(one.ravel(), other.ravel()))


def test_dice_of_different_shapes_is_refused():
    with pytest.raises(InputError, match=r"got \(20, 20\) and \(20, 19\)"):
        dice(box(0, 1), box(0, 1)[:, 1:])


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Predictions as PNG in masks/ and references as npy: 0.5 and 1."""
    predictions, references = tmp_path / "predictions", tmp_path / "references"
    write_mask(predictions / "masks" / "a.png", box(0, 4))
    write_mask(references / "a.npy", box(2, 4))
    write_mask(predictions / "masks" / "b.png", box(0, 4))
    write_mask(references / "b.npy", box(0, 4))
    return predictions, references


def test_masks_are_paired_by_id_whatever_their_format(folders):
    assert score_folders(*folders) == {"a": 0.5, "b": 1.0}


def test_masks_without_a_partner_are_named(folders):
    predictions, references = folders
    write_mask(references / "c.npy", box(0, 1))
    with pytest.raises(InputError, match=r"no prediction for .*c\.npy"):
        score_folders(predictions, references)
    (references / "c.npy").unlink()
    (references / "b.npy").unlink()
    with pytest.raises(InputError, match=r"no reference for .*b\.png"):
        score_folders(predictions, references)


def test_masks_on_different_grids_are_refused(folders):
    write_mask(folders[1] / "a.npy", box(2, 4)[:, :18])
    with pytest.raises(InputError, match=r"different grids \(20 x 20 pixels and 20 x 18 pixels\)"):
        score_folders(*folders)


def test_command_prints_the_scores_and_writes_a_table_once(folders, tmp_path):
    table = tmp_path / "scores.csv"
    arguments = [str(path) for path in folders] + ["--csv", str(table)]
    result = CliRunner().invoke(score_command, arguments)
    assert result.exit_code == 0 and "mean of 2" in result.output and "0.7500" in result.output
    with table.open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"id": "a", "dice": "0.5"}, {"id": "b", "dice": "1.0"}]
    refused = CliRunner().invoke(score_command, arguments)
    assert refused.exit_code == 2 and "--force" in refused.output
    assert CliRunner().invoke(score_command, [*arguments, "--force"]).exit_code == 0


class Told:
    """Stands in for the ensemble: gives the soft masks it was given, one image after the other."""

    finds_kidneys = False

    def __init__(self, soft_masks):
        self._soft_masks = iter(soft_masks)

    def soft_masks(self, images, *, components):
        assert components
        return next(self._soft_masks)[np.newaxis]


@pytest.fixture
def case():
    """Soft masks of seven members, and images whose cortex is known; no two have one size."""
    random = np.random.default_rng(0)
    sizes = [(20, 30), (24, 16), (9, 9)]
    soft = [random.random((7, *size)).astype(np.float32) for size in sizes]
    references, truth = (tuple(random.random(size) < share for size in sizes) for share in (0.4, 0.2))
    images = tuple(np.zeros(size, np.float32) for size in sizes)
    return soft, Known(Batch("test", ("a", "b", "c"), images, references), truth)


def test_members_mean_and_median_against_reference_and_truth(case):
    soft, known = case
    stages = []
    found = evaluate(Told(soft), known, EnsembleConfig(), lambda *told: stages.append(told))
    assert list(found) == [*(f"member-{number}" for number in range(1, 8)), "mean", "median"]
    for kind, against in (("reference", known.references), ("truth", known.truth)):
        for image in range(3):
            for name, expected in (
                ("member-3", soft[image][2]),
                ("mean", soft[image].mean(axis=0)),
                ("median", np.median(soft[image], axis=0)),
            ):
                assert getattr(found[name], kind)[image] == dice(expected > 0.5, against[image])
    assert stages == [("scoring", done, 3) for done in (1, 2, 3)]


def test_rows_are_means_over_the_images(case):
    found = evaluate(Told(case[0]), case[1], EnsembleConfig())
    row = score_rows(found)[-1]
    assert list(row) == ["name", "dice_reference", "dice_truth"] and row["name"] == "median"
    assert row["dice_reference"] == pytest.approx(found["median"].reference.mean(), abs=5.1e-5)
    assert row["dice_truth"] == pytest.approx(found["median"].truth.mean(), abs=5.1e-5)


def test_without_truth_nothing_is_held_against_it(case):
    found = evaluate(Told(case[0]), Known(case[1].batch), EnsembleConfig())
    assert {row["dice_truth"] for row in score_rows(found)} == {None}


def test_masks_of_fewer_images_than_there_are_cannot_be_scored(case):
    with pytest.raises(ValueError, match="longer"):
        score([{"drawn": mask} for mask in case[1].references[:2]], case[1])


def test_a_difference_is_paired():
    ours, theirs = Scores(np.array([0.9, 0.8]), np.array([0.7, 0.7])), Scores(np.array([0.8, 0.9]))
    np.testing.assert_allclose((ours - theirs).reference, [0.1, -0.1])
    assert (ours - theirs).truth is None
    np.testing.assert_array_equal((ours - ours).truth, [0, 0])
