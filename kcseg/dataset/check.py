"""Looks through a challenge folder and says all that is wrong with it, before hours are spent on training."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from kcseg.dataset.batch import find_batches, read_mask_of
from kcseg.errors import InputError
from kcseg.files import is_folder
from kcseg.image.doubts import Case, mask_doubts, measure_case, measure_outline, repetitions
from kcseg.image.formats import read_image, read_mask, suffix
from kcseg.image.image import Image, Mask, Spacing
from kcseg.image.listing import pairing_faults, scan_images, scan_masks
from kcseg.image.png import stated_hu_offset

T = TypeVar("T")


@dataclass(frozen=True)
class BatchReport:
    """What one batch holds."""

    name: str
    images: int  # how many can be read
    masks: int  # how many of theirs can be read
    truth: int  # how many exact masks, which the simulated challenge has
    formats: tuple[str, ...]  # suffixes of the images
    sizes_px: tuple[tuple[int, int], ...]  # (height, width) of the images, each once
    spacings_mm: tuple[Spacing, ...]  # of their pixels to 0.01 mm, each once; 1 where not stated
    hu_range: tuple[float, float] | None  # lowest and highest value; None without images
    cortex_mm2: float | None  # mean area of the masks; None without masks


@dataclass(frozen=True)
class FolderReport:
    """What a challenge folder holds; one sentence for each fault and warning."""

    batches: tuple[BatchReport, ...]
    faults: tuple[str, ...]  # what must be mended before training
    warnings: tuple[str, ...]  # what a person should look at
    passed_over: tuple[str, ...]  # names in images/ that are no images, each once


def check_folder(folder: Path) -> FolderReport:
    """Read every file of a challenge folder and report all faults, not only the first.

    Raises:
        InputError: there is no batch to look at.
    """
    faults: list[str] = []
    passed: list[str] = []
    batches = {name: _read_cases(path, faults, passed) for name, path in find_batches(folder).items()}
    for name, cases in batches.items():
        if name.startswith("train") and not any(case.outline for case in cases):
            faults.append(f"batch {name} has no masks; training needs one per image")
    return FolderReport(
        batches=tuple(_describe(name, cases) for name, cases in batches.items()),
        passed_over=tuple(dict.fromkeys(passed)),
        faults=tuple(dict.fromkeys(faults)),  # an unsound batch.json is met with every PNG
        warnings=(
            *(
                f"{case.path}: {doubt}"
                for cases in batches.values()
                for case in cases
                for doubt in case.doubts
            ),
            *(doubt for cases in batches.values() for doubt in mask_doubts(cases)),
            *repetitions(case for cases in batches.values() for case in cases),
        ),
    )


def _read_cases(folder: Path, faults: list[str], passed: list[str]) -> list[Case]:
    """Return the cases of a batch that can be read; append what is wrong to `faults`, and no images to `passed`."""
    listing = scan_images(folder / "images")
    faults += listing.faults
    passed += listing.passed_over
    images = listing.files
    masks, truth, kidneys = (
        _partners(folder, kind, images, faults) for kind in ("masks", "truth", "kidneys")
    )
    _noted(faults, stated_hu_offset, folder)
    cases = []
    for name, path in images.items():
        image = _noted(faults, read_image, path)
        mask, exact, _ = (
            _noted(faults, _read_mask, image, files[name]) if name in files else None
            for files in (masks, truth, kidneys)
        )
        if image is not None:
            outline = measure_outline(masks[name], image, mask) if mask else None
            cases.append(measure_case(path, image, outline, has_truth=exact is not None))
    return cases


def _partners(folder: Path, kind: str, images: dict[str, Path], faults: list[str]) -> dict[str, Path]:
    """Return the masks or the truth of a batch by id; where the folder is there, every image must have one."""
    if not is_folder(folder / kind):
        return {}
    listing = scan_masks(folder / kind)
    faults += listing.faults
    faults += pairing_faults(images, listing.files, names=("image", kind.removesuffix("s")))
    return listing.files


def _noted(faults: list[str], read: Callable[..., T], *arguments: Any) -> T | None:
    """Return what `read` returns, or append what keeps it from reading to `faults`."""
    try:
        return read(*arguments)
    except InputError as error:
        faults.append(str(error))
        return None


def _read_mask(image: Image | None, path: Path) -> Mask:
    return read_mask(path) if image is None else read_mask_of(image, path)


def _describe(name: str, cases: list[Case]) -> BatchReport:
    areas = [case.outline.area_mm2 for case in cases if case.outline]
    values = [value for case in cases for value in case.hu_range]
    return BatchReport(
        name=name,
        images=len(cases),
        masks=len(areas),
        truth=sum(case.has_truth for case in cases),
        formats=tuple(sorted({suffix(case.path) or "DICOM" for case in cases})),
        sizes_px=tuple(sorted({case.size_px for case in cases})),
        spacings_mm=tuple(sorted({case.spacing_mm for case in cases})),
        hu_range=(min(values), max(values)) if values else None,
        cortex_mm2=fmean(areas) if areas else None,
    )
