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

_INDEX_BYTES = 4 << 20  # a hundred times what seven large members take
_KEY_BYTES = 1000
_DIMENSIONS = 4
_NUMBER_BYTES = {DT_FLOAT: 4, DT_BFLOAT16: 2}
_FOOTER_BYTES = 48
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
    if len(index) > _INDEX_BYTES:
        raise ValueError(f"its index of variables has {len(index)} bytes, more than {_INDEX_BYTES}")
    entries = list(_entries_of_table(index))
    if not entries or entries[0] != (b"", _HEADER.SerializeToString()):
        raise ValueError("its index of variables does not begin as an export's")
    sizes = (_size(key.decode(), BundleEntryProto.FromString(value), data) for key, value in entries[1:])
    if sum(sizes) > len(data):
        raise ValueError("variables share a place in their file")


def _size(name: str, entry: BundleEntryProto, data: bytes) -> int:
    """Return how many bytes of `data` a variable takes, all of them there."""
    shown = repr(name[:100])
    shape = [dimension.size for dimension in entry.shape.dim]
    content = data[entry.offset : entry.offset + entry.size]
    if entry.offset < 0 or entry.shard_id or entry.slices or entry.shape.unknown_rank:
        raise ValueError(f"its variable {shown} does not lie where an export has it")
    if len(content) != entry.size:
        raise ValueError(f"the file of its variables ends before {shown} does")
    if entry.dtype in _NUMBER_BYTES and len(shape) <= _DIMENSIONS and min(shape, default=1) > 0:
        needed = _NUMBER_BYTES[entry.dtype] * math.prod(shape)
    elif entry.dtype == DT_STRING and not shape:
        length, begin = _number(content, 0)
        needed = begin + 4 + length  # a check sum before the text
    else:
        raise ValueError(f"its variable {shown} is of a kind that no export has")
    if needed != entry.size:
        raise ValueError(f"its variable {shown} takes {needed} bytes, and has {entry.size}")
    return needed


def _entries_of_table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(table) < _FOOTER_BYTES or table[-8:] != struct.pack("<Q", _MAGIC):
        raise ValueError("its index of variables is none, or cut off")
    handles = table[-_FOOTER_BYTES:-8]
    _, place = _number(handles, _number(handles, 0)[1])  # of the empty block
    for _, handle in _entries_of_block(_block(table, handles[place:])):
        yield from _entries_of_block(_block(table, handle))


def _block(table: bytes, handle: bytes) -> bytes:
    """Return the block that two numbers tell the place and size of; its check sum is left to TensorFlow."""
    begin, place = _number(handle, 0)
    end = begin + _number(handle, place)[0]
    if end + 5 > len(table) - _FOOTER_BYTES:
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
    starts, place, key = {0}, 0, b""
    while place < end:
        begin = place
        shared, place = _number(block, place)
        own, place = _number(block, place)
        length, place = _number(block, place)
        if shared > len(key) or shared + own > _KEY_BYTES or place + own + length > end:
            raise ValueError("an entry of its index of variables leaves its block")
        if not shared:
            starts.add(begin)
        key = key[:shared] + block[place : place + own]
        yield key, block[place + own : place + own + length]
        place += own + length
    if not starts.issuperset(struct.unpack(f"<{count}I", block[end:-4])):
        raise ValueError("a block of its index of variables is searched from where no entry begins")


def _number(content: bytes, place: int) -> tuple[int, int]:
    """Return a number below 2^28, seven bits to a byte, and the place behind it."""
    number = 0
    for shift, byte in zip(range(0, 28, 7), content[place : place + 4], strict=False):
        number |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return number, place
    raise ValueError("a number among its variables does not end")
