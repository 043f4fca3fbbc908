"""Which files of a folder are images and masks, and which belong together."""

import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from kcseg.errors import InputError
from kcseg.files import is_file, is_folder
from kcseg.image.formats import IMAGE_SUFFIXES, MASK_SUFFIXES, identifier, is_image, is_mask

_MOST_FILES = 1_000_000  # in a folder; their names are kept in memory
_UNPRINTABLE = ("Cc", "Cs")  # of Unicode's categories: controls, and what is no UTF-8


@dataclass(frozen=True)
class Listing:
    """The files of one folder.

    Attributes:
        files: path by id (the file name without its suffix), sorted by id.
        faults: one sentence for each file that cannot be taken.
    """

    files: dict[str, Path]
    faults: tuple[str, ...]


def scan_images(folder: Path, within: Path) -> Listing:
    """List images; hidden files and subfolders are passed over, a link out of `within` is a fault."""
    return _scan(folder, within, is_image, f"an image ({', '.join(IMAGE_SUFFIXES)})")


def scan_masks(folder: Path, within: Path) -> Listing:
    """List masks under the same rules."""
    return _scan(folder, within, is_mask, f"a mask ({', '.join(MASK_SUFFIXES)})")


def list_images(*paths: Path) -> dict[str, Path]:
    """Return path by id for image files and folders of images (or folders that hold `images/`).

    Raises:
        InputError: nothing there, two files with one id, a file of another kind, a link out of its folder.
    """
    return _list(paths, "images", scan_images)


def list_masks(*paths: Path) -> dict[str, Path]:
    """Return path by id for mask files and folders of masks (or folders that hold `masks/`).

    Raises:
        InputError: as `list_images`.
    """
    return _list(paths, "masks", scan_masks)


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, hidden files left out, sorted.

    Raises:
        InputError: it cannot be listed, or holds more than a million files.
    """
    try:
        found = list(islice(folder.iterdir(), _MOST_FILES + 1))
    except OSError as error:
        raise InputError(f"cannot list {folder}: {error.strerror or error}; check the path") from error
    if len(found) > _MOST_FILES:
        raise InputError(f"expected at most {_MOST_FILES} files in {folder}, got more; split the folder")
    return sorted(path for path in found if not path.name.startswith("."))


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
    """Say what is wrong with a name that no table can hold; None where nothing is."""
    if any(unicodedata.category(letter) in _UNPRINTABLE for letter in path.name):
        return f"expected a name of printable UTF-8, got {path.name!a} in {path.parent}; rename it"
    return None


def refuse_link_out(path: Path, within: Path) -> None:
    """Refuse a file or folder that lies elsewhere than in `within`.

    Raises:
        InputError: it does.
    """
    if _leads_out(path, os.path.realpath(within)):
        raise InputError(_link_out(path, within))


def _leads_out(path: Path, root: str) -> bool:
    try:
        return not Path(os.path.realpath(path)).is_relative_to(root)
    except (OSError, RecursionError):  # a link to a link to a link
        return True


def _link_out(path: Path, within: Path) -> str:
    return f"{path} is a link out of {within}; copy what it leads to there"


def _scan(folder: Path, within: Path, accepts: Callable[[Path], bool], expected: str) -> Listing:
    files: dict[str, Path] = {}
    faults = []
    root = os.path.realpath(within)
    for path in entries(folder):
        if is_folder(path):
            continue
        name = identifier(path)
        if fault := name_fault(path):
            faults.append(fault)
        elif _leads_out(path, root):
            faults.append(_link_out(path, within))
        elif not accepts(path):
            faults.append(f"expected {expected}, got {path}; convert it or move it away")
        elif name in files:
            faults.append(
                f"expected one file with id '{name}', got {files[name]} and {path.name}; remove one"
            )
        else:
            files[name] = path
    if not files and not faults:
        faults.append(f"{folder} is empty; put {expected} there")
    return Listing(dict(sorted(files.items())), tuple(faults))


def _list(paths: tuple[Path, ...], inner: str, scan: Callable[[Path, Path], Listing]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        if is_file(path):
            fault = name_fault(path)
            listing = Listing({identifier(path): path}, (fault,) if fault else ())
        else:
            listing = scan(path / inner if is_folder(path / inner) else path, path)
        if listing.faults:
            raise InputError(listing.faults[0])
        files = listing.files
        for name in files:
            if name in found:
                raise InputError(
                    f"expected one file with id '{name}', got {found[name]} and {files[name]}; leave one out"
                )
        found |= files
    return found
