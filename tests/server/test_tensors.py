import base64

import numpy as np
import pytest
import tensorflow as tf

from kcseg.server.failure import Failure
from kcseg.server.tensors import read_inputs, write_outputs

FILES = {"image_bytes": tf.TensorSpec((None,), tf.string)}
TWO = {"a": tf.TensorSpec((None,), tf.float32), "b": tf.TensorSpec((None, 2), tf.int32)}


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


@pytest.mark.parametrize(
    "request_body",
    [
        {"instances": [b64(b"\x89PNG"), b64(b"")]},
        {"instances": [{"image_bytes": b64(b"\x89PNG")}, {"image_bytes": b64(b"")}]},
        {"inputs": [b64(b"\x89PNG"), b64(b"")]},
        {"inputs": {"image_bytes": [b64(b"\x89PNG"), b64(b"")]}},
    ],
)
def test_base64_becomes_bytes_in_rows_and_columns(request_body):
    array = read_inputs(request_body, FILES)["image_bytes"]
    assert array.dtype == object and array.tolist() == [b"\x89PNG", b""]


def test_one_string_without_a_list_is_a_scalar():
    assert read_inputs({"inputs": b64(b"x")}, FILES)["image_bytes"].shape == ()


@pytest.mark.parametrize("value", [{"b64": "???"}, {"b64": "AAA"}, {"b64": "é"}, 5, None, "x", ["x"]])
def test_broken_base64_and_what_is_no_string_are_refused(value):
    with pytest.raises(Failure):
        read_inputs({"instances": [value]}, FILES)


def test_rows_of_several_inputs_become_columns():
    rows = [{"a": 1, "b": [2, 3]}, {"a": 4.5, "b": [6, 7]}]
    arrays = read_inputs({"instances": rows}, TWO)
    assert arrays["a"].dtype == np.float32 and arrays["a"].tolist() == [1, 4.5]
    assert arrays["b"].dtype == np.int32 and arrays["b"].tolist() == [[2, 3], [6, 7]]


def test_several_inputs_need_names():
    for body in ({"instances": [1, 2]}, {"inputs": [1, 2]}):
        with pytest.raises(Failure, match="a, b"):
            read_inputs(body, TWO)


@pytest.mark.parametrize("value", [2**31, 1.5, 2**70])
def test_integers_keep_their_range(value):
    with pytest.raises(Failure):
        read_inputs({"inputs": {"a": [1], "b": [[value, 0]]}}, TWO)


def test_outputs_in_rows_and_columns():
    outputs = {"mask": np.array([[1], [0]], np.uint8), "probability": np.array([[0.5], [0.25]], np.float32)}
    assert write_outputs(outputs, as_rows=False) == {
        "outputs": {"mask": [[1], [0]], "probability": [[0.5], [0.25]]}
    }
    assert write_outputs(outputs, as_rows=True) == {
        "predictions": [{"mask": [1], "probability": [0.5]}, {"mask": [0], "probability": [0.25]}]
    }
    outputs.pop("probability")
    assert write_outputs(outputs, as_rows=True) == {"predictions": [[1], [0]]}
    assert write_outputs(outputs, as_rows=False) == {"outputs": [[1], [0]]}
