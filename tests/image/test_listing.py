import os

import pytest

from kcseg.errors import InputError
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
    with pytest.raises(InputError, match=r"one file with id 'a'.*a.npy and a.png; remove one"):
        list_images(folder)


def test_file_of_another_kind_is_refused(folder):
    (folder / "table.csv").touch()
    with pytest.raises(InputError, match=r"expected an image .*table.csv; convert it or move it away"):
        list_images(folder)
    (folder / "table.csv").unlink()
    with pytest.raises(InputError, match=r"expected a mask .*c.dcm"):
        list_masks(folder)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot list .*missing"):
        list_images(tmp_path / "missing")
    with pytest.raises(InputError, match="is empty; put an image"):
        list_images(tmp_path)


def test_links_are_followed_inside_the_folder_only(folder, tmp_path_factory):
    (folder / "inside.npy").symlink_to("a.npy")
    assert "inside" in list_images(folder)
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.npy"
    secret.touch()
    (folder / "out.npy").symlink_to(secret)
    (folder / "up.npy").symlink_to("../secret.npy")
    (folder / "round.npy").symlink_to("round.npy")
    (folder / "long.npy").symlink_to("x" * 300)
    faults = scan_images(folder, folder).faults
    assert [fault for fault in faults if "out.npy is a link out of" in fault]
    assert [fault for fault in faults if "up.npy is a link out of" in fault]
    for number in range(1200):  # more than Python follows
        (folder / f"chain-{number:04}.npy").symlink_to(f"chain-{number + 1:04}.npy")
    assert any("chain-0000.npy is a link out of" in fault for fault in scan_images(folder, folder).faults)


def test_every_fault_of_a_folder_is_listed(folder):
    for name in ("a.png", "b.npy", "notes.txt"):
        (folder / name).touch()
    listing = scan_images(folder, folder)
    assert len(listing.faults) == 3 and list(listing.files) == ["a", "b", "c", "c-1"]


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


def test_a_folder_of_too_many_files_is_refused(folder, monkeypatch):
    monkeypatch.setattr("kcseg.image.listing._MOST_FILES", 6)
    with pytest.raises(InputError, match="expected at most 6 files"):
        list_images(folder)
    monkeypatch.setattr("kcseg.image.listing._MOST_FILES", 7)
    assert len(list_images(folder)) == 4
