import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kcseg.serving.png import decode_grey_png

PIXELS = np.random.default_rng(0).integers(0, 2**16, (3, 21, 34)).astype(np.uint16)
MOST = 10_000


def png(pixels: np.ndarray, mode: str | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(file, options.pop("format", "PNG"), **options)
    return file.getvalue()


def forged(width: int, height: int, depth: int = 16) -> bytes:
    """A PNG that claims a size its data do not have."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(100))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture(scope="module")
def decode():
    signature = [tf.TensorSpec(None, tf.string)]
    return tf.function(lambda image_bytes: decode_grey_png(image_bytes, MOST), input_signature=signature)


def test_stored_values_come_out_as_they_are(decode):
    found = decode([png(pixels) for pixels in PIXELS])
    assert found.dtype == tf.uint16
    np.testing.assert_array_equal(found, PIXELS)
    np.testing.assert_array_equal(decode([png(PIXELS[0], compress_level=0)]), PIXELS[:1])


GREY8 = (PIXELS[0] >> 8).astype(np.uint8)
RGB = np.repeat(GREY8[..., None], 3, axis=-1)
WHOLE = png(PIXELS[0])

REFUSED = {
    "none": ([], "at least one picture"),
    "empty": ([b""], "expected PNG"),
    "text": ([b"not a picture"], "expected PNG"),
    "JPEG": ([png(GREY8, format="JPEG")], "expected PNG"),
    "8-bit": ([png(GREY8)], "16-bit grey"),
    "1-bit": ([png(GREY8, "1")], "16-bit grey"),
    "palette": ([png(GREY8, "P")], "16-bit grey"),
    "RGB": ([png(RGB)], "16-bit grey"),
    "grey with alpha": ([png(GREY8, "LA")], "16-bit grey"),
    "one of two is 8-bit": ([WHOLE, png(GREY8)], "16-bit grey"),
    "two sizes": ([WHOLE, png(PIXELS[0, 1:])], "one size"),
    "turned": ([WHOLE, png(PIXELS[0].T.copy())], "one size"),
    "header alone": ([WHOLE[:33]], "PNG"),
    "cut short": ([WHOLE[: len(WHOLE) // 2]], "PNG"),
    "end missing": ([WHOLE[:-20]], "PNG"),
    "bit flipped": ([WHOLE[:60] + bytes([WHOLE[60] ^ 1]) + WHOLE[61:]], "PNG"),
    "data too short": ([forged(50, 50)], "PNG"),
    "no width": ([forged(0, 50)], "PNG"),
    "large": ([forged(101, 100)], f"at most {MOST} pixels"),
    "many": ([WHOLE] * 15, f"at most {MOST} pixels"),
    "huge": ([forged(2**31 - 1, 2**31 - 1)], f"at most {MOST} pixels"),
    "size beyond int64": ([forged(2**32 - 1, 2**32 - 1)] * 4, f"at most {MOST} pixels"),
    "a table": ([[WHOLE]], "shape"),
    "a scalar": (WHOLE, "shape"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_such_picture_is_refused(decode, kind):
    pictures, message = REFUSED[kind]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode(tf.constant(pictures, tf.string))


def test_random_damage_is_decoded_or_refused(decode):
    random = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(WHOLE)
        for place in random.integers(0, len(damaged), 3):
            damaged[place] = random.integers(256)
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            assert decode([bytes(damaged)]).dtype == tf.uint16
