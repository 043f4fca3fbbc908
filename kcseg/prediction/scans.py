"""Labels, measures, montages and a table for whole scans."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import apply_affine

from kcseg.errors import InputError
from kcseg.files import is_file, read_facts, write, write_csv, write_json
from kcseg.image.nifti import read_volume, write_volume
from kcseg.image.volume import resampled
from kcseg.page.figures import KIDNEY, in_bytes, outlined, overlay, png_of
from kcseg.page.page import write_page
from kcseg.prediction.viewer import LIBRARY, write_library, write_viewer
from kcseg.progress import Tell, counted, silent, within
from kcseg.results import begin, refuse_taken
from kcseg.scan.dicom_seg import can_write_dicom_seg, write_dicom_seg
from kcseg.scan.locate import refuse_without_kidneys
from kcseg.scan.measure import Measures, thickness_map
from kcseg.scan.options import ALL, ScanOptions
from kcseg.scan.read import read_scan
from kcseg.scan.result import LABELS, ScanResult, labels_of, segment_scan
from kcseg.scan.scan import Frame, Scan
from kcseg.scan.series import unpacked
from kcseg.serving.runner import Ensemble

_MONTAGE_SLICES, _PICTURE_MM = 6, 140
_MARGIN_MM = 15.0


def predict_scans(
    ensemble: Ensemble,
    scans: Mapping[str, Path],
    out: Path,
    options: ScanOptions = ALL,
    *,
    force: bool = False,
    tell: Tell = silent,
) -> list[dict[str, Any]]:
    """Segment and measure scans; write labels, thickness, montages, `table.csv`, `measures.json` and `index.html`.

    Each scan is finished before the next begins, so that an interrupted call, started again, goes on with the first
    that is missing. Returns the rows of the table, one a kidney, or one without measures for a scan without kidneys.

    Raises:
        InputError: a scan that cannot be read, earlier results in `out` without `force`, or foreign files in the way.
    """
    if options.kidneys is None:
        refuse_without_kidneys(ensemble)
    missing = begin_scans(scans, out, force=force)
    one_more = counted(tell, "scans", len(missing))
    for id, path in missing.items():
        predict_scan(ensemble, id, path, out, options, within(tell, id) if len(scans) > 1 else tell)
        one_more()
    return write_tables(scans, out)


def begin_scans(scans: Mapping[str, Path], out: Path, *, force: bool) -> dict[str, Path]:
    """Make room for the results of scans in `out`, and return those scans that are not finished there.

    Raises:
        InputError: earlier results in `out` without `force`, or foreign files in the way.
    """
    names = ["index.html", "table.csv", "measures.json", f"viewers/{LIBRARY}"]
    names += (name for id in scans for name in _names(id))
    if force or is_file(out / "table.csv") or not is_file(out / "files.json"):
        refuse_taken(out, names, force=force)
        begin(out, names)
    return {id: path for id, path in scans.items() if not is_file(facts_path(out, id))}


def facts_path(out: Path, id: str) -> Path:
    """Return the file that is written last of a scan."""
    return out / "measures" / f"{id}.json"


def write_tables(scans: Mapping[str, Path], out: Path) -> list[dict[str, Any]]:
    """Write what says something of all scans, once each is finished, and return the rows of the table."""
    measured = {id: read_facts(facts_path(out, id), kidneys=list, notes=list) for id in scans}
    rows = [row for id, found in measured.items() for row in _rows(id, found)]
    write_csv(out / "table.csv", rows)
    write_json(out / "measures.json", {"labels": LABELS, "scans": measured})
    write_library(out / "viewers")
    write_page(out / "index.html", "scans.html", scans=measured)
    return rows


def predict_scan(
    ensemble: Ensemble, id: str, path: Path, out: Path, options: ScanOptions, tell: Tell = silent
) -> None:
    """Segment and measure one scan, and write its files."""
    with unpacked(path) as unpacked_path:
        scan = read_scan(unpacked_path, series=options.series, tell=tell)
        kidneys = None if options.kidneys is None else _kidneys_on(scan, options.kidneys)
        result = segment_scan(
            scan, ensemble, kidneys=kidneys, sides=options.sides, any_contrast=options.any_contrast, tell=tell
        )
        write_scan(out, id, result)


def write_scan(out: Path, id: str, result: ScanResult) -> None:
    """Write the labels, the thickness map, the montage and the viewer of a scan, and its measures last.

    Of a DICOM series, `segmentations/<id>.dcm`, too, where the extra kcseg[dicom] is installed.
    """
    scan, labels = result.scan, result.labels()
    write_volume(out / "labels" / f"{id}.nii.gz", labels, scan.affine, scan.unit)
    thickness = np.zeros(scan.hu.shape, np.float32)
    for masks, measures in zip(result.masks, result.measures, strict=True):
        if measures.cortex_ml is not None:
            part = thickness[masks.window]
            np.maximum(part, thickness_map(scan, masks), out=part)
    write_volume(out / "thickness" / f"{id}.nii.gz", thickness, scan.affine, scan.unit)
    if sides := [masks.side for masks in result.masks]:
        write_viewer(out / "viewers" / f"{id}.html", id, scan, labels)
        montage = np.concatenate([_montage(scan, labels, side) for side in sides], axis=0)
        write(out / "montages" / f"{id}.png", png_of(montage))
    if len(scan.files) == scan.hu.shape[2] and can_write_dicom_seg():
        write_dicom_seg(out / "segmentations" / f"{id}.dcm", scan, labels)
    write_json(
        facts_path(out, id),
        {"kidneys": [asdict(one) for one in result.measures], "notes": list(result.notes)},
    )


def _names(id: str) -> list[str]:
    volumes = [f"{kind}/{id}.nii.gz" for kind in ("labels", "thickness")]
    pictures = [f"viewers/{id}.html", f"montages/{id}.png"]
    return [*volumes, *pictures, f"segmentations/{id}.dcm", f"measures/{id}.json"]


def _rows(id: str, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    if found["kidneys"]:
        missing = "; ".join(note for note in found["notes"] if note.startswith("no ") or note.endswith("?"))
        return [
            {"id": id, **row, "note": "; ".join(filter(None, (row["note"], missing)))}
            for row in found["kidneys"]
        ]
    empty = dict.fromkeys(Measures.__dataclass_fields__)
    return [{"id": id, **empty, "note": "; ".join(found["notes"])}]


def _kidneys_on(scan: Scan, path: Path) -> np.ndarray:
    """Return a mask of the kidneys on the scan's grid, by the nearest of its voxels."""
    voxels, affine, *_ = read_volume(path)
    labels = np.asarray(voxels)
    if labels.dtype.kind == "f":
        labels = np.rint(np.nan_to_num(labels)).astype(np.int32)
    found = resampled(labels, affine, scan.affine, scan.hu.shape, labels=True)
    if not found.any():
        raise InputError(f"{path} marks nothing within the scan; name the mask of this very scan")
    return found


def _montage(scan: Scan, labels: np.ndarray, side: str) -> np.ndarray:
    """Return coronal slices through a kidney beside each other, cortex in blue, the kidney's outline in yellow."""
    numbers = labels_of(side)
    places = apply_affine(scan.affine, np.argwhere(np.isin(labels, numbers)))
    low, high = places.min(axis=0), places.max(axis=0)
    step = max((high[1] - low[1]) / (_MONTAGE_SLICES + 1), 0.5)
    around = np.array([_MARGIN_MM, -step, _MARGIN_MM])
    frame = Frame.around(low - around, high + around, step)
    nearest = resampled(labels, scan.affine, frame.affine, frame.shape, labels=True)
    pictures = []
    for place, plane in frame.slices_of(scan):
        cortex = nearest[place] == LABELS[f"{side} cortex"]
        picture = in_bytes(overlay(plane, cortex))
        pictures.append(outlined(picture, np.isin(nearest[place], numbers), KIDNEY))
    pictures = pictures[:_MONTAGE_SLICES]
    while len(pictures) < _MONTAGE_SLICES:
        pictures.append(np.zeros_like(pictures[0]))
    fitted = [_fit(picture, len(picture), _PICTURE_MM) for picture in pictures]
    return np.concatenate(fitted, axis=1).repeat(2, axis=0).repeat(2, axis=1)


def _fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cut or pad a picture about its middle to a size."""
    fitted = np.zeros((height, width, 3), np.uint8)
    rows, columns = min(height, picture.shape[0]), min(width, picture.shape[1])
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    down, right = (height - rows) // 2, (width - columns) // 2
    fitted[down : down + rows, right : right + columns] = picture[top : top + rows, left : left + columns]
    return fitted
