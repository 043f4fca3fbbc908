"""Which files of a folder are images and masks, and which belong together."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kcseg.errors import InputError
from kcseg.files import is_file, is_folder
from kcseg.image.formats import IMAGE_SUFFIXES, MASK_SUFFIXES, identifier, is_image, is_mask

_UNPRINTABLE = ("Cc", "Cs")  # of Unicode's categories: controls, and what is no UTF-8
_LONGEST_BYTES = 255 - len(".nii.gz")  # of an id: results are named after it, and no disk holds longer names
# what CDs and Windows leave beside images
_SYSTEM = ("dicomdir", "thumbs.db", "ehthumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Listing:
    """The files of one folder, or of several."""

    files: dict[str, Path]  # by id (the file name without its suffix), sorted by id
    faults: tuple[str, ...]  # one sentence for each file that cannot be taken
    passed_over: tuple[
        str, ...
    ] = ()  # of a folder what is of another kind, hidden, or left there by a system or a CD, each name once


def scan_images(*paths: Path) -> Listing:
    """List image files and folders of images (or folders that hold `images/`), with all that is wrong.

    Of a folder, subfolders are left out; files of other kinds, hidden ones and what a system or a CD leaves are passed
    over.

    Raises:
        InputError: a path that is not there.
    """
    return _scan(paths, "images", is_image, f"an image ({', '.join(IMAGE_SUFFIXES)})")


def scan_masks(*paths: Path) -> Listing:
    """List mask files and folders of masks (or folders that hold `masks/`) under the same rules.

    But a file of another kind is a fault: a mask that nobody can read is not to look like one that is missing.
    """
    return _scan(paths, "masks", is_mask, f"a mask ({', '.join(MASK_SUFFIXES)})", other_kinds=False)


def list_images(*paths: Path | str) -> dict[str, Path]:
    """Return path by id for what `scan_images` lists.

    Raises:
        InputError: nothing there, two files with one id, a file of another kind, or a name no result can have.
    """
    return _sound(scan_images(*map(Path, paths)))


def list_masks(*paths: Path) -> dict[str, Path]:
    """Return path by id for what `scan_masks` lists.

    Raises:
        InputError: as `list_images`.
    """
    return _sound(scan_masks(*paths))


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted.

    Raises:
        InputError: it cannot be listed.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot list {folder}: {error.strerror or error}; check the path") from error


def pairing_faults(
    images: dict[str, Path], masks: dict[str, Path], names: tuple[str, str] = ("image", "mask")
) -> list[str]:
    """Return one sentence for each image without a mask, and for each mask without an image."""
    image, mask = names
    return [
        *(f"no {mask} for {images[id]}; add it or remove the {image}" for id in images if id not in masks),
        *(f"no {image} for {masks[id]}; add it or remove the {mask}" for id in masks if id not in images),
    ]


def name_fault(path: Path) -> str | None:
    """Say what is wrong with a name that no table or result can have; None where nothing is."""
    if any(unicodedata.category(letter) in _UNPRINTABLE for letter in path.name):
        return f"expected a name of printable UTF-8, got {path.name!a} in {path.parent}; rename it"
    if (length := len(identifier(path).encode())) > _LONGEST_BYTES:
        return (
            f"expected a name of at most {_LONGEST_BYTES} bytes without suffix, for the names of the results, "
            f"got {length} in {path}; rename it"
        )
    return None


def _scan(
    paths: tuple[Path, ...],
    inner: str,
    accepts: Callable[[Path], bool],
    expected: str,
    *,
    other_kinds: bool = True,
) -> Listing:
    """List files; `other_kinds` of files in a folder are passed over."""
    files: dict[str, Path] = {}
    faults: list[str] = []
    passed: dict[str, None] = {}
    for place in map(Path, paths):
        before = len(files) + len(faults)
        inside = [place] if is_file(place) else entries(place / inner if is_folder(place / inner) else place)
        for path in (one for one in inside if not is_folder(one)):
            name = identifier(path)
            if path.name.startswith(".") or path.name.casefold() in _SYSTEM:
                passed[path.name] = None
            elif fault := name_fault(path):
                faults.append(fault)
            elif not accepts(path) and other_kinds and not is_file(place):
                passed[path.name] = None
            elif not accepts(path):
                faults.append(f"expected {expected}, got {path}; convert it or move it away")
            elif name in files:
                faults.append(f"expected one file with id '{name}', got {files[name]} and {path}; remove one")
            else:
                files[name] = path
        if len(files) + len(faults) == before and not is_file(place):
            faults.append(f"expected {expected} in {place}, found none; put it there")
    if not files and not faults:
        faults.append(f"expected {expected}, got {', '.join(passed)}, which is none; name others")
    return Listing(dict(sorted(files.items())), tuple(faults), tuple(passed))


def _sound(listing: Listing) -> dict[str, Path]:
    if listing.faults:
        raise InputError(listing.faults[0])
    return listing.files
