"""The gRPC client against servers that are down, slow, busy or something else."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from kcseg.errors import InputError
from kcseg.serving.runner import Ensemble

IMAGE = np.zeros((1, 300, 300), np.float32)  # larger than gRPC sends again unless told to


@pytest.fixture
def stub(server):
    """A server that knows the ensemble's metadata and answers predictions as prepared, by a function of the context."""
    answers, asked = [], []
    channel = grpc.insecure_channel(server.grpc_address.split("/")[2])

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def GetModelMetadata(self, request, context):
            return prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(request)

        def Predict(self, request, context):
            asked.append(request)
            return (answers.pop(0) if len(answers) > 1 else answers[0])(context)

    stub = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), stub)
    address = f"grpc://127.0.0.1:{stub.add_insecure_port('127.0.0.1:0')}/kcseg"
    stub.start()
    yield address, answers, asked
    stub.stop(None).wait()
    channel.close()


def good(context):
    array = np.full(IMAGE.shape, 0.25, np.float32)
    outputs = {"mask": array.astype(np.uint8), "probability": array, "disagreement": array}
    return predict_pb2.PredictResponse(
        outputs={name: tf.make_tensor_proto(value) for name, value in outputs.items()}
    )


def refuse(code, reason):
    return lambda context: context.abort(code, reason)


def test_nobody_there_is_said_after_a_bounded_time():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    start = time.perf_counter()
    with pytest.raises(InputError, match=f"nobody answers at grpc://127.0.0.1:{port}"):
        Ensemble.connect(f"grpc://127.0.0.1:{port}/kcseg")
    assert 1 < time.perf_counter() - start < 20


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_a_busy_server_is_asked_again(stub, code):
    address, answers, asked = stub
    answers += [refuse(code, "full"), good]
    assert (Ensemble.connect(address).segment(IMAGE).probability == 0.25).all()
    assert len(asked) == 2


def test_a_server_that_stays_busy_is_given_up_with_its_reason(stub):
    address, answers, asked = stub
    answers.append(refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full"))
    with pytest.raises(InputError, match=r"overloaded .the queue is full"):
        Ensemble.connect(address).segment(IMAGE)
    assert len(asked) == 5


def test_a_slow_server_is_said_to_be_slow(stub):
    address, answers, _ = stub
    answers.append(lambda context: time.sleep(2))
    ensemble = Ensemble.connect(address, timeout_s=0.5)
    with pytest.raises(InputError, match=r"did not answer within 0.5 s"):
        ensemble.segment(IMAGE)


def test_a_refusal_comes_with_the_servers_reason(stub):
    address, answers, asked = stub
    answers.append(refuse(grpc.StatusCode.INVALID_ARGUMENT, "too large"))
    with pytest.raises(InputError, match=r"refused the request .too large"):
        Ensemble.connect(address).segment(IMAGE)
    assert len(asked) == 1


def test_an_answer_without_its_tensors_is_told_apart(stub):
    address, answers, _ = stub
    answers.append(lambda context: predict_pb2.PredictResponse())
    with pytest.raises(InputError, match="unusable tensors"):
        Ensemble.connect(address).segment(IMAGE)


def test_another_kind_of_server_is_told_apart(server):
    nothing = grpc.server(ThreadPoolExecutor(1))
    port = nothing.add_insecure_port("127.0.0.1:0")
    nothing.start()
    with pytest.raises(InputError, match="does not answer like TF Serving"):
        Ensemble.connect(f"grpc://127.0.0.1:{port}/kcseg")
    nothing.stop(None)
    rest_port = server.rest_address.split("/")[2].split(":")[1]
    with pytest.raises(InputError, match=f":{rest_port}/kcseg"):
        Ensemble.connect(f"grpc://127.0.0.1:{rest_port}/kcseg")


def test_one_value_that_stands_for_too_many_is_not_unfolded(stub):
    def endless(context):
        answer = good(context)
        answer.outputs["mask"].tensor_shape.dim[0].size = 1 << 40
        return answer

    address, answers, _ = stub
    answers.append(endless)
    with pytest.raises(InputError, match=r"unusable tensors .of shape"):
        Ensemble.connect(address).segment(IMAGE)
