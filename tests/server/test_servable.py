"""A version's own warm-up requests, which come with the model and are trusted no more than anybody's."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from kcseg.server.failure import Failure
from kcseg.server.servable import Servable
from kcseg.serving.warmup import prediction_log


@pytest.fixture
def version(tmp_path, exported):
    shutil.copytree(exported / "1", tmp_path / "1")
    return tmp_path / "1"


def record(name="image", shape=(1, 20, 20)):
    return prediction_log(
        "kcseg", "serving_default", {name: tf.make_tensor_proto(0, tf.float32, shape).SerializeToString()}
    )


def put(version, *records, tail=b""):
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(str(path)) as file:
        for content in records:
            file.write(content)
    path.write_bytes(path.read_bytes() + tail)


def test_a_version_answers_its_own_warm_up_or_none(version):
    assert Servable(1, version).signature("members")
    put(version)
    assert Servable(1, version).definitions.signature_def["png"].inputs
    shutil.rmtree(version / "assets.extra")
    assert Servable(1, version).signature("")({"image": np.zeros((1, 20, 20), np.float32)})["mask"].shape == (
        1,
        20,
        20,
    )


@pytest.mark.parametrize(
    ("records", "tail", "message"),
    [
        ([record(shape=(1 << 20, 1 << 20))], b"", "Expected at most .* pixels"),
        ([record(name="more", shape=(1 << 20, 1 << 20))], b"", "got ..more"),
        ([b"\xff\xff"], b"", "holds no requests"),
        ([record()], (1 << 62).to_bytes(8, "little") + bytes(4), "corrupted record"),
    ],
)
def test_warm_up_requests_that_ask_too_much_are_refused(version, records, tail, message):
    put(version, *records, tail=tail)
    with pytest.raises(Failure, match=message):
        Servable(1, version)


def test_a_warm_up_that_is_no_file_is_refused(version):
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    path.unlink()
    path.mkdir()
    with pytest.raises(Failure, match="directory"):
        Servable(1, version)
