import os
import unicodedata
from pathlib import Path

import pytest

from kcseg.errors import InputError
from kcseg.image.formats import read_image
from kcseg.image.listing import list_images, list_masks, pairing_faults, scan_images


@pytest.fixture
def folder(tmp_path):
    for name in ("b.nii.gz", "a.npy", "c-1.png", "c.dcm", ".hidden.npy", ".DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / "subfolder").mkdir()
    return tmp_path


def test_images_are_listed_by_id_without_hidden_files(folder):
    listed = list_images(folder)
    assert list(listed) == ["a", "b", "c", "c-1"]
    assert listed["b"] == folder / "b.nii.gz"


def test_inner_folder_is_taken_where_there_is_one(folder):
    (folder / "images").mkdir()
    (folder / "images" / "z.npy").touch()
    (folder / "masks").mkdir()
    (folder / "masks" / "y.png").touch()
    assert list(list_images(folder)) == ["z"] and list(list_masks(folder)) == ["y"]


def test_files_and_folders_may_be_named_together(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "d.npy"
    other.touch()
    assert list(list_images(folder, other)) == ["a", "b", "c", "c-1", "d"]
    with pytest.raises(InputError, match="one file with id 'a'"):
        list_images(folder, folder / "a.npy")


def test_two_files_with_one_id_are_refused(folder):
    (folder / "a.png").touch()
    with pytest.raises(InputError, match=r"one file with id 'a'.*a.npy and .*a.png; remove one"):
        list_images(folder)


def test_a_file_of_another_kind_is_passed_over_in_a_folder_and_refused_where_it_is_named(folder):
    (folder / "table.csv").touch()
    assert "table" not in list_images(folder) and "table.csv" in scan_images(folder).passed_over
    with pytest.raises(InputError, match=r"expected an image .*table.csv; convert it or move it away"):
        list_images(folder / "table.csv")
    with pytest.raises(InputError, match=r"expected a mask .*c.dcm"):
        list_masks(folder)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot list .*missing"):
        list_images(tmp_path / "missing")
    with pytest.raises(InputError, match=r"expected an image .* found none; put it there"):
        list_images(tmp_path)


def test_links_are_followed_where_they_lead_to_a_file(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "other.npy"
    elsewhere.touch()
    (folder / "inside.npy").symlink_to("a.npy")
    (folder / "out.npy").symlink_to(elsewhere)
    (folder / "round.npy").symlink_to("round.npy")
    (folder / "long.npy").symlink_to("x" * 300)
    listed = list_images(folder)
    assert {"inside", "out"} < set(listed)
    for name in ("round", "long"):
        with pytest.raises(InputError, match="is not a file"):
            read_image(listed[name])


def test_what_systems_and_cds_leave_is_passed_over_and_told_once(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "d.npy").touch()
    left = ("DICOMDIR", "Thumbs.db", "ehthumbs.db", "desktop.ini", "._a.npy", ".DS_Store")
    for place in (folder, other):
        for name in left:
            (place / name).write_bytes(bytes(128) + b"DICM")
    listing = scan_images(folder, other)
    assert listing.faults == () and list(listing.files) == ["a", "b", "c", "c-1", "d"]
    assert sorted(listing.passed_over) == sorted([*left, ".hidden.npy"])
    assert list(list_images(*filter(Path.is_file, folder.iterdir()))) == [
        "a",
        "b",
        "c",
        "c-1",
    ]  # named one by one, as by a shell
    with pytest.raises(InputError, match=r"expected an image .*got DICOMDIR, which is none"):
        list_images(folder / "DICOMDIR")


def test_an_image_and_its_mask_pair_however_their_names_are_composed(tmp_path):
    composed, apart = (
        unicodedata.normalize(form, "Ha\u0308ngende Niere \u00fc.npy") for form in ("NFC", "NFD")
    )
    for kind, name in {"images": apart, "masks": composed}.items():
        (tmp_path / kind).mkdir()
        (tmp_path / kind / name).touch()
    assert pairing_faults(list_images(tmp_path), list_masks(tmp_path)) == []
    assert list(list_images(tmp_path)) == [composed.removesuffix(".npy")]
    (tmp_path / "images" / composed).touch()
    with pytest.raises(InputError, match="one file with id"):
        list_images(tmp_path)


@pytest.mark.parametrize("name", ["CT.2.IMA", "CT.2.ima", "CT.2.dicom", "CT.2.DICOM", "CT.2.DCM"])
def test_suffixes_of_dicom_are_no_part_of_the_id(tmp_path, name):
    (tmp_path / name).touch()
    assert list(list_images(tmp_path)) == ["CT.2"]


def test_names_too_long_for_the_results_are_refused(folder):
    fits = folder / ("n" * (255 - len(".nii.gz")) + ".npy")
    fits.touch()
    assert len(list_images(folder)) == 5
    (folder.parent / f"{fits.stem}.nii.gz").touch()  # a result of this name can be written
    longer = folder / ("n" * 249 + ".npy")
    longer.touch()
    for paths in (folder, longer):
        with pytest.raises(InputError, match=r"at most 248 bytes without suffix.*got 249"):
            list_images(paths)


def test_every_fault_of_a_folder_is_listed(folder):
    for name in ("a.png", "b.npy", "notes.txt"):
        (folder / name).touch()
    listing = scan_images(folder)
    assert (
        len(listing.faults) == 2
        and "notes.txt" in listing.passed_over
        and list(listing.files) == ["a", "b", "c", "c-1"]
    )


def test_files_without_a_partner_are_named(folder):
    images = {"a": folder / "a.npy", "b": folder / "b.npy"}
    masks = {"b": folder / "b.png", "c": folder / "c.png"}
    assert pairing_faults(images, masks) == [
        f"no mask for {folder}/a.npy; add it or remove the image",
        f"no image for {folder}/c.png; add it or remove the mask",
    ]


@pytest.mark.parametrize("name", [b"a\nb.npy", b"\xff.npy", b"\x1b[31m.npy", b"a\x7f.npy"])
def test_names_that_no_table_can_hold_are_refused_and_others_taken(folder, name):
    path = folder / os.fsdecode(name)
    path.touch()
    for paths in (folder, path):
        with pytest.raises(InputError, match="expected a name of printable UTF-8") as caught:
            list_images(paths)
        assert str(caught.value).isprintable()
    path.rename(folder / "Niere rechts, 2\u00a0mm \u05db\u05dc\u05d9\u05d4.npy")
    assert len(list_images(folder)) == 5
