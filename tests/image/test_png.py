import json
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from kcseg.errors import InputError
from kcseg.image.formats import read_image
from kcseg.image.listing import list_images
from kcseg.image.png import stated_hu_offset


def test_16_bit_png_is_read_with_the_stated_offset(tmp_path, hu, refusal):
    path = tmp_path / "a.png"
    PIL.Image.fromarray((hu.astype(int) + 1024).astype(np.uint16)).save(path)
    np.testing.assert_array_equal(read_image(path, hu_offset=-1024).hu, hu)
    assert "batch.json" in refusal(read_image, path)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "LA"])
def test_other_png_is_refused_as_image(tmp_path, mode, refusal):
    PIL.Image.new(mode, (20, 20)).save(tmp_path / "a.png")
    assert "16-bit grey PNG" in refusal(read_image, tmp_path / "a.png", hu_offset=-1024)


@pytest.mark.parametrize("side", [5000, 10_000, 100_000])
def test_png_of_too_many_pixels_is_refused_before_it_is_unpacked(tmp_path, hu, side, refusal):
    path = tmp_path / "a.png"
    PIL.Image.fromarray(hu.astype(np.uint16)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", side, side)  # width and height of the header
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    message = refusal(read_image, path, hu_offset=0)
    assert f"{side} x {side}" in message or "far too many pixels" in message


def test_a_truncated_png_is_called_so(tmp_path, hu, refusal):
    PIL.Image.fromarray(hu.astype(np.uint16)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-200])
    assert "truncated or damaged" in refusal(read_image, tmp_path / "a.png", hu_offset=0)


@pytest.fixture
def batches(tmp_path, hu):
    """Two batches of one PNG each, with offsets of their own."""
    for name, offset in {"one": -1024, "other": -1000}.items():
        (tmp_path / name / "images").mkdir(parents=True)
        stored = (hu.astype(int) - offset).astype(np.uint16)
        PIL.Image.fromarray(stored).save(tmp_path / name / "images" / f"{name}.png")
        (tmp_path / name / "batch.json").write_text(json.dumps({"hu_offset": offset}))
    return tmp_path


def test_the_stated_offset_is_found_from_wherever_a_user_starts(batches, monkeypatch):
    for name, offset in {"one": -1024, "other": -1000}.items():
        for place in (".", "images", f"images/{name}.png", "images/missing.png"):
            assert stated_hu_offset(batches / name / place) == offset
    monkeypatch.chdir(batches / "one" / "images")
    assert stated_hu_offset(Path()) == stated_hu_offset(Path("one.png")) == -1024
    assert stated_hu_offset(batches) is None and stated_hu_offset(batches / "missing") is None


def test_each_image_is_read_with_the_offset_of_its_batch(batches, hu):
    for path in list_images(batches / "one", batches / "other").values():
        np.testing.assert_array_equal(read_image(path).hu, hu)
    given = read_image(batches / "one" / "images" / "one.png", hu_offset=0)  # goes before what is stated
    np.testing.assert_array_equal(given.hu, hu + 1024)


@pytest.mark.parametrize("offset", ["-1000", -1000.5, True, [1], 10**9])
def test_offset_that_is_no_whole_number_is_refused(tmp_path, offset):
    (tmp_path / "batch.json").write_text(json.dumps({"hu_offset": offset}))
    with pytest.raises(InputError, match="expected a whole number as hu_offset"):
        stated_hu_offset(tmp_path)
