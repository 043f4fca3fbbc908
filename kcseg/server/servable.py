"""One version of an exported ensemble, loaded, warmed and ready to serve."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_log_pb2

from kcseg.files import read_bytes
from kcseg.server.failure import Failure, as_failure, invalid
from kcseg.server.limits import MAXIMUM_BYTES, MAXIMUM_WARMUP, check_pngs
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
        self.outputs: Collection[str] = function.structured_outputs

    def __call__(
        self, inputs: Mapping[str, np.ndarray], wanted: Collection[str] = ()
    ) -> dict[str, np.ndarray]:
        """Return the outputs, all of them unless some are `wanted`.

        Raises:
            Failure: inputs of other names, dtypes or ranks; an output it does not have; whatever the graph refuses.
        """
        self.check_names(inputs, wanted)
        with as_failure():
            tensors = {name: self._tensor(name, array) for name, array in inputs.items()}
            found = self._function(**tensors)
            return {name: found[name].numpy() for name in wanted or self.outputs}

    def check_names(self, inputs: Collection[str], wanted: Collection[str]) -> None:
        """Refuse inputs or outputs that the signature does not have, or lacks.

        Raises:
            Failure: INVALID_ARGUMENT.
        """
        extra, missing = sorted(set(inputs) - set(self.inputs)), sorted(set(self.inputs) - set(inputs))
        if extra or missing:
            raise invalid(
                f"input size does not match signature: {len(inputs)}!={len(self.inputs)}. "
                f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
            )
        for name in wanted:
            if name not in self.outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {name} "
                    f"Outputs expected to be in the set {{{','.join(sorted(self.outputs))}}}."
                )

    def _tensor(self, name: str, array: np.ndarray) -> tf.Tensor:
        spec = self.inputs[name]
        # checked here and not by the graph alone: an image of another rank has aborted TensorFlow before
        if not spec.shape.is_compatible_with(array.shape):
            raise invalid(f"Expected {name} of shape {spec.shape}, got {list(array.shape)}")
        if (spec.dtype == tf.string) != (array.dtype == object):
            raise invalid(f"Expected {name} to be {spec.dtype.name}, got {_dtype_name(array)}")
        if spec.dtype == tf.string:
            check_pngs(list(array.flat))
        elif array.dtype != spec.dtype.as_numpy_dtype:
            raise invalid(f"Expected {name} to be {spec.dtype.name}, got {_dtype_name(array)}")
        return tf.constant(array, spec.dtype)


class Servable:
    """A version in memory, which has answered a first request.

    Attributes:
        version: its number.
        definitions: what `metadata` says of its signatures.
    """

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
        """Return a signature; an empty name means the default.

        Raises:
            Failure: there is none of that name.
        """
        try:
            return self._signatures[name or DEFAULT_SIGNATURE]
        except KeyError:
            raise Failure(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature name: "{name}" not found in signature def',
            ) from None

    def answer(self, request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
        """Run the signature a request names on its tensors, and return the outputs it wants.

        Raises:
            Failure: as `signature` and `Signature`, or a tensor that is too large or none.
        """
        signature, wanted = self.signature(request.model_spec.signature_name), list(request.output_filter)
        signature.check_names(request.inputs, wanted)  # before tensors nobody asked for are unfolded
        return signature({name: read_tensor(tensor) for name, tensor in request.inputs.items()}, wanted)

    def warm_up(self, path: Path) -> None:
        """Answer what TF Serving asks of a version before it serves it, and at least one blank image.

        Args:
            path: a TFRecord file of PredictionLogs, or none.

        Raises:
            InputError: the file cannot be read.
            Failure: it holds anything else, or a request cannot be answered.
        """
        self.signature(DEFAULT_SIGNATURE)({"image": _BLANK}, ["mask"])
        if not path.exists():
            return
        for record in _records(read_bytes(path, maximum_bytes=MAXIMUM_BYTES)):
            try:
                request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            except DecodeError as error:
                raise invalid(f"{path} holds no requests ({error})") from error
            self.answer(request)


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a TFRecord file: the length in 8 bytes, a checksum of 4, the record, another of 4.

    Read here and not by TensorFlow, so that a length is held against the file before memory is given to it.

    Raises:
        Failure: the file ends within a record, or holds more than is worth waiting for.
    """
    place = 0
    for _ in range(MAXIMUM_WARMUP):
        if place == len(content):
            return
        length = int.from_bytes(content[place : place + 8], "little")
        place += 16 + length
        if place > len(content):
            raise invalid("The warm-up requests end within a record")
        yield content[place - 4 - length : place - 4]
    if place < len(content):
        raise invalid(f"Expected at most {MAXIMUM_WARMUP} warm-up requests")


def _dtype_name(array: np.ndarray) -> str:
    return "string" if array.dtype == object else array.dtype.name
