import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DT_FLOAT_REF
from tensorflow.core.protobuf import saved_model_pb2

from kcseg.errors import InputError
from kcseg.serving.local import LocalModel


def forget_inputs(saved):
    for function in saved.meta_graphs[0].object_graph_def.concrete_functions.values():
        function.ClearField("canonicalized_input_signature")


def refer(saved):
    for node in saved.meta_graphs[0].object_graph_def.nodes:
        if node.HasField("variable"):
            node.variable.dtype = DT_FLOAT_REF


def call_an_object(saved):
    for node in saved.meta_graphs[0].object_graph_def.nodes:
        if node.user_object.identifier == "signature_map":
            node.children[0].node_id = 0


@pytest.mark.parametrize("edit", [forget_inputs, refer, call_an_object])
def test_what_tensorflow_says_of_a_damaged_graph_is_one_short_line(exported, tmp_path, edit):
    shutil.copytree(exported / "1", tmp_path / "1")
    path = tmp_path / "1" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    edit(saved)
    path.write_bytes(saved.SerializeToString())
    with pytest.raises(InputError, match="cannot be loaded as a kcseg ensemble") as caught:
        LocalModel(tmp_path / "1")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


class Failing(tf.Module):
    """A model with an ensemble's signatures that takes no dark image, and answers with what is no array."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, None), tf.float32, name="image")])
    def segment(self, image):
        tf.debugging.Assert(tf.reduce_max(image) > 1e9, ["too dark"])
        nothing = tf.raw_ops.TensorListReserve(element_shape=[1], num_elements=2, element_dtype=tf.float32)
        return {"mask": nothing, "probability": image, "disagreement": image}

    @tf.function(input_signature=[tf.TensorSpec((None, None, None), tf.float32, name="image")])
    def members(self, image):
        return {"soft_masks": image[:, None]}


@pytest.mark.parametrize(("hu", "reason"), [(0, "too dark"), (2e9, "variant")])
def test_a_graph_that_fails_is_told_from_the_image(tmp_path, hu, reason):
    model = Failing()
    signatures = {"serving_default": model.segment, "members": model.members}
    tf.saved_model.save(model, str(tmp_path / "1"), signatures=signatures)
    with pytest.raises(InputError, match=rf"cannot segment \(2, 20, 30\) pixels \(.*{reason}"):
        LocalModel(tmp_path / "1")("serving_default", np.full((2, 20, 30), hu, np.float32))
