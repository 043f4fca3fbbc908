"""Feeds the server: requests over REST and gRPC, and those that warm a model up."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from kcseg.errors import InputError
from kcseg.server import tensors
from kcseg.server.failure import Failure
from kcseg.server.servable import Servable
from tests.fuzz.messages import broken_message
from tests.fuzz.models import exported
from tests.fuzz.mutate import broken, broken_json
from tests.fuzz.pictures import PICTURE, PNG_HU
from tests.fuzz.reader import Reader, saved

IMAGE = PICTURE[:16, :16]


def rest_samples() -> list[bytes]:
    image, png = IMAGE.tolist(), {"b64": base64.b64encode(PNG_HU).decode()}
    bodies = [
        {"signature_name": "serving_default", "inputs": {"image": [image]}},
        {"signature_name": "members", "instances": [{"image": image}]},
        {"signature_name": "png", "inputs": {"image_bytes": [png]}},
        {"signature_name": "png", "instances": [png]},
    ]
    return [json.dumps(body).encode() for body in bodies]


def grpc_samples() -> list[bytes]:
    return [request.SerializeToString() for request in _requests()]


def _requests() -> Iterator[PredictRequest]:
    for name, inputs in {
        "serving_default": {"image": IMAGE[np.newaxis].astype(np.float32)},
        "int16": {"image": IMAGE[np.newaxis]},
        "png": {"image_bytes": np.array([PNG_HU], object)},
    }.items():
        messages = {key: tf.make_tensor_proto(array) for key, array in inputs.items()}
        yield PredictRequest(model_spec={"name": "kcseg", "signature_name": name}, inputs=messages)


def warm_up_samples() -> list[bytes]:
    return [saved(_save_requests, "requests")]


def _save_requests(path: Path) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in _requests():
            writer.write(PredictionLog(predict_log={"request": request}).SerializeToString())


def read_rest(path: Path) -> None:
    """Answer the body of a request."""
    with _as_input_error():
        request = tensors.read_json(path.read_bytes())
        name = request.get("signature_name", "")
        signature = servable().signature(name if isinstance(name, str) else "")
        outputs = signature(tensors.read_inputs(request, signature.inputs))
        json.dumps(tensors.write_outputs(outputs, as_rows="instances" in request))


def read_grpc(path: Path) -> None:
    """Answer a message."""
    with _as_input_error():
        try:
            request = PredictRequest.FromString(path.read_bytes())
        except DecodeError as error:  # gRPC answers this itself
            raise InputError("refused") from error
        servable().answer(request)


def read_warm_up(path: Path) -> None:
    """Answer what lies beside a model to warm it up."""
    with _as_input_error():
        servable().warm_up(path)


@cache
def servable() -> Servable:
    return Servable(1, exported())


@contextmanager
def _as_input_error() -> Iterator[None]:
    """What the server refuses with a code and a sentence is refused."""
    try:
        yield
    except Failure as failure:
        raise InputError("refused") from failure


READERS = {
    "REST request": Reader("body", rest_samples, broken_json, read_rest),
    "gRPC request": Reader("message", grpc_samples, partial(broken_message, kind=PredictRequest), read_grpc),
    "warm-up requests": Reader("requests", warm_up_samples, broken, read_warm_up),
}
