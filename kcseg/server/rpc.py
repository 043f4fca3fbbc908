"""TF Serving's gRPC API: PredictionService and ModelService with the official messages, and gRPC's health service."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import tensorflow as tf
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2
from tensorflow_serving.apis import model_service_pb2_grpc as models
from tensorflow_serving.apis import prediction_service_pb2_grpc as predictions

from kcseg.server.failure import Failure, invalid
from kcseg.server.limits import CONNECTION_S, LAST_ANSWERS_S, MAXIMUM_BYTES
from kcseg.server.metrics import Metrics
from kcseg.server.model import ServedModel
from kcseg.server.queue import Queue
from kcseg.server.servable import DEFAULT_SIGNATURE

SPARE_THREADS = 8  # so that status and refusals are answered while the queue is full
_log = logging.getLogger(__name__)


class Service(predictions.PredictionServiceServicer, models.ModelServiceServicer):
    """PredictionService and ModelService for one model; what is not here is UNIMPLEMENTED by the base classes."""

    def __init__(self, model: ServedModel, queue: Queue, metrics: Metrics):
        """Answer for one model, from one queue."""
        self._model, self._queue, self._metrics = model, queue, metrics

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Run a signature."""
        with _answered(context), self._metrics.predict("GRPC"), self._queue.place(), self._queue.turn:
            if not context.is_active():
                raise Failure(grpc.StatusCode.CANCELLED, "The client left")
            servable = self._model.servable(*_asked(request.model_spec))
            outputs = servable.answer(request)
            answer = predict_pb2.PredictResponse(
                outputs={name: tf.make_tensor_proto(array) for name, array in outputs.items()}
            )
            answer.model_spec.name = self._model.name
            answer.model_spec.signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            answer.model_spec.version.value = servable.version
            return answer

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Tell the signatures."""
        with _answered(context):
            if list(request.metadata_field) != ["signature_def"]:
                raise invalid("GetModelMetadataRequest must ask for the one metadata_field signature_def")
            servable = self._model.servable(*_asked(request.model_spec))
            answer = get_model_metadata_pb2.GetModelMetadataResponse()
            answer.model_spec.name = self._model.name
            answer.model_spec.version.value = servable.version
            answer.metadata["signature_def"].Pack(servable.definitions)
            return answer

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Tell the states of the versions."""
        with _answered(context):
            return self._model.status(*_asked(request.model_spec))


def grpc_server(model: ServedModel, queue: Queue, metrics: Metrics) -> grpc.Server:
    """Return a server without a port, not started."""
    threads = queue.size + SPARE_THREADS
    options = (
        ("grpc.max_receive_message_length", MAXIMUM_BYTES),
        ("grpc.max_send_message_length", -1),
        # a connection is renewed after a while, so that a slow sender does not hold its place for ever
        ("grpc.max_connection_age_ms", int(1e3 * CONNECTION_S)),
        ("grpc.max_connection_age_grace_ms", int(1e3 * LAST_ANSWERS_S)),
        ("grpc.so_reuseport", 0),  # two servers on one port would share its requests and not know
    )
    # what is beyond the threads is refused by gRPC, with RESOURCE_EXHAUSTED and before the message is read
    server = grpc.server(ThreadPoolExecutor(threads), options=options, maximum_concurrent_rpcs=threads)
    service = Service(model, queue, metrics)
    predictions.add_PredictionServiceServicer_to_server(service, server)
    models.add_ModelServiceServicer_to_server(service, server)
    health_service = health.HealthServicer()
    for name in ("", "tensorflow.serving.PredictionService"):
        health_service.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    return server


@contextmanager
def _answered(context: grpc.ServicerContext) -> Iterator[None]:
    """Answer a failure with its code; the traceback of anything else goes to the log and not to the client."""
    try:
        yield
    except Failure as failure:
        context.abort(failure.code, failure.message)
    except Exception:
        _log.exception("a request failed")
        context.abort(grpc.StatusCode.INTERNAL, "Internal error")


def _asked(spec: Any) -> tuple[str, int | None]:
    if not spec.name:
        raise invalid("Missing ModelSpec, or no name specified in it")
    if spec.version_label:
        raise invalid("Version labels are not served")
    return spec.name, spec.version.value if spec.HasField("version") else None
