import struct

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError

from kcseg.serving.variables import check_variables

FIRST = np.arange(2, dtype=np.float32)
SECOND = np.arange(6, dtype=np.float32).reshape(2, 3)


def saved(folder, tensors):
    """Return index and values as TensorFlow writes them."""
    prefix = folder / "variables"
    slices = [""] * len(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=slices,
        tensors=list(tensors.values()),
    )
    return prefix.with_suffix(".index").read_bytes(), prefix.with_suffix(".data-00000-of-00001").read_bytes()


@pytest.fixture
def files(tmp_path):
    return saved(tmp_path, {"first": FIRST, "second": SECOND, "text": np.array(b"the names")})


def number(value):
    return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + number(value // 128)


def entry(key, value, shared=0):
    return number(shared) + number(len(key)) + number(len(value)) + key + value


def block(*entries, start=0):
    return b"".join(entries) + struct.pack("<II", start, 1)


def table(*blocks):
    """Return an index of these blocks, one that is given twice listed twice; check sums are left to TensorFlow."""
    content, places = b"", {}
    for one in dict.fromkeys((*blocks, block())):
        places[one] = number(len(content)) + number(len(one))
        content += one + bytes(5)
    listed = block(*(entry(b"", places[one]) for one in blocks))
    footer = places[block()] + number(len(content)) + number(len(listed))
    return content + listed + bytes(5) + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


HEADER = entry(b"", b"\x08\x01\x1a\x02\x08\x01")
SCALAR = b"\x08\x01\x28\x04\x35\0\0\0\x01"  # a float32 in the first four bytes


def replaced(content, old, new):
    assert len(old) == len(new) and content.count(old) == 1
    return content.replace(old, new)


def test_what_tensorflow_wrote_is_accepted(files):
    check_variables(*files)


def test_weights_of_16_bits_are_accepted(tmp_path):
    check_variables(*saved(tmp_path, {"first": tf.cast(FIRST, tf.bfloat16)}))


def test_an_index_of_several_blocks_is_read_to_its_end(tmp_path):
    tensors = {f"{number:06d}" + "a" * 900: np.float32(number) for number in range(400)}
    index, data = saved(tmp_path, tensors)
    assert (
        index.count(b"a" * 900) > 20
    )  # keys share nothing at the places to search from, and in each new block
    check_variables(index, data)
    with pytest.raises(ValueError, match=r"ends before '000399a+' does"):
        check_variables(index, data[:-1])


@pytest.mark.parametrize("kind", [np.int32, np.float64, np.bool_, np.complex64])
def test_numbers_of_another_kind_are_refused(tmp_path, kind):
    with pytest.raises(ValueError, match="'first' is of a kind that no export has"):
        check_variables(*saved(tmp_path, {"first": np.ones(2, kind)}))


@pytest.mark.parametrize("shape", [(0,), (1, 1, 1, 1, 2)])
def test_shapes_that_no_layer_has_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match="of a kind that no export has"):
        check_variables(*saved(tmp_path, {"first": np.ones(shape, np.float32)}))


def test_a_variable_takes_what_its_file_has_for_it(files):
    index, data = files
    with pytest.raises(ValueError, match="'second' takes 1524 bytes, and has 24"):
        # two rows of three numbers become 127 rows
        check_variables(
            replaced(index, b"\x12\x02\x08\x02\x12\x02\x08\x03", b"\x12\x02\x08\x7f\x12\x02\x08\x03"), data
        )
    with pytest.raises(ValueError, match="ends before 'text' does"):
        check_variables(index, data[:-1])


def test_text_is_as_long_as_its_entry_says(files):
    index, data = files
    place = data.index(b"the names") - 5  # its length, and a check sum of that
    assert data[place] == 9
    for length in (8, 10, 127):
        with pytest.raises(ValueError, match=f"'text' takes {length + 5} bytes, and has 14"):
            check_variables(index, data[:place] + bytes([length]) + data[place + 1 :])
    with pytest.raises(ValueError, match="does not end"):
        check_variables(index, data[:place] + b"\xff" * (len(data) - place))


def test_variables_do_not_share_a_place():
    check_variables(table(block(HEADER, entry(b"a", SCALAR))), bytes(4))
    with pytest.raises(ValueError, match="share a place"):
        check_variables(table(block(HEADER, entry(b"a", SCALAR), entry(b"b", SCALAR))), bytes(4))


@pytest.mark.parametrize(
    "value",
    [
        SCALAR + b"\x0b\x00\x01\x0c",  # a group, over which TensorFlow would end the process
        SCALAR + b"\x78\x01",
        SCALAR + b"\x08\x01",
        SCALAR[2:] + SCALAR[:2],
        SCALAR + b"\x20\x00",
    ],
)
def test_an_entry_is_written_as_tensorflow_writes_it(value):
    # older releases of protobuf take no message with such a group
    with pytest.raises((ValueError, DecodeError), match=r"not as TensorFlow writes it|Error parsing"):
        check_variables(table(block(HEADER, entry(b"a", value))), bytes(4))


def test_a_block_is_listed_once():
    check_variables(table(block(HEADER), block(entry(b"a", SCALAR))), bytes(4))
    with pytest.raises(ValueError, match="do not follow each other"):
        check_variables(table(block(HEADER), block(), block()), bytes(4))


def test_few_bytes_do_not_stand_for_many_long_names():
    names = [entry(b"%04d" % place, SCALAR, shared=996) for place in range(4300)]
    index = table(block(HEADER, entry(b"a" * 1000, SCALAR), *names))
    assert len(index) < 100_000
    with pytest.raises(ValueError, match="the names of its variables have more than 4194304 bytes"):
        check_variables(index, bytes(4 * 4301))


def test_an_entry_that_is_no_message_is_refused_where_tensorflow_would_end_the_process(files):
    index, data = files
    with pytest.raises(DecodeError):
        check_variables(replaced(index, b"\x08\x01\x12\x04\x12\x02\x08\x02", b"\xff" * 8), data)


def test_an_entry_stays_in_its_block(files):
    index, data = files
    place = index.index(b"first")
    for before in (1, 2, 3):  # the value's length, the key's own part, what it shares
        with pytest.raises(ValueError, match="leaves its block"):
            check_variables(index[: place - before] + b"\x7f" + index[place - before + 1 :], data)


def test_a_table_that_is_cut_off_compressed_or_too_large_is_refused(files):
    index, data = files
    for length in range(len(index)):
        with pytest.raises(ValueError, match="its index of variables is none, or cut off"):
            check_variables(index[:length], data)
    with pytest.raises(ValueError, match="more than 4194304"):
        check_variables(bytes(5 << 20), data)
    end = index[-48]  # the empty block begins where the footer says, behind kind and check sum of the first
    assert end < 128
    with pytest.raises(ValueError, match="is compressed"):
        check_variables(index[: end - 5] + b"\x01" + index[end - 4 :], data)


def test_a_block_is_searched_from_its_first_entry():
    with pytest.raises(ValueError, match="from a wrong place"):
        check_variables(table(block(HEADER, entry(b"a", SCALAR), start=len(HEADER))), bytes(4))


@pytest.mark.parametrize("change", range(3))
def test_a_block_lies_in_its_file_and_is_searched_from_where_entries_begin(files, change):
    index, data = files
    end = index[-48] - 5
    broken, message = [
        (index[:-46] + b"\x7f" + index[-45:], "leaves the file"),
        (index[: end - 4] + b"\xff\0\0\0" + index[end:], "counts more than it has"),
        (index[: end - 8] + b"\x03\0\0\0" + index[end - 4 :], "from a wrong place"),
    ][change]
    with pytest.raises(ValueError, match=message):
        check_variables(broken, data)


def test_an_index_begins_with_the_header_of_one_file(files):
    index, data = files
    with pytest.raises(ValueError, match="does not begin"):
        check_variables(replaced(index, b"\x08\x01\x1a\x02\x08\x01", b"\x08\x02\x1a\x02\x08\x01"), data)
