"""Feeds the reader of SavedModels."""

import shutil
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from kcseg.config import EXPORT, QUICK
from kcseg.serving.graph import EnsembleGraph
from kcseg.serving.local import LocalModel
from kcseg.serving.stock import checked_copy
from tests.fuzz.messages import broken_message
from tests.fuzz.reader import Reader
from tests.fuzz.weights import NETWORK

GRAPH, VARIABLES = "saved_model.pb", "variables/variables"
OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"  # TensorFlow's name among the variables


@cache
def _made() -> TemporaryDirectory:
    place = TemporaryDirectory(prefix="fuzz-")
    graph = EnsembleGraph([NETWORK], QUICK, EXPORT)
    tf.saved_model.save(graph.weights(), place.name, signatures=graph.traced)  # as an export is written
    return place


def exported() -> Path:
    """Return the folder of a sound model, made once in a process and gone with it."""
    return Path(_made().name)


def graph_samples() -> list[bytes]:
    return [(exported() / GRAPH).read_bytes()]


def objects_samples() -> list[bytes]:
    return [_variables()[OBJECTS]]


@cache
def _variables() -> dict[str, np.ndarray | bytes]:
    checkpoint = tf.train.load_checkpoint(str(exported() / VARIABLES))
    return {name: checkpoint.get_tensor(name) for name in checkpoint.get_variable_to_shape_map()}


def check_graph(path: Path) -> None:
    with checked_copy(_beside(path)):
        pass


def load_graph(path: Path) -> None:
    LocalModel(_beside(path))


def _beside(path: Path) -> Path:
    """Return a sound model that has this file for its graph."""
    model = _copy(path)
    shutil.copyfile(path, model / GRAPH)
    return model


def load_objects(path: Path) -> None:
    """Load a sound graph and sound numbers beside what says which variable belongs to which object."""
    variables = _variables() | {OBJECTS: np.array(path.read_bytes(), object)}
    tf.raw_ops.SaveV2(
        prefix=str(_copy(path) / VARIABLES),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.constant(value) for value in variables.values()],
    )
    LocalModel(_copy(path))


def _copy(path: Path) -> Path:
    model = path.parent / "model"
    if not model.exists():
        shutil.copytree(exported(), model)
    return model


broken_graph = partial(broken_message, kind=SavedModel)
broken_objects = partial(broken_message, kind=TrackableObjectGraph)
READERS = {
    "saved model": Reader(GRAPH, graph_samples, broken_graph, check_graph),
    # these two load what they read: 5000 take half an hour
    "variables' objects": Reader("objects", objects_samples, broken_objects, load_objects),
    "loaded model": Reader(GRAPH, graph_samples, broken_graph, load_graph),
}
