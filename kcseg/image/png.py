"""Reads PNG: 16-bit grey images, whose offset to HU lies beside them, and grey masks."""

import os
import reprlib
from pathlib import Path

import numpy as np
import PIL.Image

from kcseg.errors import InputError
from kcseg.files import is_folder, read_json
from kcseg.image.limits import check_size

_SETTINGS = "batch.json"


def read_png_hu(path: Path, hu_offset: int | None) -> np.ndarray:
    """Return float64 HU (height, width) of a 16-bit grey PNG: its values and the offset, given or stated beside it.

    Raises:
        InputError: no offset, or another kind of file.
    """
    stored = read_png(path, {"I;16"}, "a 16-bit grey PNG")
    if hu_offset is None:
        hu_offset = stated_hu_offset(path)
    if hu_offset is None:
        raise InputError(
            f"the HU offset of {path} is not stated; give it, "
            f'or write it as {{"hu_offset": -1024}} into {_SETTINGS} beside images/'
        )
    return stored.astype(np.float64) + hu_offset


def read_png(path: Path, modes: set[str], expected: str) -> np.ndarray:
    """Return the values of a PNG of one of Pillow's `modes`, (height, width).

    Raises:
        InputError: another mode, or no PNG.
    """
    try:
        with PIL.Image.open(path, formats=("PNG",)) as picture:
            if picture.mode not in modes:
                raise InputError(f"expected {expected} in {path}, got mode {picture.mode}; convert it")
            check_size(path, (picture.height, picture.width))
            return np.asarray(picture)
    except PIL.UnidentifiedImageError as error:
        raise InputError(f"{path} is no PNG file; convert it or correct its suffix") from error
    except PIL.Image.DecompressionBombError as error:
        raise InputError(f"{path} has far too many pixels to be one slice; crop it") from error
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path} is truncated or damaged; copy it again") from error


def stated_hu_offset(path: Path) -> int | None:
    """Return what `batch.json` says is added to PNG values to get HU; None without that file or entry.

    Args:
        path: a batch folder, its `images/`, or a file in either.

    Raises:
        InputError: the entry is no whole number.
    """
    folder = Path(os.path.abspath(path))  # noqa: PTH100 - a link's own place counts, not where it leads
    folder = folder if is_folder(folder) else folder.parent
    places = [folder, folder.parent] if folder.name == "images" else [folder]
    found = [place / _SETTINGS for place in places if os.path.lexists(place / _SETTINGS)]
    if not found:
        return None
    settings = read_json(found[0])
    offset = settings.get("hu_offset") if isinstance(settings, dict) else settings
    if offset is not None and (type(offset) is not int or abs(offset) > 65536):
        raise InputError(
            f"expected a whole number as hu_offset in {found[0]}, got {reprlib.repr(offset)}; write e.g. -1024"
        )
    return offset
