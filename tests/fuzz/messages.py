"""Breaks protobuf messages: SavedModels, and what goes over gRPC."""

import contextlib
from collections.abc import MutableMapping, MutableSequence, Sequence

import numpy as np
from google.protobuf.message import Message
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataResponse, SignatureDefMap

from tests.fuzz.mutate import NUMBERS, broken, one_of

TEXTS = ("", "a", "Relu", "RestoreV2", "AssignVariableOp")


def broken_message(random: np.random.Generator, samples: Sequence[bytes], kind: type[Message]) -> bytes:
    """Mostly a whole message with one to five of its fields changed."""
    if random.random() < 0.2:
        return broken(random, samples)
    message = kind.FromString(one_of(random, samples))
    for _ in range(random.integers(1, 6)):
        with contextlib.suppress(ValueError):  # a number too large for its field, or none of its enumeration
            _change_field(random, message)
    return message.SerializePartialToString()


def broken_metadata(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """What a server says over gRPC of its model, half of the time broken inside of the message packed in it."""
    if random.random() < 0.5:
        return broken_message(random, samples, GetModelMetadataResponse)
    metadata = GetModelMetadataResponse.FromString(samples[0])
    packed = metadata.metadata["signature_def"]
    packed.value = broken_message(random, [packed.value], SignatureDefMap)
    return metadata.SerializeToString()


def _change_field(random: np.random.Generator, message: Message) -> None:
    """Change, clear, double or go down into one field of a message."""
    fields = message.ListFields()
    if not fields:
        return
    field, value = one_of(random, fields)
    if random.random() < 0.02:
        message.ClearField(field.name)
    elif isinstance(value, MutableMapping):
        _change_item(random, value, one_of(random, list(value)))
    elif isinstance(value, MutableSequence) and random.random() < 0.1:
        value.append(one_of(random, value))
    elif isinstance(value, MutableSequence):
        _change_item(random, value, int(random.integers(len(value))))
    elif isinstance(value, Message):
        _change_field(random, value)
    else:
        setattr(message, field.name, _other(random, value))


def _change_item(
    random: np.random.Generator, items: MutableMapping | MutableSequence, place: str | int
) -> None:
    if random.random() < 0.2:
        del items[place]
    elif isinstance(items[place], Message):
        _change_field(random, items[place])
    else:
        items[place] = _other(random, items[place])


def _other(random: np.random.Generator, value: object) -> object:
    """Return another value of that type."""
    match value:
        case bool():
            return not value
        case int():
            return one_of(random, [*NUMBERS, *[value + 1, value - 1] * 10])
        case float():
            return one_of(random, [0.0, -1.0, 1e30, np.inf, np.nan])
        case str():
            return one_of(random, [*TEXTS, value[:-1], value + "a"])
        case _:
            return broken(random, [value])
