"""A page that turns through the kidneys of a scan in three planes, and opens from disk."""

import base64
import gzip
from importlib.resources import files
from pathlib import Path

import nibabel
import numpy as np
from nibabel.affines import apply_affine

from kcseg.files import write
from kcseg.image.volume import resampled
from kcseg.page.figures import KIDNEY, PREDICTION
from kcseg.page.page import write_page
from kcseg.scan.result import LABELS
from kcseg.scan.scan import Frame, Scan

LIBRARY = "niivue.js"  # beside the pages, for all of them
_MARGIN_MM = 25.0
_SHOWN_HU = (-200.0, 400.0)  # in 255 steps: the page carries its voxels, and small ones open fast


def write_library(folder: Path) -> None:
    """Write what draws the volumes, once for all pages of a folder."""
    write(folder / LIBRARY, (files("kcseg") / "page" / LIBRARY).read_bytes())


def write_viewer(path: Path, title: str, scan: Scan, labels: np.ndarray) -> None:
    """Write a page that shows what lies around the kidneys, at 1 mm, with their labels; it needs the library beside it.

    `labels` are uint8 on the scan's grid, not all 0.
    """
    places = apply_affine(scan.affine, np.argwhere(labels))
    frame = Frame.around(places.min(axis=0) - _MARGIN_MM, places.max(axis=0) + _MARGIN_MM)
    hu = resampled(scan.hu, scan.affine, frame.affine, frame.shape, fill=_SHOWN_HU[0])
    shown = nibabel.Nifti1Image(hu.clip(*_SHOWN_HU), frame.affine, dtype=np.uint8)
    shown.header.set_slope_inter((_SHOWN_HU[1] - _SHOWN_HU[0]) / 255, _SHOWN_HU[0])
    parts = resampled(labels, scan.affine, frame.affine, frame.shape, labels=True)
    parts = nibabel.Nifti1Image(parts, frame.affine)
    write_page(path, "viewer.html", name=title, hu=_packed(shown), labels=_packed(parts), colours=_colours())


def _packed(volume: nibabel.Nifti1Image) -> str:
    """Return a volume as the page carries it."""
    return base64.b64encode(gzip.compress(volume.to_bytes(), mtime=0)).decode()


def _colours() -> dict[str, list[int] | list[str]]:
    """Return the colour of each label, as the library takes them: cortex blue, all else of the kidney yellow."""
    names = ["", *LABELS]
    colours = [KIDNEY if name and "cortex" not in name else PREDICTION for name in names]
    red, green, blue = ([round(255 * colour[channel]) for colour in colours] for channel in range(3))
    shown = [0, *(255 if "cortex" in name else 90 for name in LABELS)]
    return {"I": [0, *LABELS.values()], "R": red, "G": green, "B": blue, "A": shown, "labels": names}
