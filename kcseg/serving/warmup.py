"""Requests that TF Serving sends to a new version before users reach it, since the first answer takes long."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf


def write_warmup(export: Path, model_name: str) -> None:
    """Write `assets.extra/tf_serving_warmup_requests` into an exported version.

    Its records are TF Serving's PredictionLog messages. They are put together here, since the package that defines
    them brings a TensorFlow of its own, which breaks others such as tensorflow-cpu.
    """
    path = export / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, name, value in _requests():
            file.write(prediction_log(model_name, signature, {name: value.SerializeToString()}))


def prediction_log(model_name: str, signature: str, inputs: dict[str, bytes]) -> bytes:
    """Return a serialised PredictionLog of one request; `inputs` are serialised TensorProtos by name.

    The field numbers are those of prediction_log.proto, predict.proto and model.proto in tensorflow/serving.
    """
    model = _message((1, model_name.encode()), (3, signature.encode()))
    tensors = [_message((1, name.encode()), (2, tensor)) for name, tensor in inputs.items()]
    request = _message((1, model), *((2, tensor) for tensor in tensors))
    return _message((6, _message((1, request))))  # the request of a predict_log


def _requests() -> Iterator[tuple[str, str, Any]]:
    """Signature, name and value of each input: single images and batches of the challenge's size, and a larger one."""
    # one value stands for all, so that the file stays small whatever the shape
    for shape in ((1, 192, 192), (8, 192, 192), (1, 512, 512)):
        yield "serving_default", "image", tf.make_tensor_proto(0, tf.float32, shape)
    for signature in ("members", "raw_members", "raw"):
        yield signature, "image", tf.make_tensor_proto(0, tf.float32, (1, 192, 192))
    yield "int16", "image", tf.make_tensor_proto(0, tf.int16, (1, 192, 192))
    picture = tf.io.encode_png(tf.zeros((192, 192, 1), tf.uint16))
    yield "png", "image_bytes", tf.make_tensor_proto([picture.numpy()])


def _message(*fields: tuple[int, bytes]) -> bytes:
    """Serialise fields that are all strings or messages: number and kind, length, content."""
    return b"".join(bytes([number << 3 | 2]) + _varint(len(value)) + value for number, value in fields)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)
