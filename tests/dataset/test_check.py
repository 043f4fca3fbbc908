from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner

from kcseg.cli.check import check
from kcseg.dataset.check import check_folder
from kcseg.errors import InputError


def save(folder: Path, kind: str, name: str, array: np.ndarray) -> Path:
    path = folder / kind / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def draw_kidney(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A bright ring on fat, 96 x 96 pixels, HU from -100 to 170, and the ring."""
    random = np.random.default_rng(seed)
    distance = np.hypot(*(np.indices((96, 96)) - 48 + random.integers(-5, 5)))
    mask = (distance > 20) & (distance < 28)
    hu = np.where(mask, 160, np.where(distance < 20, 60, -90)) + random.integers(-10, 10, (96, 96))
    return hu.astype(np.int16), mask


@pytest.fixture
def challenge(tmp_path) -> Path:
    """A folder with nothing to mend and nothing to look at."""
    for index, name in enumerate(("train-1", "test")):
        for number in range(4):
            hu, mask = draw_kidney(10 * index + number)
            for kind, array in {"images": hu, "masks": mask, "truth": mask}.items():
                save(tmp_path / name, kind, f"{number:04}", array)
    return tmp_path


def test_sound_folder_is_described_without_faults_or_warnings(challenge):
    report = check_folder(challenge)
    assert report.faults == () and report.warnings == ()
    test, train = report.batches
    assert (test.name, train.name) == ("test", "train-1")
    assert train.images == train.masks == train.truth == 4
    assert train.formats == (".npy",) and train.sizes_px == ((96, 96),) and train.spacings_mm == ((1.0, 1.0),)
    hu = np.stack([np.load(path) for path in (challenge / "train-1" / "images").iterdir()])
    masks = np.stack([np.load(path) for path in (challenge / "train-1" / "masks").iterdir()])
    assert train.hu_range == (hu.min(), hu.max())
    assert train.cortex_mm2 == pytest.approx(masks.sum() / 4)


def test_all_faults_are_found_and_not_only_the_first(challenge):
    train = challenge / "train-1"
    save(train, "images", "0000", np.zeros((3, 96, 96), np.int16))
    save(train, "masks", "0001", np.zeros((90, 96), bool))
    (train / "masks" / "0002.npy").unlink()
    save(train, "masks", "0009", np.zeros((96, 96), bool))
    save(train, "truth", "0003", np.full((96, 96), 7))
    (train / "images" / "notes.txt").touch()
    (train / "batch.json").write_text("{")
    report = check_folder(challenge)
    assert report.passed_over == ("notes.txt",)
    wanted = ("no mask for", "no image for", "batch.json", "2D image", "90 x 96", "not binary")
    assert len(report.faults) == len(wanted)
    for words in wanted:
        assert sum(words in fault for fault in report.faults) == 1
    assert report.batches[1].images == 3 and report.batches[1].masks == 1


def test_an_unsound_offset_is_named_once_for_all_images(challenge):
    for number in (1, 2):
        hu = np.load(challenge / "test" / "images" / f"{number:04}.npy")
        (challenge / "test" / "images" / f"{number:04}.npy").unlink()
        stored = PIL.Image.fromarray((hu + 1024).astype(np.uint16))
        stored.save(challenge / "test" / "images" / f"{number:04}.png")
    (challenge / "test" / "batch.json").write_text('{"hu_offset": -1024}')
    assert check_folder(challenge).faults == ()
    (challenge / "test" / "batch.json").write_text('{"hu_offset": "-1024"}')
    (fault,) = check_folder(challenge).faults
    assert "whole number as hu_offset" in fault


def test_what_the_reader_noted_is_told(challenge):
    hu = np.load(challenge / "test" / "images" / "0000.npy")
    volume = nibabel.Nifti1Image(hu.T[::-1, np.newaxis, ::-1], np.eye(4))
    volume.set_qform(np.diag([-1.0, 1, 1, 1]), 1)
    (challenge / "test" / "images" / "0000.npy").unlink()
    nibabel.save(volume, challenge / "test" / "images" / "0000.nii")
    (warning,) = check_folder(challenge).warnings
    assert "0000.nii: qform and sform differ in side" in warning


def test_mask_of_an_unreadable_image_is_still_looked_at(challenge):
    (challenge / "test" / "images" / "0000.npy").write_bytes(b"broken")
    save(challenge / "test", "masks", "0000", np.full((96, 96), 7))
    assert len(check_folder(challenge).faults) == 2


def test_training_needs_masks_and_a_test_does_not(challenge):
    for name in ("train-1", "test"):
        (challenge / name / "masks").rename(challenge / name / "later")
    report = check_folder(challenge)
    assert report.faults == ("batch train-1 has no masks; training needs one per image",)
    assert [batch.cortex_mm2 for batch in report.batches] == [None, None]


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda hu, mask: ((hu + 150) / 350, mask), "scaled, not HU"),
        (lambda hu, mask: ((hu + 150) // 2, mask), "a picture, not HU"),
        (lambda hu, mask: (hu + 1024, mask), "neither fat nor air"),
        (lambda hu, mask: (hu, mask & False), "is empty"),
        (lambda hu, mask: (hu, mask & (np.indices(mask.shape)[0] < 28)), "far from the batch's median"),
        (lambda hu, mask: (hu, np.hypot(*(np.indices(mask.shape) - 48)) < 28), "mm thick"),
        (lambda hu, mask: (hu, hu < 0), "flipped or shifted"),
    ],
)
def test_doubtful_images_and_masks_are_named(challenge, change, words):
    hu, mask = change(*draw_kidney(3))
    save(challenge / "train-1", "images", "0003", hu)
    save(challenge / "train-1", "masks", "0003", mask)
    report = check_folder(challenge)
    assert report.faults == ()
    assert [warning for warning in report.warnings if words in warning and "0003.npy" in warning]
    assert not [warning for warning in report.warnings if "0003.npy" not in warning]


def test_image_in_two_batches_is_named_with_both_places(challenge):
    save(challenge / "test", "images", "0002", np.load(challenge / "train-1" / "images" / "0000.npy"))
    (warning,) = check_folder(challenge).warnings
    assert "test/images/0002.npy, " in warning and "train-1/images/0000.npy are the same image" in warning


def test_folder_without_batches_is_refused(tmp_path):
    with pytest.raises(InputError, match="no batch"):
        check_folder(tmp_path)


def test_command_prints_the_report_and_tells_by_its_exit_status(challenge):
    result = CliRunner().invoke(check, [str(challenge)])
    assert result.exit_code == 0 and "0 to mend, 0 to look at" in result.output
    save(challenge / "test", "images", "[red]", np.zeros((3, 3)))
    result = CliRunner().invoke(check, [str(challenge)])
    assert result.exit_code == 2 and "[red].npy" in result.output
