"""Breaks the contents of files: bytes, archives and JSON."""

import copy
import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

NUMBERS = (0, 1, 2, 3, *(2**bits - less for bits in (7, 8, 15, 16, 31, 32, 63, 64) for less in (1, 0)))
VALUES = (
    None, True, 0, 1, -1, 7, 255, 2**31, 2**63, -(2**64), 10**30, 0.5, -1e9, 1e9, 1e308, float("inf"), float("nan"),
    "", "a", "nearest", "../../x", "\0", [], [[]], [0], [1e9] * 6, {}, {"a": 1}, "9" * 5000,
)  # fmt: skip


def broken(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """Return a sample with one to five changes of its bytes, mostly among the first, where headers lie."""
    content = bytearray(one_of(random, samples))
    for _ in range(random.integers(1, 6)):
        limit = len(content) if random.random() < 0.3 else min(len(content), 600)
        place = int(random.integers(limit + 1))
        match random.integers(9):
            case 0 | 1 if content:
                content[place % len(content)] ^= 1 << random.integers(8)
            case 2:
                content[place : place + 1] = random.bytes(1)
            case 3 | 4:
                size, order = int(random.choice([1, 2, 4, 8])), str(random.choice(["little", "big"]))
                number = one_of(random, NUMBERS) % 256**size
                content[place : place + size] = number.to_bytes(size, order)
            case 5:
                content[place : place + int(random.integers(1, 64))] = b""
            case 6:
                content[place:place] = random.bytes(random.integers(1, 16))
            case 7:
                other = one_of(random, samples)
                start = int(random.integers(max(len(other), 1)))
                content[place : place + 32] = other[start : start + int(random.integers(1, 64))]
            case 8:
                del content[int(random.integers(len(content) + 1)) :]
    return bytes(content)


def one_of(random: np.random.Generator, choices: Sequence):
    return choices[random.integers(len(choices))]


def broken_png(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """Mostly with check sums put right, so that what lies behind them is reached."""
    content = bytearray(broken(random, samples))
    place = 8
    while random.random() < 0.9 and place + 12 <= len(content):
        end = place + 8 + struct.unpack(">I", content[place : place + 4])[0]
        if end + 4 > len(content):
            break
        content[end : end + 4] = struct.pack(">I", zlib.crc32(content[place + 4 : end]))
        place = end + 4
    return bytes(content)


def broken_gzip(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """Half of the time broken inside of its compression."""
    if random.random() < 0.5:
        return broken(random, samples)
    return gzip.compress(broken(random, [gzip.decompress(one) for one in samples]), compresslevel=1)


def broken_zip(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """Mostly broken inside of a member, lacking one, or with one under another's name."""
    if random.random() < 0.3:
        return broken(random, samples)
    with zipfile.ZipFile(io.BytesIO(one_of(random, samples))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen, other = (one_of(random, list(members)) for _ in range(2))
    match random.integers(4):
        case 0:
            del members[chosen]
        case 1:
            members[chosen] = members[other]
        case _:
            members[chosen] = broken(random, [members[chosen]])
    made = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if random.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(made, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def broken_json(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """Mostly other values at one to three places, and now and then other bytes."""
    if random.random() < 0.2:
        return broken(random, samples)
    value = json.loads(one_of(random, samples))
    for _ in range(random.integers(1, 4)):
        value = _changed(random, value)
    text = json.dumps(value)
    return (text.replace('"' + "9" * 5000 + '"', "9" * 5000) if random.random() < 0.5 else text).encode()


def _changed(random: np.random.Generator, value: object) -> object:
    """Return JSON with one place of it changed, taken away or doubled."""
    places = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    if not places or random.random() < 0.1:
        return copy.deepcopy(one_of(random, VALUES))
    place = one_of(random, places)
    match random.integers(12):
        case 0:
            del value[place]
        case 1:
            value[place] = copy.deepcopy(value[one_of(random, places)])
        case _:
            value[place] = _changed(random, value[place])
    return value
