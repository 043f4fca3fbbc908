"""Arrays from and to TF Serving's JSON, in rows and in columns, and from its tensor messages."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kcseg.server.failure import invalid
from kcseg.server.limits import check_json, check_shape

Specs = Mapping[str, tf.TensorSpec]


def read_json(body: bytes | bytearray) -> dict[str, Any]:
    """Return the JSON object that is the body of a request; a Failure where it is none, or too large."""
    check_json(body)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(value, dict):
        raise invalid("JSON Value: expected an object with 'instances' or 'inputs'")
    return value


def read_inputs(request: Mapping[str, Any], specs: Specs) -> dict[str, np.ndarray]:
    """Return the arrays of a request: `instances` has a list of images, `inputs` names whole tensors.

    Where the signature has one input, its name may be left out in both. The dtypes are those of the signature;
    strings are base64 in `{"b64": ...}`. What does not fit is a Failure.
    """
    if ("inputs" in request) == ("instances" in request):
        raise invalid("Missing 'inputs' or 'instances' key, or both given")
    as_rows = "instances" in request
    columns = _columns(request["instances"], specs) if as_rows else _named(request["inputs"], specs)
    return {
        name: _array(value, specs[name], name) if name in specs else np.array(())
        for name, value in columns.items()
    }


def write_outputs(outputs: Mapping[str, np.ndarray], *, as_rows: bool) -> dict[str, Any]:
    """Return `predictions`, an object for each image, or `outputs`, whole tensors; an only output has no name.

    A float32 is written with the digits of its double, so no bit is lost.
    """
    lists = {name: array.tolist() for name, array in outputs.items()}
    if len(lists) == 1:
        (values,) = lists.values()
        return {"predictions" if as_rows else "outputs": values}
    if not as_rows:
        return {"outputs": lists}
    return {"predictions": [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]}


def read_tensor(message: Any) -> np.ndarray:
    """Return the array of a TensorProto, strings as objects; a Failure where it is too large, or not as it says."""
    if message.tensor_shape.unknown_rank:
        raise invalid("Expected a tensor with a shape")
    # one value may stand for a tensor of any size, so the shape is looked at first
    check_shape([dimension.size for dimension in message.tensor_shape.dim])
    try:
        array: np.ndarray = tf.make_ndarray(message)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise invalid(f"Tensor cannot be read: {error}") from error
    return array


def _named(value: Any, specs: Specs) -> dict[str, Any]:
    if isinstance(value, dict) and not _is_base64(value):
        return value
    if len(specs) != 1:
        raise invalid(f"Expected an object with the inputs {', '.join(specs)}")
    return {next(iter(specs)): value}


def _columns(instances: Any, specs: Specs) -> dict[str, Any]:
    if not isinstance(instances, list) or not instances:
        raise invalid("Expected 'instances' to be a list with at least one instance")
    rows = [_named(instance, specs) for instance in instances]
    for number, row in enumerate(rows):
        if set(row) != set(rows[0]):
            raise invalid(f"Expected the same inputs in all instances, got {sorted(row)} in number {number}")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _array(value: Any, spec: tf.TensorSpec, name: str) -> np.ndarray:
    if spec.dtype == tf.string:
        return _strings(value, name)
    try:
        array = np.array(value)
    except ValueError as error:
        raise invalid(f"Expected {name} to be a tensor, got lists of unequal length or depth") from error
    if array.dtype.kind not in "iuf":
        raise invalid(f"Expected {name} to be numbers, got something else among them")
    check_shape(array.shape)
    wanted = np.dtype(spec.dtype.as_numpy_dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(wanted)
    kept = converted == array if wanted.kind in "iu" else np.isfinite(array) <= np.isfinite(converted)
    if not np.all(kept):
        raise invalid(f"Expected {name} to be {wanted.name}, got a number out of its range")
    return converted


def _strings(value: Any, name: str) -> np.ndarray:
    if isinstance(value, list):
        return np.array([_string(one, name) for one in value], object)
    return np.array(_string(value, name), object)


def _string(value: Any, name: str) -> bytes:
    if not _is_base64(value):
        raise invalid(f'Expected {name} to be {{"b64": ...}}, got {type(value).__name__}')
    try:
        return base64.b64decode(value["b64"], validate=True)
    except ValueError as error:
        raise invalid(f"Unable to base64 decode {name}: {error}") from error


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)
