"""What an exported ensemble may consist of, and the refusal of a SavedModel that could do more than compute."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.message import DecodeError
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow.core.protobuf.saved_object_graph_pb2 import SavedObjectGraph

from kcseg.errors import InputError, reason_of
from kcseg.files import read_bytes, write

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
# By these a SavedModel saves and restores itself. They reach files, so that no function may be called that holds one.
SAVING = "SaveV2 RestoreV2 MergeV2Checkpoints ShardedFilename StringJoin Select StaticRegexFullMatch"

_GRAPH = "saved_model.pb"
# of the network's operations, each one or two; over large ones TensorFlow ends the process
_STEPS = ("strides", "dilations", "ksize", "explicit_paddings")
_STOCK = frozenset(" ".join(STOCK.values()).split())
_SAVING = frozenset(SAVING.split())
_OBJECTS = ("user_object", "function", "bare_concrete_function", "variable")
_WRAPPERS = ("_generic_user_object", "signature_map", "trackable_list_wrapper", "trackable_dict_wrapper")


@contextmanager
def checked_copy(folder: Path) -> Iterator[tuple[Path, Mapping[str, SignatureDef]]]:
    """Yield a SavedModel whose graph TensorFlow may load, and the definitions of its signatures.

    It is a temporary folder with a copy of the graph, so that the graph loaded is the one checked, and a link to the
    variables, which are numbers and are not checked: TensorFlow may end the process over damaged ones.

    Args:
        folder: one version, as `kcseg export` writes it.

    Raises:
        InputError: the graph cannot be read, or holds what no export does.
    """
    content = read_bytes(folder / _GRAPH)
    try:
        saved = saved_model_pb2.SavedModel.FromString(content)
    except DecodeError as error:
        raise unloadable(folder, error) from error
    for found in _foreign(saved):
        raise InputError(
            f"{folder / _GRAPH} holds {found[:200]!r}, which no export of kcseg does, and is not run; export it anew"
        )
    with TemporaryDirectory(prefix="kcseg-") as place:
        copy = Path(place)
        write(copy / _GRAPH, content)
        (copy / "variables").symlink_to((folder / "variables").absolute())
        yield copy, saved.meta_graphs[0].signature_def


def unloadable(folder: Path, error: Exception) -> InputError:
    """Return the refusal of a SavedModel over which an error came up."""
    return InputError(f"{folder} cannot be loaded as a kcseg ensemble ({reason_of(error)}); export it anew")


def _foreign(saved: saved_model_pb2.SavedModel) -> Iterator[str]:
    """Yield what does not belong in an export."""
    # anything but one graph with its objects is loaded another way, which runs parts of it at once
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        yield "a graph without objects"
        return
    graph, objects = saved.meta_graphs[0].graph_def, saved.meta_graphs[0].object_graph_def
    functions = graph.library.function
    nodes = [*graph.node, *(node for function in functions for node in function.node_def)]
    yield from sorted({node.op for node in nodes} - _STOCK - _SAVING)
    # by these attributes TensorFlow puts one function in the place of another that is called
    attributes = {key for holder in (*functions, *nodes) for key in holder.attr}
    yield from sorted(key for key in attributes if key.startswith("api_"))
    steps = ((key, node.attr[key].list.i) for node in nodes for key in _STEPS if key in node.attr)
    yield from (f"{key} of {list(numbers)}" for key, numbers in steps if not set(numbers) <= {1, 2})
    if graph.library.gradient or graph.library.registered_gradients:
        yield "gradients"
    yield from _foreign_objects(objects)
    called = _called(objects, functions)
    for function in functions:
        if function.signature.name in called:
            yield from sorted({node.op for node in function.node_def} & _SAVING)


def _foreign_objects(objects: SavedObjectGraph) -> Iterator[str]:
    for node in objects.nodes:
        kind = node.WhichOneof("kind")
        if kind not in _OBJECTS:
            yield f"an object of kind {kind}"
        if kind == "user_object" and node.user_object.identifier not in _WRAPPERS:
            yield node.user_object.identifier
        if node.saveable_objects or node.registered_name:
            yield "an object with a way of its own to be restored"


def _called(objects: SavedObjectGraph, functions: Iterable[FunctionDef]) -> set[str]:
    """Return the names by which objects and functions call functions; neither calls those that save in an export."""
    names = set(objects.concrete_functions)
    for held in objects.nodes:
        names |= {*held.function.concrete_functions, held.bare_concrete_function.concrete_function_name}
    for node in (node for function in functions for node in function.node_def):
        names.add(node.op)  # a function may also go by the name of an operation
        for value in node.attr.values():
            names |= {value.func.name, *(function.name for function in value.list.func)}
    return names
