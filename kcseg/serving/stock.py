"""What an exported ensemble may consist of, and the refusal of a SavedModel that could do more than compute."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from kcseg.errors import InputError
from kcseg.files import read_bytes

# All of them are in stock TensorFlow and TF Serving; none runs Python, and none reads or writes a file.
STOCK = {
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
}
# By these a SavedModel saves and restores itself. They reach files, so that no function we call may lead to them.
SAVING = "SaveV2 RestoreV2 MergeV2Checkpoints ShardedFilename StringJoin Select StaticRegexFullMatch"

_STOCK = frozenset(" ".join(STOCK.values()).split())
_SAVING = frozenset(SAVING.split())
_OBJECTS = ("user_object", "function", "bare_concrete_function", "variable")
_WRAPPERS = ("_generic_user_object", "signature_map", "trackable_list_wrapper", "trackable_dict_wrapper")


def refuse_foreign_operations(folder: Path) -> None:
    """Hold a SavedModel against the list above, before TensorFlow sees it.

    It does not say that the model is any good, or that it ends: only that it cannot run code or touch files.

    Args:
        folder: one version, which holds `saved_model.pb`.

    Raises:
        InputError: the file cannot be read, or has in it what no export has.
    """
    for found in _foreign(read_saved_model(folder)):
        raise InputError(
            f"{folder / 'saved_model.pb'} holds {found[:200]!r}, which no export of kcseg does, and is not run; "
            "export it anew"
        )


def read_saved_model(folder: Path) -> saved_model_pb2.SavedModel:
    """Read what a SavedModel consists of, without loading it.

    Raises:
        InputError: the file is missing, too large, or none.
    """
    try:
        return saved_model_pb2.SavedModel.FromString(read_bytes(folder / "saved_model.pb"))
    except (InputError, DecodeError) as error:
        raise InputError(
            f"{folder} cannot be loaded as a kcseg ensemble ({error}); export it anew"
        ) from error


def _foreign(saved: saved_model_pb2.SavedModel) -> Iterable[str]:
    """Yield what does not belong into an export."""
    # anything but one graph with its objects is loaded another way, which runs parts of it at once
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        yield "a graph without objects"
        return
    graph, objects = saved.meta_graphs[0].graph_def, saved.meta_graphs[0].object_graph_def
    bodies = {function.signature.name: function.node_def for function in graph.library.function}
    for nodes in (graph.node, *bodies.values()):
        yield from sorted({node.op for node in nodes} - _STOCK - _SAVING)
    if graph.library.gradient or graph.library.registered_gradients:
        yield "gradients"
    yield from _foreign_objects(objects)
    called = set(objects.concrete_functions)
    for node in objects.nodes:
        called |= {*node.function.concrete_functions, node.bare_concrete_function.concrete_function_name}
    for name in _reached(called, bodies):
        yield from sorted({node.op for node in bodies[name]} & _SAVING)


def _foreign_objects(objects: Any) -> Iterable[str]:
    for node in objects.nodes:
        kind = node.WhichOneof("kind")
        if kind not in _OBJECTS:
            yield f"an object of kind {kind}"
        if kind == "user_object" and node.user_object.identifier not in _WRAPPERS:
            yield node.user_object.identifier
        if node.saveable_objects or node.registered_name:
            yield "an object with a way of its own to be restored"


def _reached(called: set[str], bodies: dict[str, Any]) -> set[str]:
    """Return the functions of the graph that calls of `called` lead to."""
    reached: set[str] = set()
    left = called & bodies.keys()
    while left:
        name = left.pop()
        reached.add(name)
        for node in bodies[name]:
            # a function may also go by the name of an operation
            callees = {node.op}
            for value in node.attr.values():
                callees |= {value.func.name, *(function.name for function in value.list.func)}
            left |= (callees & bodies.keys()) - reached
    return reached
