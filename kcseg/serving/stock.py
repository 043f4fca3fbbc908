"""What an exported ensemble may consist of, and the refusal of a SavedModel that could do more than compute."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from kcseg.errors import InputError, reason_of
from kcseg.files import read_bytes, write
from kcseg.serving.variables import INDEX_BYTES, check_variables

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

_GRAPH = "saved_model.pb"
_INDEX, _VALUES = "variables/variables.index", "variables/variables.data-00000-of-00001"
# the values of seven networks of 64 filters and six levels take half of that
_MOST_BYTES = {_GRAPH: 1 << 30, _INDEX: INDEX_BYTES, _VALUES: 8 << 30}
# of the network's operations, each one or two; over large ones TensorFlow ends the process
_STEPS = ("strides", "dilations", "ksize", "explicit_paddings")
_STOCK = frozenset(" ".join(STOCK.values()).split())
_SAVING = frozenset(SAVING.split())
_OBJECTS = ("user_object", "function", "bare_concrete_function", "variable")
_WRAPPERS = ("_generic_user_object", "signature_map", "trackable_list_wrapper", "trackable_dict_wrapper")


@contextmanager
def checked_copy(folder: Path) -> Iterator[tuple[Path, Mapping[str, SignatureDef]]]:
    """Yield a copy of a SavedModel that TensorFlow may load, and the definitions of its signatures.

    Its graph was held against the list above, and its variables against their file. It is a copy, so that what is
    loaded is what was checked. That the model is any good, or that it ends well, nobody says: only that none of its
    operations is there to run code or to touch files.

    Args:
        folder: one version, as `kcseg export` writes it.

    Raises:
        InputError: a file cannot be read, or has in it what no export has.
    """
    with TemporaryDirectory(prefix="kcseg-") as place:
        copy = Path(place)
        for name, most in _MOST_BYTES.items():
            with _naming(folder):
                content = read_bytes(folder / name, maximum_bytes=most)
            write(copy / name, content)
            del content  # it may be most of the memory
        with _naming(folder):
            saved = saved_model_pb2.SavedModel.FromString((copy / _GRAPH).read_bytes())
            check_variables((copy / _INDEX).read_bytes(), (copy / _VALUES).read_bytes())
        for found in _foreign(saved):
            raise InputError(
                f"{folder / _GRAPH} holds {found[:200]!r}, which no export of kcseg does, and is not run; "
                "export it anew"
            )
        yield copy, saved.meta_graphs[0].signature_def


def unloadable(folder: Path, error: Exception) -> InputError:
    """Return the refusal of a SavedModel over which an error came up."""
    return InputError(f"{folder} cannot be loaded as a kcseg ensemble ({reason_of(error)}); export it anew")


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Say of whatever is wrong that it is with the model."""
    try:
        yield
    except (ValueError, DecodeError) as error:
        raise unloadable(folder, error) from error


def _foreign(saved: saved_model_pb2.SavedModel) -> Iterable[str]:
    """Yield what does not belong into an export."""
    # anything but one graph with its objects is loaded another way, which runs parts of it at once
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        yield "a graph without objects"
        return
    graph, objects = saved.meta_graphs[0].graph_def, saved.meta_graphs[0].object_graph_def
    bodies = {function.signature.name: function.node_def for function in graph.library.function}
    nodes = [*graph.node, *(node for body in bodies.values() for node in body)]
    yield from sorted({node.op for node in nodes} - _STOCK - _SAVING)
    # by these attributes TensorFlow puts one function in the place of another that is called
    attributes = {key for function in graph.library.function for key in function.attr}
    attributes |= {key for node in nodes for key in node.attr}
    yield from sorted(key for key in attributes if key.startswith("api_"))
    steps = ((key, node.attr[key].list.i) for node in nodes for key in _STEPS if key in node.attr)
    yield from (f"{key} of {list(numbers)}" for key, numbers in steps if not set(numbers) <= {1, 2})
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
