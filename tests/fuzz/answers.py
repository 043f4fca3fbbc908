"""Feeds the client of a server: masks, and what the server says of its model."""

import io
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import tensorflow as tf
import urllib3
from google.protobuf.message import DecodeError
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataResponse, SignatureDefMap
from tensorflow_serving.apis.predict_pb2 import PredictResponse

from kcseg.errors import InputError
from kcseg.serving import rpc
from kcseg.serving.address import parse_address
from kcseg.serving.contract import OUTPUTS, Model
from kcseg.serving.rest import RestModel
from kcseg.serving.runner import Ensemble
from tests.fuzz.messages import broken_message, broken_metadata
from tests.fuzz.mutate import broken_json
from tests.fuzz.pictures import MASK, PICTURE
from tests.fuzz.reader import Reader

HALF = np.full((1, *PICTURE.shape), 0.5, np.float32)
ARRAYS = {"mask": MASK[np.newaxis].astype(np.uint8), "probability": HALF, "disagreement": HALF / 2}


def _metadata() -> bytes:
    signatures = SignatureDefMap()
    for name, outputs in OUTPUTS.items():
        for output in outputs:
            signatures.signature_def[name].outputs[output].name = output
    metadata = GetModelMetadataResponse()
    metadata.metadata["signature_def"].Pack(signatures)
    return metadata.SerializeToString()


REST = json.dumps({"outputs": {name: array.tolist() for name, array in ARRAYS.items()}}).encode()
GRPC_METADATA = _metadata()
GRPC = PredictResponse(
    outputs={name: tf.make_tensor_proto(array) for name, array in ARRAYS.items()}
).SerializeToString()
SIGNATURES = {name: {"outputs": {key: {} for key in outputs}} for name, outputs in OUTPUTS.items()}
REST_METADATA = json.dumps({"metadata": {"signature_def": {"signature_def": SIGNATURES}}}).encode()


def read_rest(path: Path) -> None:
    _ask_rest(REST_METADATA, path.read_bytes())


def read_rest_metadata(path: Path) -> None:
    _ask_rest(path.read_bytes(), REST)


def _ask_rest(metadata: bytes, answer: bytes) -> None:
    def request(_: object, method: str, *__: object, **___: object) -> urllib3.HTTPResponse:
        content = io.BytesIO(metadata if method == "GET" else answer)
        return urllib3.HTTPResponse(content, status=200, preload_content=False)

    with mock.patch.object(urllib3.PoolManager, "request", request):
        _segment(RestModel(parse_address("http://localhost/v1/models/kcseg"), 60))


def read_grpc(path: Path) -> None:
    _ask_grpc(GRPC_METADATA, path.read_bytes())


def read_grpc_metadata(path: Path) -> None:
    _ask_grpc(path.read_bytes(), GRPC)


def _ask_grpc(metadata: bytes, answer: bytes) -> None:
    try:
        said, masks = GetModelMetadataResponse.FromString(metadata), PredictResponse.FromString(answer)
    except DecodeError as error:  # gRPC refuses this itself
        raise InputError("refused") from error
    stub = SimpleNamespace(GetModelMetadata=lambda *_, **__: said, Predict=lambda *_, **__: masks)
    with mock.patch.object(rpc.prediction_service_pb2_grpc, "PredictionServiceStub", lambda _: stub):
        _segment(rpc.RpcModel(parse_address("grpc://localhost:8500/kcseg"), 60))


def _segment(model: Model) -> None:
    found = Ensemble(model).segment(PICTURE[np.newaxis].astype(np.float32))
    assert found.mask.dtype == bool and found.mask.shape[1:] == PICTURE.shape
    assert found.probability.min() >= 0 and found.disagreement.max() <= 1


READERS = {
    "REST answer": Reader("body", [REST], broken_json, read_rest),
    "REST metadata": Reader("body", [REST_METADATA], broken_json, read_rest_metadata),
    "gRPC answer": Reader("message", [GRPC], partial(broken_message, kind=PredictResponse), read_grpc),
    "gRPC metadata": Reader("message", [GRPC_METADATA], broken_metadata, read_grpc_metadata),
}
