import contextlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from kcseg.dataset.batch import (
    Batch,
    find_batches,
    read_batch,
    read_truth,
    training_batch,
)
from kcseg.errors import InputError
from kcseg.image.formats import write_mask
from kcseg.image.listing import list_images, list_masks
from kcseg.image.png import stated_hu_offset


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


@pytest.fixture
def challenge(tmp_path) -> Path:
    """Two training batches and a test batch of three small pairs each."""
    random = np.random.default_rng(0)
    for name in ("train-1", "train-2", "test"):
        for number in range(3):
            save(tmp_path / name / "images" / f"{number:04}.npy", random.integers(-900, 900, (20, 24)))
            save(tmp_path / name / "masks" / f"{number:04}.npy", random.random((20, 24)) > 0.5)
    return tmp_path


def refusal(read, *arguments) -> str:
    with pytest.raises(InputError) as caught:
        read(*arguments)
    return str(caught.value)


def test_batches_are_found_by_name(challenge):
    save(challenge / "notes" / "a.npy", np.zeros(3))
    save(challenge / ".hidden" / "images" / "a.npy", np.zeros(3))
    (challenge / "long").symlink_to("x" * 300)
    assert find_batches(challenge) == {name: challenge / name for name in ("test", "train-1", "train-2")}
    assert find_batches(challenge, "test") == {"test": challenge / "test"}


@pytest.mark.parametrize("name", ["images", "masks", "truth", "batch.json"])
def test_links_to_names_that_no_disk_holds_are_read_or_refused(challenge, name):
    batch = challenge / "train-1"
    if (batch / name).exists():
        (batch / name).rename(batch / "before")
    (batch / name).symlink_to("x" * 300)
    for read in (find_batches, read_batch, stated_hu_offset, list_images, list_masks):
        with contextlib.suppress(InputError):
            read(batch)
    with contextlib.suppress(InputError):
        read_truth(batch, ("0000",))


def test_folder_with_images_counts_as_one_training_batch(challenge):
    assert find_batches(challenge / "train-1") == {"train": challenge / "train-1"}
    assert find_batches(challenge / "train-1", "test") == {}
    assert training_batch(challenge / "train-1").ids == ("train/0000", "train/0001", "train/0002")


def test_folder_without_batches_or_with_others_is_refused(challenge, tmp_path):
    assert "no batch in" in refusal(find_batches, challenge / "train-1" / "masks")
    assert "cannot list" in refusal(find_batches, tmp_path / "missing")
    (challenge / "train-2").rename(challenge / "second")
    assert "got second; rename it" in refusal(find_batches, challenge)
    (challenge / "second").rename(challenge / "train\n2")
    assert r"got 'train\n2' in" in refusal(find_batches, challenge)


def test_batch_holds_images_in_hu_and_masks_in_the_order_of_ids(challenge):
    batch = read_batch(challenge / "train-1")
    assert batch.name == "train-1" and len(batch) == 3 and batch.ids == ("0000", "0001", "0002")
    for name, image, mask in zip(batch.ids, batch.images, batch.masks, strict=True):
        assert image.dtype == np.float32 and mask.dtype == bool
        np.testing.assert_array_equal(image, np.load(challenge / "train-1" / "images" / f"{name}.npy"))
        np.testing.assert_array_equal(mask, np.load(challenge / "train-1" / "masks" / f"{name}.npy"))


def test_masks_are_none_where_not_wanted_or_not_there(challenge):
    assert read_batch(challenge / "test", masks=False).masks is None
    for path in (challenge / "test" / "masks").iterdir():
        path.unlink()
    (challenge / "test" / "masks").rmdir()
    assert read_batch(challenge / "test").masks is None


def test_training_batches_are_pooled_and_the_test_batch_is_not(challenge):
    batch = training_batch(challenge)
    assert batch.ids == tuple(f"train-{part}/{number:04}" for part in (1, 2) for number in range(3))
    assert len(batch.images) == len(batch.masks) == 6
    np.testing.assert_array_equal(batch.images[3], read_batch(challenge / "train-2").images[0])


def test_training_without_batches_or_masks_is_refused(challenge):
    assert "no training batch" in refusal(training_batch, alone(challenge, "test"))
    for path in (challenge / "train-2" / "masks").iterdir():
        path.unlink()
    assert "found none" in refusal(training_batch, challenge)
    (challenge / "train-2" / "masks").rmdir()
    assert "train-2 has no masks/" in refusal(training_batch, challenge)


def alone(challenge: Path, name: str) -> Path:
    (challenge / "alone").mkdir()
    (challenge / name).rename(challenge / "alone" / name)
    return challenge / "alone"


def test_training_cannot_see_truth(challenge):
    before = training_batch(challenge)
    for number in range(3):
        save(challenge / "train-1" / "truth" / f"{number:04}.npy", np.ones((20, 24), bool))
    assert training_batch(challenge).fingerprint() == before.fingerprint()


def test_truth_is_read_in_the_order_asked_for(challenge):
    assert read_truth(challenge / "test", ("0000",)) is None
    truth = np.random.default_rng(1).random((3, 20, 24)) > 0.5
    for number in range(3):
        save(challenge / "test" / "truth" / f"{number:04}.npy", truth[number])
    found = read_truth(challenge / "test", ("0002", "0000"))
    np.testing.assert_array_equal(found, truth[[2, 0]])
    assert "id '0009'" in refusal(read_truth, challenge / "test", ("0009",))


def test_pairs_that_do_not_match_are_named(challenge):
    folder = challenge / "train-1"
    (folder / "masks" / "0001.npy").rename(folder / "masks" / "0007.npy")
    assert refusal(read_batch, folder) == f"no mask for {folder}/images/0001.npy; add it or remove the image"
    (folder / "images" / "0001.npy").unlink()
    assert refusal(read_batch, folder) == f"no image for {folder}/masks/0007.npy; add it or remove the mask"


def test_mask_of_another_shape_is_refused(challenge):
    save(challenge / "test" / "masks" / "0000.npy", np.zeros((24, 20), bool))
    message = refusal(read_batch, challenge / "test")
    assert "expected 20 x 24 pixels" in message and "masks/0000.npy" in message and "got 24 x 20" in message


def test_folder_without_images_is_refused(challenge):
    assert "has no images/" in refusal(read_batch, challenge)


def test_png_images_take_their_offset_from_batch_json(challenge):
    folder = challenge / "test"
    hu = np.load(folder / "images" / "0000.npy")
    (folder / "images" / "0000.npy").unlink()
    PIL.Image.fromarray((hu + 1000).astype(np.uint16)).save(folder / "images" / "0000.png")
    assert "batch.json" in refusal(read_batch, folder)
    (folder / "batch.json").write_text('{"hu_offset": -1000}')
    batch = read_batch(folder)  # the others are npy, which states HU itself
    np.testing.assert_array_equal(batch.images[0], hu)
    np.testing.assert_array_equal(batch.images[1], np.load(folder / "images" / "0001.npy"))


def test_a_batch_may_be_a_link(challenge, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (challenge / "test").rename(elsewhere / "test")
    (challenge / "test").symlink_to(elsewhere / "test")
    assert len(read_batch(find_batches(challenge)["test"])) == 3


def test_fingerprint_tells_ids_pixels_and_masks_apart_but_not_places(challenge):
    batch = read_batch(challenge / "train-1")
    (challenge / "train-1").rename(challenge / "train-9")
    assert read_batch(challenge / "train-9").fingerprint() == batch.fingerprint()
    image, mask = batch.images[0], batch.masks[0]
    others = [
        Batch("a", ("1",), (image,), (mask,)),
        Batch("a", ("2",), (image,), (mask,)),
        Batch("a", ("1",), (image + 1,), (mask,)),
        Batch("a", ("1",), (image,), (~mask,)),
        Batch("a", ("1",), (image.reshape(24, 20),), (mask,)),
        Batch("a", ("1",), (image,)),
    ]
    assert len({other.fingerprint() for other in others}) == len(others)


def test_formats_may_be_mixed(challenge):
    folder = challenge / "train-1"
    mask = np.load(folder / "masks" / "0001.npy")
    (folder / "masks" / "0001.npy").unlink()
    write_mask(folder / "masks" / "0001.png", mask)
    np.testing.assert_array_equal(read_batch(folder).masks[1], mask)
