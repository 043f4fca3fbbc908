"""Writes what was found in a DICOM series as DICOM-SEG, which opens over the series in any viewer."""

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom

import kcseg
from kcseg.errors import InputError
from kcseg.files import atomic_path
from kcseg.scan.options import SIDES
from kcseg.scan.result import LABELS, labels_of
from kcseg.scan.scan import Scan

_SERIES_NUMBER = 9000  # far from those of the study's own series (our choice)


def can_write_dicom_seg() -> bool:
    """Whether the extra kcseg[dicom] is installed."""
    return importlib.util.find_spec("highdicom") is not None


def write_dicom_seg(path: Path, scan: Scan, labels: np.ndarray) -> None:
    """Write cortex and kidney of each side as segments, of labels on the scan's grid.

    They carry SNOMED CT codes and the side, name kcseg and its version, and refer to each slice they lie in. As viewers
    need it, the file names the patient and the study as the series does.

    Raises:
        InputError: the extra kcseg[dicom] is not installed, or the scan is no DICOM series.
    """
    if not can_write_dicom_seg():
        raise InputError("DICOM-SEG needs highdicom; pip install 'kcseg[dicom]'")
    if len(scan.files) != scan.hu.shape[2]:
        raise InputError(
            "DICOM-SEG refers to the slices of a DICOM series, and this scan is none; take the NIfTI"
        )
    import highdicom as hd

    segments = _segments(labels)
    if not segments:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some quote the patient's name
        sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in scan.files]
        names, masks = zip(*segments, strict=True)
        segmentation = hd.seg.Segmentation(
            source_images=sources,
            # (slices, rows, columns, segments)
            pixel_array=np.stack([mask.transpose(2, 1, 0) for mask in masks], axis=-1).astype(np.uint8),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=_descriptions(names),
            series_instance_uid=hd.UID(),
            series_number=_SERIES_NUMBER,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="kcseg",
            manufacturer_model_name="kcseg",
            software_versions=kcseg.__version__,
            device_serial_number="0",
            content_label="RENAL_CORTEX",
            content_description="Renal cortex and kidneys; research only, not a medical device",
        )
        with atomic_path(path) as temporary:
            segmentation.save_as(temporary)


def _segments(labels: np.ndarray) -> list[tuple[tuple[str, str], np.ndarray]]:
    """Return (structure, side) and mask of what the labels hold."""
    found = []
    for side in SIDES:
        kidney = np.isin(labels, labels_of(side))
        for structure, mask in (("cortex", labels == LABELS[f"{side} cortex"]), ("kidney", kidney)):
            if mask.any():
                found.append(((structure, side), mask))
    return found


def _descriptions(names: Sequence[tuple[str, str]]) -> list[object]:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    kinds = {
        "cortex": ("50403003", "SCT", "Structure of cortex of kidney"),
        "kidney": ("64033007", "SCT", "Kidney"),
    }
    sides = {"right": codes.SCT.Right, "left": codes.SCT.Left}
    algorithm = hd.AlgorithmIdentificationSequence(
        name="kcseg",
        family=codes.DCM.ArtificialIntelligence,
        version=kcseg.__version__,
    )
    described = []
    for number, (structure, side) in enumerate(names, start=1):
        one = hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"{side} renal cortex" if structure == "cortex" else f"{side} kidney",
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=hd.sr.CodedConcept(*kinds[structure]),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        # the side, as a modifier of the structure
        one.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            hd.sr.CodedConcept.from_code(sides[side])
        ]
        described.append(one)
    return described
