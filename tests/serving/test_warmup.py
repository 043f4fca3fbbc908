import numpy as np
import pytest
import tensorflow as tf

from kcseg.serving.warmup import prediction_log, write_warmup

# written once by the messages of tensorflow-serving-api 2.21: a zero of shape (1, 192, 192) for serving_default
OFFICIAL = bytes.fromhex(
    "323f0a3d0a180a056b637365671a0f73657276696e675f64656661756c74"
    "12210a05696d61676512180801120e12020801120308c001120308c0012a0400000000"
)


def test_a_record_is_byte_for_byte_what_the_official_message_makes():
    image = tf.make_tensor_proto(0, tf.float32, (1, 192, 192))
    assert prediction_log("kcseg", "serving_default", {"image": image.SerializeToString()}) == OFFICIAL


@pytest.mark.parametrize("pixels", [1, 30, 127, 128, 5000, 1_000_000])
def test_the_official_message_reads_requests_of_any_length(pixels):
    reason = "tensorflow-serving-api is not installed"
    messages = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason=reason)
    image = tf.make_tensor_proto(np.arange(pixels, dtype=np.float32).reshape(1, 1, -1))
    expected = messages.PredictionLog()
    request = expected.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = "kcseg", "members"
    request.inputs["image"].CopyFrom(image)
    written = prediction_log("kcseg", "members", {"image": image.SerializeToString()})
    assert messages.PredictionLog.FromString(written) == expected


def test_the_records_ask_every_signature_and_stay_small(tmp_path, trained_run):
    model = tf.saved_model.load(str(trained_run.export_folder / "1"))
    write_warmup(tmp_path, "kcseg")
    (path,) = (tmp_path / "assets.extra").iterdir()
    assert path.name == "tf_serving_warmup_requests" and path.stat().st_size < 10_000
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    for name in model.signatures:
        assert any(name.encode() in record for record in records), name
    assert records[0] == OFFICIAL


def test_the_export_answers_its_own_warm_up(trained_run):
    reason = "tensorflow-serving-api is not installed"
    messages = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason=reason)
    export = trained_run.export_folder / "1"
    model = tf.saved_model.load(str(export))
    for record in tf.data.TFRecordDataset(str(export / "assets.extra" / "tf_serving_warmup_requests")):
        request = messages.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        assert model.signatures[request.model_spec.signature_name](**inputs)
