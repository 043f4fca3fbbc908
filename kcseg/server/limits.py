"""What a request may ask of the server; all numbers are our choice."""

import math
import struct
from collections.abc import Sequence

from kcseg.server.failure import invalid

MAXIMUM_PIXELS = 4 << 20  # a request's images together: 113 crops of 192 x 192, or one of 2048 x 2048
MAXIMUM_BYTES = 24 * MAXIMUM_PIXELS  # a float32 in JSON takes at most 24 characters
MAXIMUM_COMMAS = MAXIMUM_PIXELS + 1000  # there is one between every two numbers; the rest is names
RECEIVE_S = 30.0  # for a request's body, so that a slow sender holds no place in the queue for long
# how long a gRPC connection lasts, and how long what was asked over it may take then: as long as a full queue
CONNECTION_S, LAST_ANSWERS_S = 60.0, 300.0
RUNNING = 2  # one request is read or written while TensorFlow, which uses all cores, works on the other
WAITING = 16
STOP_S = 30.0  # for what is in flight when the server is told to stop

_LEAST_SIDE = 16  # px: what the readers take at least
_PNG = b"\x89PNG\r\n\x1a\n"


def check_json(body: bytes | bytearray) -> None:
    """Raise a Failure for JSON of more numbers than a request may have, before it is read."""
    if body.count(b",") > MAXIMUM_COMMAS:
        raise invalid(f"Expected at most {MAXIMUM_PIXELS} pixels in a request; send fewer images")


def check_shape(shape: Sequence[int]) -> None:
    """Raise a Failure for a tensor of too many elements, before memory is given to it."""
    pixels = math.prod(shape[:-2]) * _cost_px(shape[-2:])
    if any(side < 0 for side in shape) or pixels > MAXIMUM_PIXELS:
        raise invalid(
            f"Expected at most {MAXIMUM_PIXELS} pixels in a request, got shape {list(shape)}; send fewer images"
        )


def check_pngs(files: Sequence[bytes]) -> None:
    """Raise a Failure for what is no PNG, and for PNGs of too many pixels in all, before they are decoded."""
    pixels = 0
    for file in files:
        # a PNG begins with its signature and the header chunk: length, "IHDR", width, height
        # where a tensor holds fewer strings than its shape says, TensorFlow fills it up with text
        if not isinstance(file, bytes) or not file.startswith(_PNG) or len(file) < 24:
            raise invalid("Expected a PNG file as image_bytes")
        pixels += _cost_px(struct.unpack(">II", file[16:24]))
    check_shape((pixels,))


def _cost_px(sides: Sequence[int]) -> int:
    """Return the pixels an image costs: the deepest level keeps one, so that narrower ones than this cost as much."""
    return math.prod(max(side, _LEAST_SIDE) for side in sides)
