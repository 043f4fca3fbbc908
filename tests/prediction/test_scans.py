import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from kcseg.errors import InputError
from kcseg.image.nifti import write_volume
from kcseg.prediction.scans import predict_scans
from kcseg.scan.options import ScanOptions
from kcseg.scan.result import LABELS
from tests.scan.conftest import Body, Seeing, axial, write_series

BOTH = ScanOptions(any_contrast=True)


@pytest.fixture(scope="module")
def ensemble():
    from kcseg.serving.runner import Ensemble

    return Ensemble(Seeing())


@pytest.fixture(scope="module")
def scan():
    return Body().scan(*axial((3.0, 3.0, 4.0)))


@pytest.fixture(scope="module")
def series(scan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "anna"
    write_series(folder, scan)
    return folder


@pytest.fixture(scope="module")
def results(series, ensemble, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    return predict_scans(ensemble, {"anna": series}, out, BOTH), out


def test_a_row_for_each_kidney_and_files_beside_it(results):
    rows, out = results
    with (out / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["id"], row["side"]) for row in table] == [("anna", "right"), ("anna", "left")]
    assert [float(row["cortex_ml"]) for row in table] == [row["cortex_ml"] for row in rows]
    said = json.loads((out / "measures.json").read_text())
    assert said["labels"] == LABELS and len(said["scans"]["anna"]["kidneys"]) == 2
    assert (out / "montages" / "anna.png").is_file()
    assert "viewers/anna.html" in (out / "index.html").read_text()
    assert {path.name for path in (out / "viewers").iterdir()} == {"anna.html", "niivue.js"}


def test_labels_lie_on_the_grid_of_the_scan_and_hold_what_the_table_says(results, scan):
    rows, out = results
    volume = nibabel.load(out / "labels" / "anna.nii.gz")
    np.testing.assert_allclose(volume.affine, scan.affine, atol=1e-3)
    labels = np.asarray(volume.dataobj)
    for row in rows:
        cortex_ml = np.count_nonzero(labels == LABELS[f"{row['side']} cortex"]) * scan.voxel_ml
        assert row["cortex_ml"] == pytest.approx(cortex_ml, abs=0.05)
    thickness = np.asarray(nibabel.load(out / "thickness" / "anna.nii.gz").dataobj)
    assert (thickness[labels == 0] == 0).all()
    assert np.median(thickness[(thickness > 0) & (labels == 1)]) == pytest.approx(
        rows[0]["thickness_mm"], abs=0.1
    )


def test_dicom_seg_reads_back_as_the_labels(results, series):
    hd = pytest.importorskip("highdicom", reason="the extra kcseg[dicom] is not installed")
    _, out = results
    found = hd.seg.segread(out / "segmentations" / "anna.dcm")
    labels = np.asarray(nibabel.load(out / "labels" / "anna.nii.gz").dataobj)
    for number in found.segment_numbers:
        described = found.get_segment_description(number)
        side = described.segment_label.split()[0]
        parts = ("cortex",) if "cortex" in described.segment_label else ("cortex", "medulla", "sinus")
        expected = np.isin(labels, [LABELS[f"{side} {part}"] for part in parts])
        files = [Path(path) for path in sorted(series.iterdir())]
        sources = [hd.imread(path).SOPInstanceUID for path in files]
        pixels = found.get_pixels_by_source_instance(
            sources, segment_numbers=[number], assert_missing_frames_are_empty=True
        )
        np.testing.assert_array_equal(pixels[..., 0].transpose(2, 1, 0) > 0, expected)
        modifier = described.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
        assert modifier.CodeMeaning == side.capitalize()
    assert len(found.segment_numbers) == 4


def test_no_name_of_a_patient_is_shown(tmp_path, scan, ensemble, capfd, recwarn):
    pytest.importorskip("highdicom", reason="the extra kcseg[dicom] is not installed")
    write_series(
        tmp_path / "series", scan, change=lambda dataset, k: setattr(dataset, "PatientName", "Winterbottom")
    )
    predict_scans(ensemble, {"one": tmp_path / "series"}, tmp_path / "out", BOTH)
    assert (tmp_path / "out" / "segmentations" / "one.dcm").is_file()
    shown = "".join(capfd.readouterr()) + "".join(str(warning.message) for warning in recwarn)
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.suffix != ".dcm"]
    assert "Winterbottom" not in shown
    assert not any(b"Winterbottom" in path.read_bytes() for path in written)


def test_a_mask_of_the_kidneys_from_another_tool_is_taken_on_its_own_grid(
    tmp_path, series, ensemble, results
):
    rows, out = results
    labels = nibabel.load(out / "labels" / "anna.nii.gz")
    mask = (np.asarray(labels.dataobj) > 0).astype(np.uint8)[:, ::-1]
    turned = labels.affine @ np.array(
        [[1, 0, 0, 0], [0, -1, 0, mask.shape[1] - 1], [0, 0, 1, 0], [0, 0, 0, 1.0]]
    )
    write_volume(tmp_path / "kidneys.nii.gz", np.ascontiguousarray(mask), turned)
    options = ScanOptions(kidneys=tmp_path / "kidneys.nii.gz", any_contrast=True)
    told = predict_scans(ensemble, {"anna": series}, tmp_path / "out", options)
    assert [row["kidney_ml"] for row in told] == [row["kidney_ml"] for row in rows]


def test_a_scan_without_kidneys_has_a_row_without_measures(tmp_path, ensemble):
    scan = Body(sides=()).scan(*axial((4.0, 4.0, 5.0)))
    write_volume(tmp_path / "empty.nii.gz", scan.hu, scan.affine)
    (row,) = predict_scans(ensemble, {"empty": tmp_path / "empty.nii.gz"}, tmp_path / "out")
    assert row["kidney_ml"] is None
    assert "no right kidney found" in row["note"] and "no left kidney found" in row["note"]


def test_what_was_finished_is_not_done_again(tmp_path, series, scan, ensemble):
    write_volume(tmp_path / "bob.nii.gz", scan.hu, scan.affine)
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8bnothing")
    scans = {"anna": series, "bob": tmp_path / "broken.nii.gz"}
    with pytest.raises(InputError):
        predict_scans(ensemble, scans, tmp_path / "out", BOTH)
    first = (tmp_path / "out" / "measures" / "anna.json").stat().st_mtime_ns
    rows = predict_scans(ensemble, {"anna": series, "bob": tmp_path / "bob.nii.gz"}, tmp_path / "out", BOTH)
    assert [row["id"] for row in rows] == ["anna", "anna", "bob", "bob"]
    assert (tmp_path / "out" / "measures" / "anna.json").stat().st_mtime_ns == first
    with pytest.raises(InputError, match="earlier results"):
        predict_scans(ensemble, {"anna": series}, tmp_path / "out", BOTH)
