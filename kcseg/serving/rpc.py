"""A served ensemble, asked over TF Serving's gRPC API.

The official messages import TensorFlow as a whole; where that is too much, ask over REST.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from kcseg.errors import InputError, reason_of, shortened
from kcseg.serving.address import Address
from kcseg.serving.contract import ANSWER_BYTES, REQUIRED, check_signatures, too_large, too_slow, wanted

try:
    from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc
except ImportError as error:
    raise InputError(
        "asking over gRPC needs TF Serving's messages; pip install 'kcseg[serve]', or use an http address"
    ) from error

# the same five attempts as over REST
_RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.4s",
    "maxBackoff": "1.6s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
}
_SERVICE = {"name": [{"service": "tensorflow.serving.PredictionService"}], "retryPolicy": _RETRIES}
_OPTIONS = (
    ("grpc.service_config", json.dumps({"methodConfig": [_SERVICE]})),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", ANSWER_BYTES),
    ("grpc.per_rpc_retry_buffer_size", 256 << 20),  # a request larger than this buffer is not sent again
    ("grpc.enable_http_proxy", 0),  # images go to the address given and nowhere else, as over REST
)


class RpcModel:
    """An ensemble behind `grpc://HOST:8500/NAME`."""

    def __init__(self, address: Address, timeout_s: float):
        """Ask the server whether it serves an ensemble there; an InputError where it does not."""
        self._address = address
        self._timeout_s = timeout_s
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(_channel(address))
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        answer = self._call(self._stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        try:
            answer.metadata["signature_def"].Unpack(signatures)
        except DecodeError as error:
            raise InputError(
                f"{address} does not answer like TF Serving ({reason_of(error)}); check the address"
            ) from error
        self.outputs = {name: signature.outputs for name, signature in signatures.signature_def.items()}
        check_signatures(address, self.outputs, *REQUIRED)

    def __call__(self, signature: str, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Ask as `Model` does; an InputError where the export lacks the signature, or the server fails."""
        check_signatures(self._address, self.outputs, signature)
        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = signature
        request.inputs["image"].CopyFrom(tf.make_tensor_proto(images))
        outputs = self._call(self._stub.Predict, request).outputs
        try:
            return {name: _array(outputs[name]) for name in wanted(self, signature)}
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise InputError(
                f"{self._address} answers {signature} with unusable tensors ({reason_of(error)})"
            ) from error

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        request.model_spec.name = self._address.name
        if self._address.version is not None:
            request.model_spec.version.value = self._address.version
        try:
            return method(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise InputError(_refusal(self._address, self._timeout_s, error)) from error


def _array(tensor: Any) -> np.ndarray:
    # one value may stand for a tensor of any size
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    if math.prod(shape) > ANSWER_BYTES // 4:
        raise ValueError(f"of shape {shape}")
    return tf.make_ndarray(tensor)


def _channel(address: Address) -> grpc.Channel:
    if address.scheme == "grpcs":
        return grpc.secure_channel(address.host, grpc.ssl_channel_credentials(), options=_OPTIONS)
    return grpc.insecure_channel(address.host, options=_OPTIONS)


def _refusal(address: Address, timeout_s: float, error: Any) -> str:
    reason = shortened(error.details() or "")
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return f"nobody answers at {address} ({reason}); check the address, and that the server runs"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return too_slow(address, timeout_s)
        case grpc.StatusCode.NOT_FOUND:
            return f"{address} is not served ({reason}); check name and version"
        case grpc.StatusCode.RESOURCE_EXHAUSTED if "larger than max" in reason:  # said by gRPC on our side
            return too_large(address)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return f"{address} is overloaded ({reason}); try again later"
        case grpc.StatusCode.UNIMPLEMENTED:
            return f"{address} does not answer like TF Serving; check the address (its gRPC port is 8500)"
    return f"{address} refused the request ({reason})"
