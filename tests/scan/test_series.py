import zipfile
from dataclasses import replace

import numpy as np
import pytest

from kcseg.errors import InputError
from kcseg.scan.read import list_scans, read_scan
from kcseg.scan.scan import Scan
from kcseg.scan.series import find_series
from tests.scan.conftest import Body, axial


@pytest.fixture(scope="module")
def small():
    """A coarse scan, quick to write."""
    return Body().scan(*axial((5.0, 5.0, 10.0)))


def test_a_series_is_read_as_it_was_written(tmp_path, small, save_series):
    files = save_series(tmp_path / "series", small)
    scan = read_scan(tmp_path / "series")
    np.testing.assert_array_equal(scan.hu, small.hu)
    np.testing.assert_allclose(scan.affine, small.affine, atol=1e-4)
    assert scan.notes == ("thick slices (10.0 mm)",) and list(scan.files) == files


def test_neither_names_nor_instance_numbers_nor_direction_matter(tmp_path, small, save_series):
    backwards = Scan(small.hu[..., ::-1], small.affine @ turned_over(small))
    order = np.random.default_rng(0).permutation(small.hu.shape[2])
    names = [f"{place:03}.dcm" for place in order]

    def renumber(dataset, k):
        dataset.InstanceNumber = str(int(order[k]) + 7)

    save_series(tmp_path / "series", backwards, names=names, change=renumber)
    scan = read_scan(tmp_path / "series")
    np.testing.assert_array_equal(scan.hu, small.hu)
    np.testing.assert_allclose(scan.affine, small.affine, atol=1e-4)


def test_an_archive_is_read_too(tmp_path, small, save_series):
    files = save_series(tmp_path / "series", small)
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        for path in files:
            archive.write(path, f"../{path.name}")
    np.testing.assert_array_equal(read_scan(tmp_path / "scan.zip").hu, small.hu)
    (tmp_path / "broken.zip").write_bytes((tmp_path / "scan.zip").read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot unpack"):
        read_scan(tmp_path / "broken.zip")


def test_copies_of_slices_are_dropped_and_told(tmp_path, small, save_series):
    files = save_series(tmp_path / "series", small)
    (tmp_path / "series" / "again").write_bytes(files[4].read_bytes())
    scan = read_scan(tmp_path / "series")
    np.testing.assert_array_equal(scan.hu, small.hu)
    assert "1 slices were there twice" in scan.notes


def test_two_phases_in_one_series_are_refused(tmp_path, small, save_series):
    save_series(tmp_path / "series", small)
    uid = find_series(tmp_path)[0].uid

    def same_series(dataset, k):
        dataset.SeriesInstanceUID = uid

    brighter = replace(small, hu=small.hu + 10)
    names = [f"B{k:03}" for k in range(small.hu.shape[2])]
    save_series(tmp_path / "series", brighter, names=names, change=same_series)
    with pytest.raises(InputError, match="different slices at one place; keep the files of one phase"):
        read_scan(tmp_path / "series")


def test_a_missing_slice_is_named_by_its_neighbours(tmp_path, small, save_series):
    files = save_series(tmp_path / "series", small)
    files[6].unlink()
    with pytest.raises(InputError, match=r"10\.0 mm apart, but not between IM0005 and IM0007 \(20\.0 mm\)"):
        read_scan(tmp_path / "series")


def test_slightly_uneven_slices_are_told(tmp_path, small, save_series):
    def move(dataset, k):
        if k == 3:
            dataset.ImagePositionPatient[2] += 0.6

    save_series(tmp_path / "series", small, change=move)
    assert "uneven slices (9.40 to 10.60 mm apart): taken as even" in read_scan(tmp_path / "series").notes


def test_other_orientations_within_a_series_are_refused(tmp_path, small, save_series):
    def turn(dataset, k):
        if k == 3:
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    save_series(tmp_path / "series", small, change=turn)
    with pytest.raises(InputError, match=r"several orientations, e\.g\. IM0000 and IM0003"):
        read_scan(tmp_path / "series")


def test_a_tilted_gantry_is_told_and_its_affine_sheared(tmp_path, small, save_series):
    tilted = small.affine.copy()
    tilted[:3, 1] = 0, -5 * np.cos(0.2), -5 * np.sin(0.2)
    save_series(tmp_path / "series", replace(small, affine=tilted))
    scan = read_scan(tmp_path / "series")
    np.testing.assert_allclose(scan.affine, tilted, atol=1e-4)
    assert "gantry tilted by 11°" in scan.notes


def test_several_series_are_listed_and_one_is_chosen(tmp_path, small, save_series):
    save_series(tmp_path / "study" / "a", small, description="native", number=2)
    save_series(tmp_path / "study" / "b", replace(small, hu=small.hu + 5), description="arterial", number=3)
    with pytest.raises(InputError, match=r"2 series in .*; choose one .*2: native, 23 slices; 3: arterial"):
        read_scan(tmp_path / "study")
    np.testing.assert_array_equal(read_scan(tmp_path / "study", series="3").hu, small.hu + 5)
    with pytest.raises(InputError, match="no series 9"):
        read_scan(tmp_path / "study", series="9")


def test_scouts_and_what_is_no_ct_are_passed_over(tmp_path, small, save_series):
    def scout(dataset, k):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    save_series(tmp_path / "study" / "a", small)
    save_series(tmp_path / "study" / "scout", small, change=scout)
    save_series(
        tmp_path / "study" / "pet", small, change=lambda dataset, k: setattr(dataset, "Modality", "PT")
    )
    (tmp_path / "study" / "notes.txt").write_text("nothing")
    assert len(find_series(tmp_path / "study")) == 1
    with pytest.raises(InputError, match="no CT series of 8 slices or more"):
        read_scan(tmp_path / "study" / "pet")


def test_a_tree_of_studies_is_a_scan_each(tmp_path, small, save_series):
    for name in ("anna", "bob"):
        save_series(tmp_path / name / "ct", small, study=f"1.2.{len(name)}")
    assert list_scans(tmp_path) == {name: tmp_path / name / "ct" for name in ("anna", "bob")}
    assert list_scans(tmp_path / "anna") == {"anna": tmp_path / "anna"}
    save_series(tmp_path / "bob" / "later", small, study="1.2.9")
    assert set(list_scans(tmp_path)) == {"anna", "bob-ct", "bob-later"}


def test_images_beside_scans_are_not_left_out_silently(tmp_path, small, save_series):
    save_series(tmp_path / "series", small)
    np.save(tmp_path / "image.npy", np.zeros((40, 50)))
    assert not list_scans(tmp_path / "image.npy")
    with pytest.raises(InputError, match=r"no scan in .*image\.npy; name scans in one command, images"):
        list_scans(tmp_path / "series", tmp_path / "image.npy")


def test_unequal_slices_are_refused(tmp_path, small, save_series):
    def narrow(dataset, k):
        if k == 2:
            dataset.Columns -= 1
            dataset.PixelData = dataset.PixelData[: 2 * dataset.Rows * dataset.Columns]

    save_series(tmp_path / "series", small, change=narrow)
    with pytest.raises(InputError, match="other pixels than"):
        read_scan(tmp_path / "series")


def turned_over(scan):
    """The affine from the index of a scan whose slices are reversed to the index of that scan."""
    turn = np.diag([1.0, 1.0, -1.0, 1.0])
    turn[2, 3] = scan.hu.shape[2] - 1
    return turn
