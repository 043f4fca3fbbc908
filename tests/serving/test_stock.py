import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from kcseg.errors import InputError
from kcseg.serving.contract import OUTPUTS
from kcseg.serving.local import LocalModel
from kcseg.serving.runner import Ensemble
from kcseg.serving.stock import STOCK, checked_copy


def check(folder):
    with checked_copy(folder):
        pass


def test_the_exported_graph_is_made_of_stock_operations_alone(exported):
    check(exported / "1")


def test_every_stock_operation_is_known_to_plain_tensorflow():
    allowed = {op for ops in STOCK.values() for op in ops.split()}
    assert not [op for op in allowed if "Py" in op or "File" in op]
    assert allowed - set(dir(tf.raw_ops)) <= {"Const"}  # which has no Python function of its own


class Foreign(tf.Module):
    """A model with an ensemble's signatures, which does something else besides."""

    def __init__(self, trick, place):
        super().__init__()
        self._trick, self._place = trick, str(place)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None), tf.float32, name="image")])
    def segment(self, image):
        self._trick(self._place)
        return {"mask": tf.cast(image, tf.uint8), "probability": image, "disagreement": image}

    @tf.function(input_signature=[tf.TensorSpec((None, None, None), tf.float32, name="image")])
    def members(self, image):
        return {"soft_masks": image[:, None]}


TRICKS = {
    "WriteFile": lambda place: tf.io.write_file(place, "x"),
    "ReadFile": lambda place: tf.io.read_file(place),
    "SaveV2": lambda place: tf.raw_ops.SaveV2(
        prefix=place, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.constant([1.0])]
    ),
    "RestoreV2": lambda place: tf.raw_ops.RestoreV2(
        prefix=place, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    ),
    "EagerPyFunc": lambda place: tf.py_function(lambda: Path(place).touch(), [], []),
}


@pytest.mark.parametrize("operation", TRICKS)
def test_a_model_that_does_more_than_compute_is_not_run(tmp_path, operation):
    model = Foreign(TRICKS[operation], tmp_path / "ran")
    signatures = {"serving_default": model.segment, "members": model.members}
    tf.saved_model.save(model, str(tmp_path / "1"), signatures=signatures)
    with pytest.raises(InputError, match=f"holds '{operation}'"):
        Ensemble.load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_read_when_loaded_is_refused(tmp_path):
    (tmp_path / "words").write_text("a 1\nb 2\n")
    model = Foreign(lambda place: None, tmp_path)
    model.table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(str(tmp_path / "words"), tf.string, 0, tf.int64, 1, delimiter=" "), -1
    )
    tf.saved_model.save(model, str(tmp_path / "1"), signatures={"serving_default": model.segment})
    with pytest.raises(InputError, match="no export of kcseg"):
        check(tmp_path / "1")


def edited(exported, folder, edit):
    """Copy an export, change its graph, and say why it is refused."""
    shutil.copytree(exported / "1", folder / "1")
    path = folder / "1" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    edit(saved)
    path.write_bytes(saved.SerializeToString())
    with pytest.raises(InputError) as caught:
        check(folder / "1")
    return str(caught.value)


def test_a_file_operation_cannot_hide_behind_the_name_of_another(exported, tmp_path):
    def hide(saved):
        library = saved.meta_graphs[0].graph_def.library
        hidden = library.function.add()
        hidden.signature.name = "Relu"
        hidden.node_def.add(name="a", op="RestoreV2")

    assert "'RestoreV2'" in edited(exported, tmp_path, hide)


def test_a_graph_that_would_be_loaded_another_way_is_refused(exported, tmp_path):
    assert "without objects" in edited(
        exported, tmp_path, lambda saved: saved.meta_graphs[0].ClearField("object_graph_def")
    )


def test_objects_that_restore_themselves_are_refused(exported, tmp_path):
    def restore(saved):
        saved.meta_graphs[0].object_graph_def.nodes[0].saveable_objects["a"].restore_function = 1

    assert "way of its own" in edited(exported, tmp_path, restore)


def test_functions_that_may_stand_for_others_are_refused(exported, tmp_path):
    def replace(saved):
        functions = saved.meta_graphs[0].graph_def.library.function
        functions[0].attr["api_implements"].s = b"a"

    assert "'api_implements'" in edited(exported, tmp_path, replace)


@pytest.mark.parametrize("key", ["strides", "dilations"])
def test_convolutions_that_would_end_the_process_are_refused(exported, tmp_path, key):
    def stride(saved):
        nodes = (
            node for function in saved.meta_graphs[0].graph_def.library.function for node in function.node_def
        )
        next(node for node in nodes if node.op == "Conv2D").attr[key].list.i[:] = [1, 2**31 - 1, 1, 1]

    assert f"{key} of [1, 2147483647, 1, 1]" in edited(exported, tmp_path, stride)


def test_a_function_that_restores_cannot_be_called_by_another(exported, tmp_path):
    def call(saved):
        functions = saved.meta_graphs[0].graph_def.library.function
        restoring = next(f for f in functions if any(node.op == "RestoreV2" for node in f.node_def))
        node = next(f for f in functions if f is not restoring).node_def.add(name="a", op="PartitionedCall")
        node.attr["f"].func.name = restoring.signature.name

    assert "'RestoreV2'" in edited(exported, tmp_path, call)


def test_a_function_is_not_hidden_by_another_of_its_name(exported, tmp_path):
    def shadow(saved):
        functions = saved.meta_graphs[0].graph_def.library.function
        functions.add().CopyFrom(functions[0])
        functions[0].node_def.add(name="a", op="WriteFile")

    assert "'WriteFile'" in edited(exported, tmp_path, shadow)


@pytest.mark.parametrize("damage", ["index is missing", "index is no index", "values are missing"])
def test_variables_that_cannot_be_read_are_said_of_the_model(exported, tmp_path, damage):
    shutil.copytree(exported / "1", tmp_path / "1")
    index = tmp_path / "1" / "variables" / "variables.index"
    if damage == "index is no index":
        index.write_bytes(b"no index")
    else:
        (index if "index" in damage else index.with_name("variables.data-00000-of-00001")).unlink()
    with pytest.raises(InputError, match="1 cannot be loaded as a kcseg ensemble") as caught:
        LocalModel(tmp_path / "1")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


def test_a_full_temporary_folder_is_not_the_models_fault(exported, monkeypatch):
    def fail(path, content):
        raise InputError(f"cannot write {path}: no space left")

    monkeypatch.setattr("kcseg.serving.stock.write", fail)
    with pytest.raises(InputError, match=r"^cannot write .*no space left$"):
        check(exported / "1")


def test_the_graph_that_was_checked_is_loaded_and_values_are_not_copied(exported, tmp_path, monkeypatch):
    shutil.copytree(exported / "1", tmp_path / "1")
    load, loaded = tf.saved_model.load, []

    def load_after_a_change(path):
        loaded.append(Path(path))
        assert (loaded[0] / "variables").resolve() == tmp_path / "1" / "variables"
        (tmp_path / "1" / "saved_model.pb").write_bytes(b"")
        return load(path)

    monkeypatch.setattr(tf.saved_model, "load", load_after_a_change)
    model = LocalModel(tmp_path / "1")
    assert set(OUTPUTS) <= set(model.signatures) and set(OUTPUTS) <= set(model.definitions)
    assert not loaded[0].exists() and (tmp_path / "1" / "variables" / "variables.index").exists()


def test_a_relative_folder_is_loaded(exported, monkeypatch):
    monkeypatch.chdir(exported)
    image = np.zeros((1, 20, 20), np.float32)
    assert LocalModel(Path("1"))("serving_default", image)["mask"].shape == image.shape
