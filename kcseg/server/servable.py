"""One version of an exported ensemble, loaded, warmed and ready to serve."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_log_pb2

from kcseg.server.failure import Failure, as_failure, invalid
from kcseg.server.limits import check_pngs
from kcseg.server.tensors import read_tensor
from kcseg.serving.local import LocalModel

DEFAULT_SIGNATURE = "serving_default"
_BLANK = np.zeros((1, 32, 32), np.float32)


class Signature:
    """A function of the model: named arrays in, named arrays out."""

    def __init__(self, function: Any):
        """Wrap a signature of a loaded SavedModel."""
        self._function = function
        self.inputs: Mapping[str, tf.TensorSpec] = function.structured_input_signature[1]
        self._outputs: Collection[str] = function.structured_outputs

    def __call__(
        self, inputs: Mapping[str, np.ndarray], wanted: Collection[str] = ()
    ) -> dict[str, np.ndarray]:
        """Return the outputs, all of them unless some are `wanted`; a Failure says what does not fit."""
        self.check_names(inputs, wanted)
        with as_failure():
            tensors = {name: self._tensor(name, array) for name, array in inputs.items()}
            found = self._function(**tensors)
            return {name: found[name].numpy() for name in wanted or self._outputs}

    def check_names(self, inputs: Collection[str], wanted: Collection[str]) -> None:
        """Raise a Failure for other inputs than the signature's, or outputs that it does not have."""
        if set(inputs) != set(self.inputs):
            raise invalid(f"Expected the inputs {sorted(self.inputs)}, got {sorted(inputs)}")
        if not set(wanted) <= set(self._outputs):
            raise invalid(f"Expected outputs among {sorted(self._outputs)}, got {sorted(wanted)}")

    def _tensor(self, name: str, array: np.ndarray) -> tf.Tensor:
        spec = self.inputs[name]
        # checked here and not by the graph alone: an image of another rank has aborted TensorFlow before
        if not spec.shape.is_compatible_with(array.shape):
            raise invalid(f"Expected {name} of shape {spec.shape}, got {list(array.shape)}")
        dtype = tf.as_dtype(array.dtype)  # string for objects
        if dtype != spec.dtype:
            raise invalid(f"Expected {name} to be {spec.dtype.name}, got {dtype.name}")
        if dtype == tf.string:
            check_pngs(list(array.flat))
        return tf.constant(array, spec.dtype)


class Servable:
    """A version in memory, which has answered a first request; `definitions` are those of its signatures."""

    def __init__(self, version: int, folder: Path):
        """Load and warm it.

        Raises:
            InputError: it cannot be loaded, or is no exported ensemble.
            Failure: it cannot answer.
        """
        self.version = version
        self._model = LocalModel(folder)
        self._signatures = {name: Signature(function) for name, function in self._model.signatures.items()}
        self.definitions = get_model_metadata_pb2.SignatureDefMap(signature_def=self._model.definitions)
        self.warm_up(folder / "assets.extra" / "tf_serving_warmup_requests")

    def signature(self, name: str) -> Signature:
        """Return a signature, for an empty name the default; a Failure where there is none of that name."""
        if found := self._signatures.get(name or DEFAULT_SIGNATURE):
            return found
        reason = f'Serving signature name: "{name}" not found in signature def'
        raise Failure(grpc.StatusCode.FAILED_PRECONDITION, reason)

    def answer(self, request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
        """Run the signature that a request names on its tensors, and return the outputs it wants."""
        signature, wanted = self.signature(request.model_spec.signature_name), list(request.output_filter)
        signature.check_names(request.inputs, wanted)  # before tensors nobody asked for are unfolded
        return signature({name: read_tensor(tensor) for name, tensor in request.inputs.items()}, wanted)

    def warm_up(self, path: Path) -> None:
        """Answer a blank image, and the requests in `path`, a TFRecord file of PredictionLogs, where there is one."""
        self.signature(DEFAULT_SIGNATURE)({"image": _BLANK}, ["mask"])
        if not path.exists():
            return
        with as_failure():
            for record in tf.data.TFRecordDataset(str(path)):
                try:
                    log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
                except DecodeError as error:
                    raise invalid(f"{path} holds no requests ({error})") from error
                self.answer(log.predict_log.request)
