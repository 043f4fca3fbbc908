import io
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from kcseg.config import EXPORT, ExportConfig
from kcseg.errors import InputError
from kcseg.network.unet import build_unet
from kcseg.serving.graph import EnsembleGraph

# What the exported graph may consist of. All of them are in stock TensorFlow and TF Serving; none runs Python, and
# none reads or writes a file but those by which a SavedModel saves and restores itself.
STOCK_OPS = {
    "network": "Conv2D Conv2DBackpropInput BiasAdd Relu MaxPool Sigmoid ConcatV2",
    "arithmetic": "AddV2 Sub Mul RealDiv FloorDiv Minimum Maximum Square Sqrt BatchMatMulV2 Cumsum Cast",
    "comparison": "Equal NotEqual Greater Less LessEqual LogicalAnd LogicalNot IsNan SelectV2",
    "reduction": "All Any Max Min Mean Sum Prod UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentSum",
    "shape": "Shape Size Reshape Pack Unpack StridedSlice Pad ExpandDims Squeeze ZerosLike OnesLike Tile GatherV2 "
    "Where Range EnsureShape",
    "pictures": "DecodePaddedRaw DecodePng",
    "flow": "Assert Const Placeholder Identity NoOp PartitionedCall StatefulPartitionedCall While StatelessWhile If "
    "StatelessIf TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem TensorListStack",
    "variables": "VarHandleOp VarIsInitializedOp ReadVariableOp DisableCopyOnRead AssignVariableOp",
    "saving": "SaveV2 RestoreV2 MergeV2Checkpoints ShardedFilename StringJoin Select StaticRegexFullMatch",
}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(-1000, 400, (2, 37, 50)).astype(np.int16)


@pytest.fixture(scope="module")
def model(trained_run):
    return tf.saved_model.load(str(trained_run.export_folder / "1"))


def ops_of(export) -> set[str]:
    saved = saved_model_pb2.SavedModel.FromString((export / "saved_model.pb").read_bytes())
    graphs = [meta.graph_def for meta in saved.meta_graphs]
    bodies = [graph.node for graph in graphs]
    bodies += [function.node_def for graph in graphs for function in graph.library.function]
    return {node.op for body in bodies for node in body}


def test_the_graph_is_made_of_stock_operations_alone(trained_run):
    allowed = {op for ops in STOCK_OPS.values() for op in ops.split()}
    assert ops_of(trained_run.export_folder / "1") <= allowed
    assert not [op for op in allowed if "Py" in op or "File" in op.replace("ShardedFilename", "")]


def test_every_stock_operation_is_known_to_plain_tensorflow():
    known = set(dir(tf.raw_ops))
    missing = {op for ops in STOCK_OPS.values() for op in ops.split()} - known
    assert missing <= {"Const"}  # which has no Python function of its own


def test_int16_and_png_equal_float32(model, images):
    expected = model.signatures["serving_default"](image=tf.constant(images, tf.float32))
    pictures = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray((image.astype(np.int32) - EXPORT.hu_offset).astype(np.uint16)).save(file, "PNG")
        pictures.append(file.getvalue())
    for found in (
        model.signatures["int16"](image=tf.constant(images)),
        model.signatures["png"](image_bytes=tf.constant(pictures)),
    ):
        assert set(found) == set(expected)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name], name)


def test_another_hu_offset_and_limit_reach_the_graph(tiny):
    networks = [build_unet(tiny.network, seed=seed) for seed in range(3)]
    graph = EnsembleGraph(networks, tiny, ExportConfig(hu_offset=-50, maximum_pixels=30))
    stored = tf.constant(np.arange(30).reshape(5, 6, 1) * 5, tf.uint16)
    found = graph.segment_png([tf.io.encode_png(stored)])
    expected = graph.segment(tf.cast(stored[None, ..., 0], tf.float32) - 50)
    np.testing.assert_array_equal(found["probability"], expected["probability"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 30 pixels"):
        graph.segment(tf.zeros((1, 31, 1)))


def test_bfloat16_is_close_and_answers_in_float32(tiny, images):
    networks = [build_unet(tiny.network, seed=seed) for seed in range(3)]
    exact = EnsembleGraph(networks, tiny, EXPORT)
    reduced = EnsembleGraph(networks, tiny, replace(EXPORT, precision="bfloat16"))
    hu = tf.constant(images, tf.float32)
    found, expected = reduced.members(hu)["soft_masks"], exact.members(hu)["soft_masks"]
    assert found.dtype == tf.float32
    pixels = (found > 0) & (expected > 0)  # elsewhere a component may have been another one
    assert 0 < np.abs(found - expected)[pixels].max() < 0.03


@pytest.mark.parametrize(
    "wrong", [{"precision": "float16"}, {"hu_offset": 70000}, {"maximum_pixels": 0}, {"sample_images": 0}]
)
def test_settings_that_cannot_be_are_named(wrong):
    with pytest.raises(InputError, match=f"'{next(iter(wrong))}'"):
        ExportConfig(**wrong)
