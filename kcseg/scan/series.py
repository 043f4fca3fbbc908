"""DICOM series: which there are in a folder or archive, in what order their slices lie, and their voxels."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
from pydicom import uid

from kcseg.errors import InputError, reason_of
from kcseg.files import is_folder
from kcseg.image.dicom import CT_KINDS, decode_slice, is_dicom
from kcseg.image.formats import suffix
from kcseg.image.limits import MAXIMUM_HU
from kcseg.progress import Tell, counted, silent
from kcseg.scan.scan import Scan

LEAST_SLICES = 8  # fewer are no scan of a kidney (our choice)
_THICK_MM = 4.0  # from where on a scan's slices are called thick (our choice)
_TAGS = (
    *("SOPClassUID", "Modality", "ImageType", "ImageOrientationPatient", "ImagePositionPatient"),
    *("StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
)
_UNPACKED_BYTES = 8 << 30
# Of the step from slice to slice: what differs by less is rounding, by less than the second is taken as even with a
# note; more is a gap.
_ROUNDING, _UNEVEN = 0.01, 0.15
_SAME_PLACE_MM = 0.01
_TILT_DEGREES = 0.5
_SAMPLE = 6  # names of files that a message shows


@dataclass(frozen=True)
class SliceFile:
    """One DICOM file of a series: where its slice lies."""

    path: Path
    orientation: tuple[float, ...]  # six numbers
    position_mm: tuple[float, ...]  # of its first pixel, in DICOM's axes


@dataclass(frozen=True)
class Series:
    """The slices of one CT series in a folder, unordered."""

    study: str  # its UID
    uid: str
    number: str
    description: str
    slices: tuple[SliceFile, ...]

    def __str__(self) -> str:
        """Say what it is in a line."""
        return f"{self.number or '-'}: {self.description or 'no description'}, {len(self.slices)} slices"


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield what a zip archive holds as a temporary folder, and any other path as it is.

    Raises:
        InputError: a damaged archive, or one that unpacks to more than 8 GiB.
    """
    if is_folder(path) or suffix(path) != ".zip":
        yield path
        return
    with TemporaryDirectory(prefix="kcseg-") as place:
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(member.file_size for member in archive.infolist()) > _UNPACKED_BYTES:
                    raise InputError(
                        f"{path} unpacks to more than {_UNPACKED_BYTES >> 30} GiB; unpack it yourself"
                    )
                for number, member in enumerate(one for one in archive.infolist() if not one.is_dir()):
                    # under names of our own: those of the archive could lead elsewhere
                    (Path(place) / f"{number:06}").write_bytes(archive.read(member))
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            raise InputError(f"cannot unpack {path} ({reason_of(error)}); copy it again") from error
        yield Path(place)


def find_series(folder: Path) -> list[Series]:
    """Return the CT series in a folder and those below it that have enough slices for a scan, by their number.

    Scouts and other modalities are passed over. Files are looked at by their headers alone.
    """
    found: dict[str, list[SliceFile]] = {}
    about: dict[str, tuple[str, str, str, str]] = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and not one.name.startswith(".")):
        if not is_dicom(path):
            continue
        header = _header(path)
        if header is None:
            continue
        texts, slice_file = header
        found.setdefault(texts[1], []).append(slice_file)
        about.setdefault(texts[1], texts)
    scans = [
        Series(*about[name], tuple(slices)) for name, slices in found.items() if len(slices) >= LEAST_SLICES
    ]
    return sorted(scans, key=lambda one: (one.number.zfill(8), one.uid))


def choose(series: Sequence[Series], wanted: str | None, where: Path) -> Series:
    """Return the one series there is, or the one `wanted` by its number or UID.

    Raises:
        InputError: none, several and none wanted, or no such one; all are listed.
    """
    if not series:
        raise InputError(
            f"there is no CT series of {LEAST_SLICES} slices or more in {where}; name the folder of a series"
        )
    chosen = [one for one in series if wanted in (None, one.number, one.uid)]
    if len(chosen) == 1:
        return chosen[0]
    listed = "; ".join(map(str, series))
    asked = f"no series {wanted}" if wanted and not chosen else f"{len(chosen)} series"
    raise InputError(f"there is {asked} in {where}; choose one with its number ({listed})")


def read_series(series: Series, tell: Tell = silent) -> Scan:
    """Read a series as a scan: its slices in order of their position along the normal, whatever else they say.

    Raises:
        InputError: slices that cannot be read, lie twice at one place, have gaps between them, or other orientations.
    """
    notes: list[str] = []
    slices = _ordered(series, notes)
    hu, first = np.empty(0, np.int16), np.eye(4)
    one_more = counted(tell, "reading", len(slices))
    for place, one in enumerate(slices):
        voxels, affine = decode_slice(one.path)
        if not place:
            first = affine
            hu = np.empty((*voxels.shape, len(slices)), np.int16)
        if voxels.shape != hu.shape[:2] or not np.allclose(affine[:3, :2], first[:3, :2], atol=1e-3):
            raise InputError(
                f"{one.path} has other pixels than {slices[0].path}; choose one series of equal slices"
            )
        if np.abs(voxels).max() > MAXIMUM_HU:
            raise InputError(f"{one.path} holds values that no CT has; export the series again")
        hu[..., place] = np.rint(voxels)
        one_more()
    step = (_place(slices[-1]) - _place(slices[0])) / (len(slices) - 1)
    affine = first.copy()
    affine[:3, 2] = step * [-1, -1, 1]
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    cosine = abs(normal @ affine[:3, 2]) / np.linalg.norm(normal) / np.linalg.norm(step)
    if (tilt := np.degrees(np.arccos(min(1.0, cosine)))) > _TILT_DEGREES:
        notes.append(f"gantry tilted by {tilt:.0f}°")
    notes += thickness_notes(float(np.linalg.norm(step)))
    return Scan(hu, affine, tuple(notes), tuple(one.path for one in slices))


def thickness_notes(slice_mm: float) -> list[str]:
    """Return what a person should know of slices that lie so far apart."""
    return [f"thick slices ({slice_mm:.1f} mm)"] if slice_mm > _THICK_MM else []


def _header(path: Path) -> tuple[tuple[str, str, str, str], SliceFile] | None:
    """Return what a CT slice says of study and series, as `_TAGS` ends, and its place; None for all else."""
    try:
        found = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(_TAGS))
        kind = uid.UID(str(found.get("SOPClassUID", "")))
        if (kind and kind not in CT_KINDS) or found.get("Modality", "CT") != "CT":
            return None
        if "LOCALIZER" in str(found.get("ImageType", "")).upper():
            return None
        orientation = tuple(float(value) for value in found.ImageOrientationPatient)
        position = tuple(float(value) for value in found.ImagePositionPatient)
        study, series, number, description = (str(found.get(name) or "") for name in _TAGS[-4:])
        if len(orientation) == 6 and len(position) == 3 and np.isfinite([*orientation, *position]).all():
            return (study, series, number, description), SliceFile(path, orientation, position)
    except Exception:  # whatever pydicom makes of a file that only looks like DICOM
        return None
    return None


def _ordered(series: Series, notes: list[str]) -> list[SliceFile]:
    """Return the slices from one end to the other; what should be known of them is appended to `notes`."""
    first = series.slices[0]
    others = [one for one in series.slices if not np.allclose(one.orientation, first.orientation, atol=1e-3)]
    if others:
        raise InputError(
            f"the slices of series {series} have several orientations, e.g. {first.path.name} and "
            f"{others[0].path.name}; keep those of one"
        )
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    along = {one.path: float(normal @ _place(one)) for one in series.slices}
    ordered = sorted(series.slices, key=lambda one: along[one.path])
    ordered = _without_doubles(ordered, along, notes)
    steps = np.diff([along[one.path] for one in ordered])
    step = float(np.median(steps))
    gaps = [place for place in np.flatnonzero(np.abs(steps - step) > _UNEVEN * step)]
    if gaps:
        where = ", ".join(
            f"{ordered[place].path.name} and {ordered[place + 1].path.name} ({steps[place]:.1f} mm)"
            for place in gaps[:_SAMPLE]
        )
        raise InputError(
            f"slices of series {series} lie {step:.1f} mm apart, but not between {where}; add what is missing, or "
            "resample the series"
        )
    if (np.abs(steps - step) > _ROUNDING * step).any():
        notes.append(f"uneven slices ({steps.min():.2f} to {steps.max():.2f} mm apart): taken as even")
    return ordered


def _without_doubles(ordered: list[SliceFile], along: dict[Path, float], notes: list[str]) -> list[SliceFile]:
    """Drop copies of slices; refuse other slices at the same place."""
    kept: list[SliceFile] = []
    dropped = 0
    for one in ordered:
        if kept and along[one.path] - along[kept[-1].path] < _SAME_PLACE_MM:
            if not np.array_equal(decode_slice(one.path)[0], decode_slice(kept[-1].path)[0]):
                raise InputError(
                    f"{kept[-1].path.name} and {one.path.name} show different slices at one place; keep the files of "
                    "one phase or reconstruction"
                )
            dropped += 1
        else:
            kept.append(one)
    if dropped:
        notes.append(f"{dropped} slices were there twice")
    if len(kept) < LEAST_SLICES:
        raise InputError(f"expected {LEAST_SLICES} slices or more, got {len(kept)}; choose a whole series")
    return kept


def _place(one: SliceFile) -> np.ndarray:
    return np.array(one.position_mm)
