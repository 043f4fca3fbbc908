"""The variables of a SavedModel, held against what an export has before TensorFlow reads them.

Their index is a table of LevelDB's: blocks of entries, an empty block, a block that says where those of entries lie,
and a footer that says where that one does. TensorFlow gives memory to whatever length it is told, and ends the process
over an entry it cannot read.
"""

import math
import struct
from collections.abc import Iterator

from tensorflow.core.framework.types_pb2 import DT_BFLOAT16, DT_FLOAT, DT_STRING
from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto, BundleHeaderProto

INDEX_BYTES = 4 << 20  # a hundred times what seven large members take
_KEY_BYTES = 1000
_DIMENSIONS = 4
_NUMBER_BYTES = {DT_FLOAT: 4, DT_BFLOAT16: 2}
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5
_MAGIC = 0xDB4775248B80FB57
_HEADER = BundleHeaderProto(num_shards=1, version={"producer": 1})


def check_variables(index: bytes, data: bytes) -> None:
    """Refuse variables that are not as `kcseg export` writes them: float32 or bfloat16, and the names of the objects.

    Args:
        index: what lies in `variables.index`.
        data: what lies in the one file of values beside it.

    Raises:
        ValueError: one of the two is damaged, too large, or foreign.
        google.protobuf.message.DecodeError: an entry is no message.
    """
    if len(index) > INDEX_BYTES:
        raise ValueError(f"its index of variables has {len(index)} bytes, more than {INDEX_BYTES}")
    entries = _entries_of_table(index)
    if next(entries, None) != (b"", _HEADER.SerializeToString()):
        raise ValueError("its index of variables does not begin as an export's")
    names, taken = 0, 0
    for key, value in entries:
        names += len(key)
        taken += _size(repr(key.decode()[:100]), _entry(value), data)
        if names > INDEX_BYTES:  # a few bytes may stand for a long one that is mostly the name before it
            raise ValueError(f"the names of its variables have more than {INDEX_BYTES} bytes")
        if taken > len(data):
            raise ValueError("variables share a place in their file")


def _entry(value: bytes) -> BundleEntryProto:
    """Return what an entry says, where it says it as TensorFlow does, whose own reader is less forgiving than this."""
    entry = BundleEntryProto.FromString(value)
    entry.DiscardUnknownFields()
    if entry.SerializeToString() != value:
        raise ValueError("an entry of its index of variables is not as TensorFlow writes it")
    return entry


def _size(name: str, entry: BundleEntryProto, data: bytes) -> int:
    """Return how many bytes of `data` a variable takes, all of them there."""
    shape = [dimension.size for dimension in entry.shape.dim]
    if min(entry.offset, entry.size) < 0 or entry.shard_id or entry.slices or entry.shape.unknown_rank:
        raise ValueError(f"its variable {name} does not lie where an export has it")
    if entry.offset + entry.size > len(data):
        raise ValueError(f"the file of its variables ends before {name} does")
    if entry.dtype in _NUMBER_BYTES and len(shape) <= _DIMENSIONS and min(shape, default=1) > 0:
        needed = _NUMBER_BYTES[entry.dtype] * math.prod(shape)
    elif entry.dtype == DT_STRING and not shape:
        length, behind = _number(data, entry.offset)
        needed = behind - entry.offset + 4 + length  # a check sum before the text
    else:
        raise ValueError(f"its variable {name} is of a kind that no export has")
    if needed != entry.size:
        raise ValueError(f"its variable {name} takes {needed} bytes, and has {entry.size}")
    return needed


def _entries_of_table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(table) < _FOOTER_BYTES or table[-8:] != struct.pack("<Q", _MAGIC):
        raise ValueError("its index of variables is none, or cut off")
    handles = table[-_FOOTER_BYTES:-8]
    _, place = _numbers(handles, 0, 2)  # of the empty block
    (begin, size), _ = _numbers(handles, place, 2)
    behind = 0
    for _, handle in _entries_of_block(_block(table, begin, size)):
        (begin, size), _ = _numbers(handle, 0, 2)
        if begin != behind:  # one that is listed again and again would be read without end
            raise ValueError("the blocks of its index of variables do not follow each other")
        yield from _entries_of_block(_block(table, begin, size))
        behind = begin + size + _TRAILER_BYTES


def _block(table: bytes, begin: int, size: int) -> bytes:
    """Return a block without what follows it: its kind, and a check sum that is left to TensorFlow."""
    end = begin + size
    if end + _TRAILER_BYTES > len(table) - _FOOTER_BYTES:
        raise ValueError("a block of its index of variables leaves the file")
    if table[end]:
        raise ValueError("its index of variables is compressed")
    return table[begin:end]


def _entries_of_block(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values.

    An entry says how many bytes its key shares with the one before it, how many follow, and how long its value is.
    Behind the entries lie places from which a search may start, as keys share nothing there, and their number.
    """
    if len(block) < 8:
        raise ValueError("a block of its index of variables is cut off")
    (count,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 * (count + 1)
    if count < 1 or end < 0:
        raise ValueError("a block of its index of variables counts more than it has")
    searched = struct.unpack(f"<{count}I", block[end:-4])
    starts, place, key = {0}, 0, b""
    while place < end:
        begin = place
        (shared, own, length), place = _numbers(block, place, 3)
        if shared > len(key) or shared + own > _KEY_BYTES or place + own + length > end:
            raise ValueError("an entry of its index of variables leaves its block")
        if not shared:
            starts.add(begin)
        key = key[:shared] + block[place : place + own]
        yield key, block[place + own : place + own + length]
        place += own + length
    if searched[0] != 0 or not starts.issuperset(searched):
        raise ValueError("a block of its index of variables is searched from a wrong place")


def _numbers(content: bytes, place: int, count: int) -> tuple[list[int], int]:
    """Return some numbers, one after the other, and the place behind them."""
    numbers = []
    for _ in range(count):
        number, place = _number(content, place)
        numbers.append(number)
    return numbers, place


def _number(content: bytes, place: int) -> tuple[int, int]:
    """Return a place, size or length below 2^28, written with seven bits to a byte, and the place behind it."""
    number = 0
    for shift, byte in zip(range(0, 28, 7), content[place : place + 4], strict=False):
        number |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return number, place
    raise ValueError("a number among its variables does not end")
