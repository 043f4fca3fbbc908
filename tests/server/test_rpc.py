"""TF Serving's gRPC API through the official stubs, and all that nobody should send."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from kcseg.serving.runner import Ensemble

IMAGE = np.random.default_rng(2).uniform(-200, 300, (2, 30, 40)).astype(np.float32)


@pytest.fixture(scope="module")
def channel(server):
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.grpc_address.split("/")[2], options=options) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def request(image=IMAGE, name="kcseg", version=None, signature="", outputs=()):
    message = predict_pb2.PredictRequest(output_filter=outputs)
    message.model_spec.name, message.model_spec.signature_name = name, signature
    if version is not None:
        message.model_spec.version.value = version
    if image is not None:
        tensor = (
            image if isinstance(image, tf.make_tensor_proto(0).__class__) else tf.make_tensor_proto(image)
        )
        message.inputs["image"].CopyFrom(tensor)
    return message


def tensor(*sides, **fields):
    """A message that promises a shape, whatever it holds."""
    message = tf.make_tensor_proto(np.zeros((), np.float32))
    message.ClearField("float_val")
    for side in sides:
        message.tensor_shape.dim.add(size=side)
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


def test_predict_answers_with_the_version_and_the_folders_masks(stub, exported):
    answer = stub.Predict(request(signature="serving_default"))
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("kcseg", 1)
    assert answer.model_spec.signature_name == "serving_default"
    found = Ensemble.load(exported).segment(IMAGE)
    for name in ("mask", "probability", "disagreement"):
        np.testing.assert_array_equal(tf.make_ndarray(answer.outputs[name]), getattr(found, name))
    assert answer.outputs["mask"].dtype == tf.uint8.as_datatype_enum


@pytest.mark.parametrize("shape", [(0, 9, 9), (1, 0, 9), (2, 5, 0)])
def test_images_without_pixels_get_answers_without_pixels(stub, shape):
    answer = stub.Predict(request(np.zeros(shape, np.float32)))
    assert tf.make_ndarray(answer.outputs["mask"]).shape == shape


def test_only_the_outputs_wanted_are_sent(stub):
    assert set(stub.Predict(request(outputs=["mask"])).outputs) == {"mask"}
    assert set(stub.Predict(request(signature="members", version=1)).outputs) == {"soft_masks"}


def test_metadata(stub):
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    message.model_spec.name = "kcseg"
    answer = stub.GetModelMetadata(message)
    assert answer.model_spec.version.value == 1
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "members", "raw_members"} <= set(signatures.signature_def)
    message.metadata_field[:] = ["weather"]
    with pytest.raises(grpc.RpcError) as error:
        stub.GetModelMetadata(message)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_status_and_health(models, channel):
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = "kcseg"
    (version,) = models.GetModelStatus(message).model_version_status
    assert version.version == 1 and version.status.error_code == 0
    assert version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    message.model_spec.version.value = 3
    with pytest.raises(grpc.RpcError) as error:
        models.GetModelStatus(message)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_what_the_ensemble_has_no_use_for_is_unimplemented(stub, models):
    for method, message in [
        (stub.Classify, classification_pb2.ClassificationRequest()),
        (stub.Regress, regression_pb2.RegressionRequest()),
        (stub.MultiInference, inference_pb2.MultiInferenceRequest()),
        (models.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
    ]:
        with pytest.raises(grpc.RpcError) as error:
            method(message)
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


REFUSED = {
    "no model": (request(name=""), "INVALID_ARGUMENT", "ModelSpec"),
    "model": (request(name="other"), "NOT_FOUND", "Latest(other)"),
    "version": (request(version=7), "NOT_FOUND", "Specific(kcseg, 7)"),
    "signature": (request(signature="none"), "FAILED_PRECONDITION", "not found in signature def"),
    "output": (request(outputs=["none"]), "INVALID_ARGUMENT", "Expected outputs among"),
    "no input": (request(None), "INVALID_ARGUMENT", "inputs ['image'], got []"),
    "rank 0": (request(np.float32(1)), "INVALID_ARGUMENT", "got []"),
    "rank 1": (request(np.zeros(9, np.float32)), "INVALID_ARGUMENT", "got [9]"),
    "rank 4": (request(np.zeros((1, 9, 9, 1), np.float32)), "INVALID_ARGUMENT", "got [1, 9, 9, 1]"),
    "float64": (request(np.zeros((1, 9, 9))), "INVALID_ARGUMENT", "to be float32, got float64"),
    "int64": (request(np.zeros((1, 9, 9), np.int64)), "INVALID_ARGUMENT", "to be float32, got int64"),
    "strings": (request(np.full((1, 9, 9), b"x")), "INVALID_ARGUMENT", "to be float32, got string"),
    "one value for all": (
        request(tensor(1 << 20, 1 << 20, 1 << 20, float_val=[1.0])),
        "INVALID_ARGUMENT",
        "pixels",
    ),
    "too many pixels": (
        request(np.zeros((1, 2049, 2049), np.float32)),
        "INVALID_ARGUMENT",
        "at most 4194304 pixels",
    ),
    "negative side": (request(tensor(1, -5, 5)), "INVALID_ARGUMENT", "[1, -5, 5]"),
    "too little content": (
        request(tensor(1, 5, 5, tensor_content=b"abcd")),
        "INVALID_ARGUMENT",
        "cannot be read",
    ),
    "too much content": (request(tensor(1, 1, 1, float_val=[1.0] * 9)), "INVALID_ARGUMENT", "cannot be read"),
    "no dtype": (request(tensor(1, 1, 1, dtype=0)), "INVALID_ARGUMENT", "cannot be read"),
    "unknown dtype": (request(tensor(1, 1, 1, dtype=999)), "INVALID_ARGUMENT", "cannot be read"),
    "resource": (request(tensor(1, 1, 1, dtype=20)), "INVALID_ARGUMENT", "cannot be read"),
    "huge message": (request(np.zeros((1, 6000, 6000), np.float32)), "RESOURCE_EXHAUSTED", "larger than max"),
}


@pytest.mark.parametrize(("message", "code", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_has_tf_servings_code(stub, message, code, error):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(message, timeout=60)
    assert caught.value.code().name == code and error in caught.value.details()
    assert stub.Predict(request()).outputs  # and the server still answers


def test_fewer_pictures_than_the_shape_says_are_refused(stub):
    message = request(None, signature="png")
    message.inputs["image_bytes"].CopyFrom(tensor(3, dtype=tf.string.as_datatype_enum))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(message, timeout=60)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "Expected a PNG file" in caught.value.details()


def test_one_value_stands_for_a_whole_image(stub):
    whole = stub.Predict(request(np.full((1, 20, 20), 3, np.float32))).outputs["probability"]
    short = stub.Predict(request(tensor(1, 20, 20, float_val=[3.0]))).outputs["probability"]
    np.testing.assert_array_equal(tf.make_ndarray(short), tf.make_ndarray(whole))


def test_tensors_nobody_asked_for_are_not_unfolded(stub, monkeypatch):
    monkeypatch.setattr("kcseg.server.servable.read_tensor", None)  # fails where it is called
    message = request()
    message.inputs["more"].CopyFrom(tensor(1, 2048, 2048))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(message)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "got ['image', 'more']" in caught.value.details()


def test_bytes_that_are_no_message_are_refused(channel, stub):
    raw = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    with pytest.raises(grpc.RpcError):
        raw(b"\xff" * 100, timeout=60)
    assert stub.Predict(request()).outputs
