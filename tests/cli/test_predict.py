import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kcseg.cli import main
from kcseg.files import read_csv
from kcseg.image.nifti import write_volume
from tests.scan.conftest import Body, axial, write_series


def predict(model, *arguments):
    return CliRunner().invoke(main, ["predict", *map(str, arguments), "--model", str(model)])


def test_a_mask_an_overlay_and_a_row_for_each_image(tmp_path, trained_run, ring_challenge):
    out = tmp_path / "out"
    result = predict(trained_run.folder, ring_challenge / "test", "--out", out)
    assert result.exit_code == 0, result.output
    rows = read_csv(out / "table.csv")
    assert [row["id"] for row in rows] == ["0000", "0001", "0002", "0003"]
    as_json = json.loads((out / "table.json").read_text())
    assert [str(row["cortex_mm2"]) for row in as_json] == [row["cortex_mm2"] for row in rows]
    for row in rows:
        mask = np.asarray(Image.open(out / "masks" / f"{row['id']}.png"))
        assert mask.shape == (32, 32) and set(np.unique(mask)) <= {0, 255}
        assert float(row["cortex_mm2"]) == np.count_nonzero(mask)
        assert f"overlays/{row['id']}.png" in (out / "index.html").read_text()
        assert Image.open(out / "overlays" / f"{row['id']}.png").width == 3 * 18 * 32


def test_an_image_without_cortex_is_said_to_have_none(tmp_path, trained_run):
    np.save(tmp_path / "fat.npy", np.random.default_rng(0).normal(-900, 5, (40, 50)))
    result = predict(trained_run.folder, tmp_path / "fat.npy", "--out", tmp_path / "out")
    assert result.exit_code == 0
    (row,) = read_csv(tmp_path / "out" / "table.csv")
    assert float(row["cortex_mm2"]) < 1000 and "cortex found" in row["note"]


def test_results_are_not_written_over_without_force(tmp_path, trained_run, ring_challenge):
    arguments = (trained_run.folder, ring_challenge / "test", "--out", tmp_path)
    assert predict(*arguments).exit_code == 0
    before = (tmp_path / "table.csv").stat().st_mtime_ns
    result = predict(*arguments)
    assert result.exit_code == 2 and "--force" in result.output
    assert (tmp_path / "table.csv").stat().st_mtime_ns == before
    assert predict(*arguments, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x93NUMPY", "bad.npy"),
        (np.zeros((3, 32, 32)), "got shape (3, 32, 32)"),
        (np.full((32, 32), np.nan), "bad.npy"),
        (np.full((32, 32), 7.0), "bad.npy"),
    ],
)
def test_a_bad_file_among_good_ones_leaves_nothing_behind(tmp_path, trained_run, content, message):
    folder = tmp_path / "images"
    folder.mkdir()
    np.save(folder / "a_good.npy", np.random.default_rng(0).normal(0, 50, (32, 32)))
    if isinstance(content, bytes):
        (folder / "bad.npy").write_bytes(content)
    else:
        np.save(folder / "bad.npy", content)
    result = predict(trained_run.folder, folder, "--out", tmp_path / "out")
    assert result.exit_code == 2 and message in result.output.replace("\n", " ").replace("  ", " ")
    assert "Traceback" not in result.output and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        ("scan", ("--hu-offset", "-1024"), "for images; leave them out for a scan"),
        ("scan", ("--skip-bad",), "for images; leave them out for a scan"),
        ("image", ("--side", "left"), "for scans; leave them out for images"),
        ("image", ("--series", "2"), "for scans; leave them out for images"),
    ],
)
def test_options_of_scans_and_of_images_are_kept_apart(tmp_path, trained_run, made, options, message):
    np.save(tmp_path / "image.npy", np.zeros((40, 50)))
    write_volume(tmp_path / "scan.nii.gz", np.zeros((20, 20, 20), np.int16), np.eye(4), "mm")
    path = tmp_path / {"scan": "scan.nii.gz", "image": "image.npy"}[made]
    result = predict(trained_run.folder, path, "--out", tmp_path / "out", *options)
    assert result.exit_code == 2 and message in " ".join(result.output.split()).replace("│ ", "")
    assert not (tmp_path / "out").exists()


def test_bad_files_are_passed_over_and_named_where_asked(tmp_path, trained_run):
    for name in ("good", "cut"):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).normal(-900, 5, (40, 50)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:200])
    (tmp_path / "notes.txt").write_text("no image")
    assert predict(trained_run.folder, tmp_path, "--out", tmp_path / "out").exit_code == 2
    result = predict(trained_run.folder, tmp_path, "--out", tmp_path / "out", "--skip-bad")
    assert result.exit_code == 0, result.output
    assert "Passed over: notes.txt" in result.output and "cut.npy" in result.output
    assert [row["id"] for row in read_csv(tmp_path / "out" / "table.csv")] == ["good"]
    (tmp_path / "good.npy").unlink()
    result = predict(trained_run.folder, tmp_path, "--out", tmp_path / "none", "--skip-bad")
    assert (
        result.exit_code == 2 and "no image can be read" in result.output and not (tmp_path / "none").exists()
    )


def test_one_member_alone_comes_from_packed_weights(tmp_path, trained_run, packed, ring_challenge):
    result = predict(packed, ring_challenge / "test", "--out", tmp_path / "out", "--fast")
    assert result.exit_code == 0, result.output
    assert {row["disagreement"] for row in read_csv(tmp_path / "out" / "table.csv")} <= {"0.0", ""}
    for model in (trained_run.folder, "http://127.0.0.1:1/v1/models/kcseg"):
        result = predict(model, ring_challenge / "test", "--out", tmp_path / "none", "--fast")
        assert result.exit_code == 2 and not (tmp_path / "none").exists()


def test_a_folder_without_a_model_is_named(tmp_path, ring_challenge):
    result = predict(tmp_path, ring_challenge / "test", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "no exported ensemble" in result.output


def test_masks_come_back_on_the_grid_of_the_file(tmp_path, trained_run):
    import nibabel

    hu = np.random.default_rng(0).normal(0, 50, (48, 1, 64)).astype(np.float32)  # right, front, head
    nibabel.save(nibabel.Nifti1Image(hu, np.diag([2.0, 3.0, 1.5, 1.0])), tmp_path / "exam.nii.gz")
    assert predict(trained_run.folder, tmp_path / "exam.nii.gz", "--out", tmp_path / "out").exit_code == 0
    assert Image.open(tmp_path / "out" / "masks" / "exam.png").size == (48, 64)


def test_a_scan_needs_a_mask_of_the_kidneys_where_the_networks_find_none(tmp_path, trained_run):
    scan = Body().scan(*axial((4.0, 4.0, 5.0)))
    series = tmp_path / "anna"
    write_series(series, scan)
    result = predict(trained_run.folder, series, "--out", tmp_path / "out")
    assert result.exit_code == 2 and "name a mask of the kidneys" in result.output
    assert not (tmp_path / "out").exists()
    write_volume(
        tmp_path / "kidneys.nii.gz", ((scan.hu > 70) & (scan.hu < 300)).astype(np.uint8), scan.affine
    )
    options = ("--kidneys", tmp_path / "kidneys.nii.gz", "--side", "left", "--any-contrast")
    result = predict(trained_run.folder, series, "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    (row,) = read_csv(tmp_path / "out" / "table.csv")
    assert row["id"] == "anna" and row["side"] == "left" and 100 < float(row["kidney_ml"]) < 180
    again = predict(trained_run.folder, series, "--out", tmp_path / "out", *options)
    assert again.exit_code == 2 and "--force" in again.output
