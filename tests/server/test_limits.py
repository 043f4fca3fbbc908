import struct

import numpy as np
import pytest

from kcseg.server.failure import Failure
from kcseg.server.limits import MAXIMUM_COMMAS, MAXIMUM_PIXELS, check_json, check_pngs, check_shape


def png_head(width, height):
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height)


def test_what_fits_passes():
    check_shape((4, 1024, 1024))
    check_shape((0, 5, 5))
    check_pngs([png_head(2048, 1024), png_head(1024, 2048)])
    check_json(b"," * MAXIMUM_COMMAS)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_shape, (1, 2048, 2049)),
        (check_shape, (1 << 40, 1 << 40)),
        (check_shape, (-1, -1)),
        (check_shape, (1 << 20, 1, 1)),
        (check_pngs, [png_head(1, 1)] * (1 << 15)),
        (check_json, b"," * (MAXIMUM_COMMAS + 1)),
        (check_pngs, [png_head(2**32 - 1, 2**32 - 1)]),
        (check_pngs, [png_head(2048, 1024)] * 3),
        (check_pngs, [b""]),
        (check_pngs, [png_head(5, 5)[:20]]),
        (check_pngs, [b"\xff\xd8\xff\xe0JFIF" + bytes(99)]),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_unfolded(check, value):
    with pytest.raises(Failure, match="Expected"):
        check(value)


def test_any_image_of_the_largest_size_fits_into_the_bytes_allowed():
    from kcseg.server.limits import MAXIMUM_BYTES

    values = np.random.default_rng(0).integers(0, 2**32, 10_000, np.uint32).view(np.float32)
    longest = max(len(repr(value)) for value in values[np.isfinite(values)].tolist())
    assert (longest + len(",")) * MAXIMUM_PIXELS <= MAXIMUM_BYTES * 1.1
