"""Reads a scan, whatever it is stored as."""

import os
from pathlib import Path

import numpy as np
from nibabel.affines import voxel_sizes

from kcseg.errors import InputError
from kcseg.files import is_file, is_folder
from kcseg.image.formats import identifier, suffix
from kcseg.image.limits import MAXIMUM_HU
from kcseg.image.listing import entries
from kcseg.image.nifti import read_volume, stored_shape
from kcseg.progress import Tell, silent
from kcseg.scan.scan import Scan
from kcseg.scan.series import LEAST_SLICES, choose, find_series, read_series, thickness_notes, unpacked

_VOLUME_BYTES = 4 << 30
_SPACING_MM = (0.2, 12.0)


def list_scans(*paths: Path) -> dict[str, Path]:
    """Return path by id of the scans in paths: archives, NIfTI of more than a slice, and folders with CT series.

    A folder with one study is one scan, named after the folder; of a tree of studies each is one, named after its
    folder in the tree. Empty where there is no scan at all.

    Raises:
        InputError: two scans of one name, two studies in one folder, or a path without a scan beside one with some.
    """
    by_path = {path: _scans_in(path) for path in map(Path, paths)}
    without = [path for path, some in by_path.items() if not some]
    if without and any(by_path.values()):
        raise InputError(f"there is no scan in {without[0]}; name scans in one command, images in another")
    scans: dict[str, Path] = {}
    for some in by_path.values():
        for name, found in some.items():
            if name in scans:
                raise InputError(
                    f"expected one scan of the name '{name}', got {scans[name]} and {found}; rename one"
                )
            scans[name] = found
    return scans


def _scans_in(path: Path) -> dict[str, Path]:
    if not is_folder(path):
        return {identifier(path): path} if _is_scan_file(path) else {}
    files = {identifier(one): one for one in entries(path) if _is_scan_file(one)}
    studies: dict[str, list[Path]] = {}
    for series in find_series(path):
        studies.setdefault(series.study, []).extend(one.path.parent for one in series.slices)
    folders = [Path(os.path.commonpath(places)) for places in studies.values()]
    if len(folders) == 1 and not files:
        return {path.resolve().name: path}
    ways = [folder.relative_to(path).parts for folder in folders]
    if () in ways or len(set(ways)) < len(ways):
        raise InputError(f"{path} holds several scans in one folder; put each study into a folder of its own")
    tops = [way[0] for way in ways]
    names = ["-".join(way) if tops.count(way[0]) > 1 else way[0] for way in ways]
    return files | dict(zip(names, folders, strict=True))


def _is_scan_file(path: Path) -> bool:
    if not is_file(path):
        return False
    if suffix(path) == ".zip":
        return True
    if suffix(path) in (".nii", ".nii.gz"):
        try:
            shape = stored_shape(path)
            return len(shape) == 3 and min(shape) >= LEAST_SLICES
        except Exception:
            return False  # whoever reads it as an image says what is wrong
    return False


def read_scan(path: Path | str, *, series: str | None = None, tell: Tell = silent) -> Scan:
    """Read a CT scan: a folder or zip archive with DICOM series, or a 3D NIfTI.

    Args:
        path: the scan; of several series in it, `series` chooses one by its number or UID.
        series: see above.
        tell: told of the slices read.

    Raises:
        InputError: whatever is wrong with it, in one sentence with the mend.
    """
    path = Path(path)
    if suffix(path) == ".zip" and not is_folder(path):
        with unpacked(path) as folder:
            return read_scan(folder, series=series, tell=tell)
    if is_folder(path):
        scan = read_series(choose(find_series(path), series, path), tell)
    elif suffix(path) in (".nii", ".nii.gz"):
        scan = _read_nifti(path)
    else:
        raise InputError(f"expected a folder or zip of DICOM files, or a 3D NIfTI, got {path}; convert it")
    return _checked(path, scan)


def _read_nifti(path: Path) -> Scan:
    voxels, affine, unit, notes = read_volume(path, _VOLUME_BYTES)
    values = np.nan_to_num(np.asarray(voxels), nan=-1024.0)
    hu = np.rint(np.clip(values, -32768, 32767)).astype(np.int16) if values.dtype != np.int16 else values
    notes += tuple(thickness_notes(max(voxel_sizes(affine).tolist())))
    return Scan(np.ascontiguousarray(hu), affine, notes, (path,), unit)


def _checked(path: Path, scan: Scan) -> Scan:
    """Refuse what is no CT of a body."""
    low, high = _SPACING_MM
    if not all(low <= step <= high for step in scan.spacing_mm):
        got = " x ".join(f"{step:g}" for step in scan.spacing_mm)
        raise InputError(f"expected voxels of {low} to {high} mm in {path}, got {got} mm; correct its header")
    if min(scan.hu.shape) < LEAST_SLICES:
        raise InputError(
            f"expected {LEAST_SLICES} voxels or more along each axis of {path}, got {scan.hu.shape}; name a scan"
        )
    lowest, highest = int(scan.hu.min()), int(scan.hu.max())
    if highest > MAXIMUM_HU or lowest > -200 or highest < 100:
        raise InputError(
            f"{path} holds values {lowest} to {highest}, which are not the HU of a body; correct slope and intercept"
        )
    return scan
