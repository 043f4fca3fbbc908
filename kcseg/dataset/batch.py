"""A batch of the challenge: images, masks and ids, read from a challenge folder."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from kcseg.errors import InputError
from kcseg.files import is_folder, sha256
from kcseg.image.formats import read_image, read_mask
from kcseg.image.image import Image, Mask, resample, resample_mask, same_spacing
from kcseg.image.listing import entries, list_images, list_masks, name_fault, pairing_faults

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Batch:
    """One delivery of the challenge, or several pooled.

    Attributes:
        name: of the folder, e.g. train-1.
        ids: file names without suffix, sorted.
        images: float32 (height, width) each, in HU at 1 mm, row 0 = head, column 0 = patient's right.
        masks: bool (height, width) each, True = cortex; None where the batch has no masks.
        kidneys: bool (height, width) each, True = all within the capsule; None where the batch has none.
    """

    name: str
    ids: tuple[str, ...]
    images: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray, ...] | None = None
    kidneys: tuple[np.ndarray, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, ids: Collection[str]) -> "Batch":
        """Return the batch of these ids alone, in the order they have here."""
        kept = [index for index, name in enumerate(self.ids) if name in ids]

        def chosen(values: tuple[T, ...]) -> tuple[T, ...]:
            return tuple(values[index] for index in kept)

        return Batch(
            self.name,
            chosen(self.ids),
            chosen(self.images),
            self.masks and chosen(self.masks),
            self.kidneys and chosen(self.kidneys),
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of ids, pixels and masks, the same wherever the files lie."""
        arrays = (*self.images, *(self.masks or ()), *(self.kidneys or ()))
        return sha256(
            json.dumps(self.ids).encode(),
            *(part for array in arrays for part in (repr(array.shape).encode(), array.tobytes())),
        )


def find_batches(folder: Path, purpose: str = "") -> dict[str, Path]:
    """Return the batch folders of a challenge folder by name, sorted; with a `purpose`, those for `train` or `test`.

    A batch is a folder `train…` or `test…` that holds `images/`. A folder that itself holds `images/` is one
    training batch, `train`.

    Raises:
        InputError: no such folder, no batch, or a batch with another name.
    """
    folder = Path(folder)
    if is_folder(folder / "images"):
        return {} if purpose == "test" else {"train": folder}
    shown = (path for path in entries(folder) if not path.name.startswith("."))
    found = {path.name: path for path in shown if is_folder(path / "images")}
    if not found:
        raise InputError(f"no batch in {folder}; expected train-1/images and train-1/masks")
    for name, path in found.items():
        if not name.startswith(("train", "test")):
            raise InputError(f"expected batches named train… or test… in {folder}, got {name}; rename it")
        if fault := name_fault(path):
            raise InputError(fault)
    return {name: path for name, path in found.items() if name.startswith(purpose)}


def read_batch(folder: Path | str, *, masks: bool = True) -> Batch:
    """Read a batch folder at 1 mm: `images/`, and where they exist and `masks` is true, `masks/` and `kidneys/`.

    Raises:
        InputError: a file cannot be read, or images and masks do not pair.
    """
    folder = Path(folder)
    if not is_folder(folder / "images"):
        raise InputError(f"{folder} has no images/; expected images/ID.npy and masks/ID.npy")
    paths = list_images(folder)
    outlines, capsules = (
        list_masks(folder / kind) if masks and is_folder(folder / kind) else None
        for kind in ("masks", "kidneys")
    )
    for found in (outlines, capsules):
        if found is not None and (faults := pairing_faults(paths, found)):
            raise InputError(faults[0])
    images = {name: read_image(path) for name, path in paths.items()}
    return Batch(
        name=folder.resolve().name,
        ids=tuple(paths),
        images=tuple(resample(image).hu for image in images.values()),
        masks=None if outlines is None else _masks_at_1_mm(images, outlines),
        kidneys=None if capsules is None else _masks_at_1_mm(images, capsules),
    )


def read_truth(folder: Path | str, ids: tuple[str, ...]) -> tuple[np.ndarray, ...] | None:
    """Return the exact masks of a simulated batch at 1 mm, bool (height, width) each; None without `truth/`.

    For scoring only: `Batch` does not carry it, so training cannot see it.

    Raises:
        InputError: an id without truth, or a file that cannot be read.
    """
    folder = Path(folder)
    if not is_folder(folder / "truth"):
        return None
    paths, truth = list_images(folder), list_masks(folder / "truth")
    for name in ids:
        if name not in truth or name not in paths:
            raise InputError(f"no image and truth for id '{name}' in {folder}; simulate the challenge again")
    return _masks_at_1_mm({name: read_image(paths[name]) for name in ids}, truth)


def training_batch(folder: Path | str) -> Batch:
    """Pool the training batches of a challenge folder; ids become e.g. train-1/0001.

    It has kidneys where all of them have.

    Raises:
        InputError: no training batch, or one without masks.
    """
    folders = find_batches(Path(folder), "train")
    if not folders:
        raise InputError(f"no training batch in {folder}; expected train-1/images and train-1/masks")
    ids: list[str] = []
    images: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    capsules: list[np.ndarray] = []
    for name, path in folders.items():
        batch = read_batch(path)
        if batch.masks is None:
            raise InputError(f"{path} has no masks/; training needs one mask per image")
        ids += (f"{name}/{identifier}" for identifier in batch.ids)
        images += batch.images
        masks += batch.masks
        capsules += batch.kidneys or ()
    return Batch(
        "train",
        tuple(ids),
        tuple(images),
        tuple(masks),
        tuple(capsules) if len(capsules) == len(ids) else None,
    )


def training_truth(folder: Path) -> tuple[np.ndarray, ...] | None:
    """Return the exact masks of the pooled training batches as `training_batch` orders them.

    Bool (height, width) each; None where a training batch has none. For scoring only, as `read_truth`.

    Raises:
        InputError: an image without truth, or a file that cannot be read.
    """
    truth: list[np.ndarray] = []
    for path in find_batches(folder, "train").values():
        found = read_truth(path, tuple(list_images(path)))
        if found is None:
            return None
        truth += found
    return tuple(truth)


def evenly(total: int, count: int) -> list[int]:
    """Return places evenly spaced from the first to the last of `total`: `count`, or all where there are fewer."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()


def read_mask_of(image: Image, path: Path) -> Mask:
    """Read the mask of an image and give it the image's grid.

    Raises:
        InputError: the mask lies on another grid, or cannot be read.
    """
    mask = read_mask(path)
    if mask.pixels.shape != image.hu.shape:
        wanted, got = _times(image.hu.shape), _times(mask.pixels.shape)
        raise InputError(
            f"expected {wanted} pixels in {path}, as in its image, got {got}; redraw it on that grid"
        )
    spacing_mm = image.grid.pixel_mm
    if not same_spacing(mask.spacing_mm, spacing_mm):
        wanted, got = _times(spacing_mm), _times(mask.spacing_mm or ())
        raise InputError(
            f"expected pixels of {wanted} mm in {path}, as in its image, got {got}; correct one header"
        )
    return Mask(mask.pixels, image.grid)


def _masks_at_1_mm(images: dict[str, Image], paths: dict[str, Path]) -> tuple[np.ndarray, ...]:
    return tuple(resample_mask(read_mask_of(images[name], paths[name])).pixels for name in images)


def _times(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:g}" for value in values)
