"""Feeds every reader files that are broken in many ways: it must return something sound, or raise InputError.

    python benchmarks/fuzz.py [--inputs 100000] [--seed 0] [READER ...]

Each reader has a process of its own, with 2 GiB of memory beyond what it starts with and 20 seconds for a file. An
input that breaks it is kept, and the exit code is 1. Equal seeds make equal inputs.
"""

import base64
import contextlib
import copy
import faulthandler
import functools
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import nibabel
import numpy as np
import PIL.Image
import pydicom
import urllib3
from pydicom import uid

from kcseg.config import QUICK, EnsembleConfig, NetworkConfig, PretrainingConfig
from kcseg.config_json import from_json, to_json
from kcseg.dataset.coco import CocoPersons
from kcseg.errors import InputError
from kcseg.files import read_json
from kcseg.image.formats import read_image, read_mask
from kcseg.image.png import stated_hu_offset
from kcseg.serving.address import parse_address
from kcseg.serving.runner import OUTPUTS, Ensemble

MEMORY, SECONDS = 2 << 30, 20
NUMBERS = (
    0,
    1,
    2,
    3,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
VALUES = (
    None, True, 0, 1, -1, 7, 255, 2**31, 2**63, -(2**64), 10**30, 0.5, -1e9, 1e9, 1e308, float("inf"), float("nan"),
    "", "a", "nearest", "../../x", "\0", [], [[]], [0], [1e9] * 6, {}, {"a": 1}, "9" * 5000,
)  # fmt: skip
OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"  # TensorFlow's name among the variables
TINY = NetworkConfig(levels=1, filters=2, skip_convolutions=0)


class Hang(BaseException):
    """A file took too long; no Exception, so that no reader can take it for a fault of the file."""


@dataclass(frozen=True)
class Reader:
    """How sound files are made, broken, and read.

    Attributes:
        name: of the file.
        samples: makes the contents of sound files.
        mutate: breaks one of them.
        read: reads the file; what it returns unsound it must refuse with an AssertionError.
    """

    name: str
    samples: Callable[[], Sequence[bytes]]
    mutate: Callable[[np.random.Generator, Sequence[bytes]], bytes]
    read: Callable[[Path], None]


# Breaking


def broken(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """Return a sample with one to five changes of its bytes, mostly among the first, where headers lie."""
    content = bytearray(samples[random.integers(len(samples))])
    for _ in range(random.integers(1, 6)):
        limit = len(content) if random.random() < 0.3 else min(len(content), 600)
        place = int(random.integers(limit + 1))
        match random.integers(9):
            case 0 | 1 if content:
                content[place % len(content)] ^= 1 << random.integers(8)
            case 2:
                content[place : place + 1] = random.bytes(1)
            case 3 | 4:
                size, order = int(random.choice([1, 2, 4, 8])), str(random.choice(["little", "big"]))
                number = NUMBERS[random.integers(len(NUMBERS))] % 256**size
                content[place : place + size] = number.to_bytes(size, order)
            case 5:
                content[place : place + int(random.integers(1, 64))] = b""
            case 6:
                content[place:place] = random.bytes(random.integers(1, 16))
            case 7:
                other = samples[random.integers(len(samples))]
                start = int(random.integers(max(len(other), 1)))
                content[place : place + 32] = other[start : start + int(random.integers(1, 64))]
            case 8:
                del content[int(random.integers(len(content) + 1)) :]
    return bytes(content)


def broken_png(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """Half of the time with check sums put right, so that what lies behind them is reached."""
    content = bytearray(broken(random, samples))
    place = 8
    while random.random() < 0.9 and place + 12 <= len(content):
        end = place + 8 + struct.unpack(">I", content[place : place + 4])[0]
        if end + 4 > len(content):
            break
        content[end : end + 4] = struct.pack(">I", zlib.crc32(content[place + 4 : end]))
        place = end + 4
    return bytes(content)


def broken_gzip(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """Half of the time broken inside of its compression."""
    if random.random() < 0.5:
        return broken(random, samples)
    return gzip.compress(broken(random, [gzip.decompress(one) for one in samples]), compresslevel=1)


def broken_zip(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """Mostly broken inside of a member, lacking one, or with one under another's name."""
    if random.random() < 0.3:
        return broken(random, samples)
    with zipfile.ZipFile(io.BytesIO(samples[random.integers(len(samples))])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen, other = (str(random.choice(list(members))) for _ in range(2))
    match random.integers(4):
        case 0:
            del members[chosen]
        case 1:
            members[chosen] = members[other]
        case _:
            members[chosen] = broken(random, [members[chosen]])
    made = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if random.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(made, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def broken_json(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """Mostly other values at one to three places, and here and there other bytes."""
    if random.random() < 0.2:
        return broken(random, samples)
    value = json.loads(samples[random.integers(len(samples))])
    for _ in range(random.integers(1, 4)):
        value = _changed(random, value)
    text = json.dumps(value)
    return (text.replace('"' + "9" * 5000 + '"', "9" * 5000) if random.random() < 0.5 else text).encode()


def _changed(random: np.random.Generator, value: object) -> object:
    """Return JSON with one place of it changed, taken away or doubled."""
    places = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    if not places or random.random() < 0.1:
        return copy.deepcopy(VALUES[random.integers(len(VALUES))])
    place = places[random.integers(len(places))]
    match random.integers(12):
        case 0:
            del value[place]
        case 1:
            value[place] = copy.deepcopy(value[places[random.integers(len(places))]])
        case _:
            value[place] = _changed(random, value[place])
    return value


def broken_model(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """A SavedModel with other fields."""
    from tensorflow.core.protobuf import saved_model_pb2

    return _broken_message(random, samples, saved_model_pb2.SavedModel)


def broken_objects(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """What says which variable belongs to which object, with other fields."""
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    return _broken_message(random, samples, TrackableObjectGraph)


def broken_request(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """A request over gRPC with other fields."""
    from tensorflow_serving.apis import predict_pb2

    return _broken_message(random, samples, predict_pb2.PredictRequest)


def broken_answer(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """An answer over gRPC with other fields."""
    from tensorflow_serving.apis import predict_pb2

    return _broken_message(random, samples, predict_pb2.PredictResponse)


def broken_metadata(random: np.random.Generator, samples: Sequence[bytes]) -> bytes:
    """What a server says over gRPC of its model, with other fields."""
    from tensorflow_serving.apis import get_model_metadata_pb2

    if random.random() < 0.5:
        return _broken_message(random, samples, get_model_metadata_pb2.GetModelMetadataResponse)
    # inside of the message that lies in it as bytes
    metadata = get_model_metadata_pb2.GetModelMetadataResponse.FromString(samples[0])
    packed = metadata.metadata["signature_def"]
    packed.value = _broken_message(random, [packed.value], get_model_metadata_pb2.SignatureDefMap)
    return metadata.SerializeToString()


def _broken_message(random: np.random.Generator, samples: Sequence[bytes], kind: Any) -> bytes:
    """Mostly a whole message with one to five of its fields changed."""
    if random.random() < 0.2:
        return broken(random, samples)
    message = kind.FromString(samples[random.integers(len(samples))])
    for _ in range(random.integers(1, 6)):
        with contextlib.suppress(ValueError):  # a number too large for its field, or none of its enumeration
            _change_field(random, message)
    return message.SerializePartialToString()


def _change_field(random: np.random.Generator, message: Any) -> None:
    """Change, clear, double or go down into one field of a message."""
    fields = message.ListFields()
    if not fields:
        return
    field, value = fields[random.integers(len(fields))]
    if random.random() < 0.02:
        message.ClearField(field.name)
    elif isinstance(value, MutableMapping):
        key = list(value)[random.integers(len(value))]
        if random.random() < 0.2:
            del value[key]
        elif hasattr(value[key], "ListFields"):
            _change_field(random, value[key])
        else:
            value[key] = _other(random, value[key])
    elif isinstance(value, MutableSequence):
        place = int(random.integers(len(value)))
        match random.integers(8):
            case 0:
                del value[place]
            case 1:
                value.append(value[place])
            case _ if hasattr(value[place], "ListFields"):
                _change_field(random, value[place])
            case _:
                value[place] = _other(random, value[place])
    elif hasattr(value, "ListFields"):
        _change_field(random, value)
    else:
        setattr(message, field.name, _other(random, value))


def _other(random: np.random.Generator, value: Any) -> Any:
    """Return another value of that type."""
    match value:
        case bool():
            return not value
        case int():
            return (
                NUMBERS[random.integers(len(NUMBERS))]
                if random.random() < 0.5
                else value + int(random.choice([-1, 1]))
            )
        case float():
            return float(random.choice([0.0, -1.0, 1e30, np.inf, np.nan]))
        case str():
            return str(
                random.choice(["", "a", value[:-1], value + "a", "Relu", "RestoreV2", "AssignVariableOp"])
            )
        case _:
            return broken(random, [value])


# Sound files


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, (20, 24)).astype(np.int16)


def mask() -> np.ndarray:
    return np.random.default_rng(1).random((20, 24)) > 0.7


def saved(write: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def npy_samples() -> list[bytes]:
    arrays = [
        picture(),
        picture().astype(np.float32),
        picture().astype(">f8").T,
        mask(),
        mask().astype(np.uint8),
    ]
    return [saved(lambda path, array=array: np.save(path, array), "a.npy") for array in arrays]


def grey_samples() -> list[bytes]:
    return [_png(mask()), _png(np.where(mask(), 255, 0).astype(np.uint8))]


def hu_samples() -> list[bytes]:
    return [_png((picture().astype(int) + 1024).astype(np.uint16))]


def _png(pixels: np.ndarray) -> bytes:
    return saved(PIL.Image.fromarray(pixels).save, "a.png")


def nifti_samples(ending: str) -> list[bytes]:
    affine = np.diag([-2.0, -3.0, -1.5, 1.0])
    volumes = [
        kind(array[:, np.newaxis, :], affine)
        for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image)
        for array in (picture(), picture().astype(np.float32), mask().astype(np.uint8))
    ]
    return [saved(lambda path, volume=volume: nibabel.save(volume, path), f"a{ending}") for volume in volumes]


def dicom_samples() -> list[bytes]:
    plain = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.RLELossless]
    return [saved(lambda path, encoding=encoding: _save_dicom(path, encoding), "a.dcm") for encoding in plain]


def _save_dicom(path: Path, encoding: uid.UID) -> None:
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName, dataset.Modality, dataset.NumberOfFrames = "Doe^Jane", "CT", 1
    dataset.Rows, dataset.Columns = picture().shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1024
    dataset.PixelSpacing, dataset.ImageOrientationPatient = [1.5, 2.0], [1, 0, 0, 0, 0, -1]
    dataset.PixelData = picture().tobytes()
    if encoding == uid.RLELossless:
        dataset.compress(encoding)
    dataset.file_meta.TransferSyntaxUID = encoding
    dataset.save_as(path, enforce_file_format=True)


def coco_samples() -> list[bytes]:
    square = [[30, 20, 60, 20, 60, 50, 30, 50]]
    crowd = {"counts": [0, 800, 7200], "size": [80, 100]}
    common = {"image_id": 1, "category_id": 1, "bbox": [30, 20, 30, 30]}
    content = {
        "images": [{"id": 1, "file_name": "0001.jpg", "height": 80, "width": 100}],
        "annotations": [
            {**common, "iscrowd": 0, "segmentation": square},
            {**common, "iscrowd": 1, "segmentation": crowd},
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    return [json.dumps(content).encode()]


def jpeg_samples() -> list[bytes]:
    grey = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 100)).astype(np.uint8))
    made = [saved(grey.convert(mode).save, "a.jpg") for mode in ("L", "RGB", "CMYK")]
    return [*made, saved(grey.save, "a.png")]


def config_samples() -> list[bytes]:
    return [json.dumps(to_json(QUICK)).encode()]


def batch_samples() -> list[bytes]:
    return [b'{"hu_offset": -1024}']


@functools.cache
def network():
    """Return the one network that weights are read for; building it anew each time would take all the time."""
    from kcseg.network.unet import build_unet

    return build_unet(TINY, seed=0)


def state_samples() -> list[bytes]:
    from kcseg.training.checkpoint import TrainingState, save_state

    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)]
    state = TrainingState([{"epoch": 1, "loss": 1 / 3}], 0, 0.3, arrays, arrays[:1])
    return [saved(lambda path: save_state(path, state), "state.npz")]


def pretrained_samples() -> list[bytes]:
    from kcseg.training.checkpoint import save_pretrained

    return [saved(lambda path: save_pretrained(path, network()), "pretrained.npz")]


def weights_samples() -> list[bytes]:
    return [saved(network().save_weights, "member.weights.h5")]


def search_samples() -> list[bytes]:
    from keras_tuner.engine.trial import TrialStatus

    def save(path: Path) -> None:
        oracle = _oracle(path)
        for score in (0.5, None):
            trial = oracle.create_trial("tuner0")
            if score:
                oracle.update_trial(trial.trial_id, {"dice": score})
                trial.status = TrialStatus.COMPLETED
                oracle.end_trial(trial)
        oracle.save()

    with contextlib.redirect_stdout(io.StringIO()):
        return [saved(save, "state.json")]


def _oracle(path: Path):
    import keras_tuner

    from kcseg.training.oracle import build_oracle
    from kcseg.training.space import SPACE, hyperparameters

    oracle = build_oracle(hyperparameters(SPACE), trials=4, seed=1, random=True)
    oracle.keep_in(path, timeout_s=60)
    # a tuner tells it its folder
    keras_tuner.Tuner(oracle, lambda _: None, directory=str(path.parent), project_name="trials")
    oracle.verbose = 0  # as in a search of ours; else it keeps the time
    return oracle


def packed_samples() -> list[bytes]:
    return [saved(lambda path: _pack(path.parent), "member-1.npz")]


def card_samples() -> list[bytes]:
    return [saved(lambda path: _pack(path.parent), "card.json")]


def _pack(folder: Path) -> None:
    """Write the weights of two members as kcseg pack does, in a folder of their own."""
    from kcseg.files import write_json
    from kcseg.serving.bundle import CARD, write_weights

    stated = {"validation_dice": 0.9, "sha256": "0" * 64}
    config = replace(QUICK, network=TINY, ensemble=EnsembleConfig(folds=2, full_members=0))
    trained = SimpleNamespace(config=config, load_network=lambda _: network())
    card = write_weights(folder, trained, "float16")
    card["members"] = {f"member-{number}": stated for number in config.member_numbers}
    card["training_data"] = {"images": 2, "sha256": "0" * 64}
    write_json(folder / CARD, card)


def result_samples() -> list[bytes]:
    result = {"trial": "1", "status": "done", "values": {"network.levels": 2}, "dice": 0.5, "parameters": 10}
    return [json.dumps(result).encode()]


def simulation_samples() -> list[bytes]:
    return [
        json.dumps(
            {"cases": {"train-1/0001": {"faults": ["shifted"]}, "train-1/0002": {"faults": []}}}
        ).encode()
    ]


def history_samples() -> list[bytes]:
    return [b"epoch,step,loss,val_dice\n1,10,0.5,0.25\n2,20,0.25,0.5\n"]


def rest_samples() -> list[bytes]:
    image, png = picture()[:16, :16].tolist(), base64.b64encode(hu_samples()[0]).decode()
    bodies = [
        {"signature_name": "serving_default", "inputs": {"image": [image]}},
        {"signature_name": "members", "instances": [{"image": image}]},
        {"signature_name": "png", "inputs": {"image_bytes": [{"b64": png}]}},
        {"signature_name": "png", "instances": [{"b64": png}]},
    ]
    return [json.dumps(body).encode() for body in bodies]


def grpc_samples() -> list[bytes]:
    return [request.SerializeToString() for request in _requests()]


def _requests() -> list[Any]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    requests = []
    for name, inputs in {
        "serving_default": {"image": picture()[np.newaxis, :16, :16].astype(np.float32)},
        "int16": {"image": picture()[np.newaxis, :16, :16]},
        "png": {"image_bytes": np.array([hu_samples()[0]], object)},
    }.items():
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "kcseg", name
        for key, array in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
        requests.append(request)
    return requests


@functools.cache
def rest_answer_samples() -> list[bytes]:
    lists = {name: array.tolist() for name, array in _outputs().items()}
    return [json.dumps({"outputs": lists}).encode()]


def _outputs() -> dict[str, np.ndarray]:
    half = np.full((1, *picture().shape), 0.5, np.float32)
    return {"mask": mask()[np.newaxis].astype(np.uint8), "probability": half, "disagreement": half / 2}


@functools.cache
def rest_metadata_samples() -> list[bytes]:
    signatures = {name: {"outputs": {output: {} for output in outputs}} for name, outputs in OUTPUTS.items()}
    return [json.dumps({"metadata": {"signature_def": {"signature_def": signatures}}}).encode()]


@functools.cache
def grpc_answer_samples() -> list[bytes]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    outputs = {name: tf.make_tensor_proto(array) for name, array in _outputs().items()}
    return [predict_pb2.PredictResponse(outputs=outputs).SerializeToString()]


@functools.cache
def grpc_metadata_samples() -> list[bytes]:
    from tensorflow_serving.apis import get_model_metadata_pb2

    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, outputs in OUTPUTS.items():
        for output in outputs:
            signatures.signature_def[name].outputs[output].name = output
    metadata = get_model_metadata_pb2.GetModelMetadataResponse()
    metadata.metadata["signature_def"].Pack(signatures)
    return [metadata.SerializeToString()]


def warm_up_samples() -> list[bytes]:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    def save(path: Path) -> None:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for request in _requests():
                log = prediction_log_pb2.PredictionLog()
                log.predict_log.request.CopyFrom(request)
                writer.write(log.SerializeToString())

    return [saved(save, "requests")]


def saved_model_samples() -> list[bytes]:
    return [saved(lambda path: _save_model(path.parent), "saved_model.pb")]


def objects_samples() -> list[bytes]:
    return [_sound_variables()[OBJECTS]]


@functools.cache
def _sound_variables() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        _save_model(Path(folder))
        return _variables(Path(folder))


def _variables(model: Path) -> dict[str, Any]:
    import tensorflow as tf

    checkpoint = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    return {name: checkpoint.get_tensor(name) for name in checkpoint.get_variable_to_shape_map()}


def _save_model(folder: Path) -> None:
    import tensorflow as tf

    from kcseg.config import EXPORT
    from kcseg.serving.graph import EnsembleGraph

    graph = EnsembleGraph([network()], QUICK, EXPORT)
    tf.saved_model.save(graph, str(folder), signatures=graph.signatures)


# Reading


def read_picture(path: Path) -> None:
    image = read_image(path, hu_offset=-1024 if path.suffix == ".png" else None)
    assert image.hu.dtype == np.float32 and image.hu.ndim == 2 and np.isfinite(image.hu).all()
    assert image.spacing_mm is None or all(0.1 <= step <= 5 for step in image.spacing_mm)


def read_outline(path: Path) -> None:
    found = read_mask(path)
    assert found.pixels.dtype == bool and found.pixels.ndim == 2


def read_both(path: Path) -> None:
    """Read a file as an image, and as a mask where it is none."""
    try:
        read_picture(path)
    except InputError:
        read_outline(path)


def read_persons(path: Path) -> None:
    """Read annotations beside a sound picture, and cut crops of it."""
    annotations, images = path.parent / "annotations", path.parent / "train2017"
    if not images.exists():
        images.mkdir()
        annotations.mkdir()
        (images / "0001.jpg").write_bytes(jpeg_samples()[0])
    shutil.copyfile(path, annotations / "instances_train2017.json")
    _crop(path.parent)


def read_photograph(path: Path) -> None:
    """Read a picture beside sound annotations."""
    annotations, images = path.parent / "annotations", path.parent / "train2017"
    if not images.exists():
        images.mkdir()
        annotations.mkdir()
        (annotations / "instances_train2017.json").write_bytes(coco_samples()[0])
    shutil.copyfile(path, images / "0001.jpg")
    _crop(path.parent)


def _crop(folder: Path) -> None:
    persons, config = CocoPersons(folder, "train"), PretrainingConfig(size_px=32)
    for seed in range(3):
        grey, labels = persons.crop(0, config, np.random.default_rng(seed))
        assert grey.shape == labels.shape == (32, 32) and grey.min() >= 0 and grey.max() <= 1


def read_config(path: Path) -> None:
    config = from_json(read_json(path), str(path))
    assert from_json(to_json(config), "again") == config


def read_batch_settings(path: Path) -> None:
    assert abs(stated_hu_offset(path.parent) or 0) <= 65536


def read_state(path: Path) -> None:
    from kcseg.training.checkpoint import load_state

    state = load_state(path)
    assert state.epoch == len(state.history) and isinstance(state.best_score, float)
    assert all(array.dtype.kind in "iuf" for array in state.variables + state.best_weights)


def read_pretrained(path: Path) -> None:
    from kcseg.training.checkpoint import load_pretrained

    assert all(array.dtype.kind == "f" for array in load_pretrained(path, TINY).values())


def read_weights(path: Path) -> None:
    from kcseg.training.checkpoint import load_weights

    load_weights(path, network())


def read_search(path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        oracle = _oracle(path)
        oracle.restore(workers=False)
        trial = oracle.create_trial("tuner0")
        if trial.status == "RUNNING":
            oracle.update_trial(trial.trial_id, {"dice": 0.5})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)


def read_saved_model(path: Path) -> None:
    """Check a graph beside sound variables."""
    with _checked(path, "saved_model.pb"):
        pass


def read_objects(path: Path) -> None:
    """Load a sound graph and sound numbers beside broken objects."""
    import tensorflow as tf

    from kcseg.serving.local import LocalModel

    model = path.parent / "model"
    if not model.exists():
        _save_model(model)
    variables = _sound_variables() | {OBJECTS: np.array(path.read_bytes(), object)}
    tf.raw_ops.SaveV2(
        prefix=str(model / "variables" / "variables"),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.constant(value) for value in variables.values()],
    )
    LocalModel(model)


def read_loaded_model(path: Path) -> None:
    """Load a graph beside sound variables."""
    from kcseg.serving.local import LocalModel

    with _checked(path, "saved_model.pb") as (model, _):
        LocalModel(model)


def _checked(path: Path, name: str) -> contextlib.AbstractContextManager:
    """Check an otherwise sound model that has this file in the place of `name`."""
    from kcseg.serving.stock import checked_copy

    model = path.parent / "model"
    if not model.exists():
        _save_model(model)
    shutil.copyfile(path, model / name)
    return checked_copy(model)


def read_packed(path: Path) -> None:
    """Read weights whose hash the card states, behind which what is broken is reached."""
    folder = _packed_beside(path)
    shutil.copyfile(path, folder / "member-1.npz")
    card = json.loads((folder / "card.json").read_text())
    card["files"]["member-1.npz"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    _load_packed(folder)


def read_card(path: Path) -> None:
    """Read a card beside sound weights."""
    folder = _packed_beside(path)
    shutil.copyfile(path, folder / "card.json")
    _load_packed(folder)


def _packed_beside(path: Path) -> Path:
    folder = path.parent / "packed"
    if not folder.exists():
        folder.mkdir()
        _pack(folder)
    return folder


def _load_packed(folder: Path) -> None:
    from kcseg.serving.bundle import load_bundle
    from kcseg.serving.manifest import members_facts

    bundle = load_bundle(folder)
    assert all(np.isfinite(array).all() for array in bundle.load_network(1).get_weights())
    members_facts(bundle)


def read_trial(path: Path) -> None:
    from kcseg.training.trial import read_result

    assert int(read_result(path.parent).trial) >= 0


def read_simulation(path: Path) -> None:
    from kcseg.phantom.simulate import planted_faults

    faults = planted_faults(path.parent, ["train-1/0001", "train-1/0002"])
    assert faults is not None and len(faults) == 2


def read_rows(path: Path) -> None:
    from kcseg.training.fit import read_history

    assert all(isinstance(value, float) for row in read_history(path.parent) for value in row.values())


def read_rest(path: Path) -> None:
    """Answer what may be the body of a request."""
    from kcseg.server import tensors

    with _as_input_error():
        request = tensors.read_json(path.read_bytes())
        name = request.get("signature_name", "")
        signature = _servable(path).signature(name if isinstance(name, str) else "")
        outputs = signature(tensors.read_inputs(request, signature.inputs))
        json.dumps(tensors.write_outputs(outputs, as_rows="instances" in request))


def read_grpc(path: Path) -> None:
    """Answer what may be a message."""
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import predict_pb2

    with _as_input_error():
        try:
            request = predict_pb2.PredictRequest.FromString(path.read_bytes())
        except DecodeError as error:  # gRPC answers this itself
            raise InputError("refused") from error
        _servable(path).answer(request)


def read_rest_answer(path: Path) -> None:
    """Take what may be a server's masks."""
    _ask_rest(rest_metadata_samples()[0], path.read_bytes())


def read_rest_metadata(path: Path) -> None:
    """Take what a server may say of its model."""
    _ask_rest(path.read_bytes(), rest_answer_samples()[0])


def _ask_rest(metadata: bytes, answer: bytes) -> None:
    from kcseg.serving.rest import RestModel

    def request(_: object, method: str, *__: object, **___: object) -> urllib3.HTTPResponse:
        content = io.BytesIO(metadata if method == "GET" else answer)
        return urllib3.HTTPResponse(content, status=200, preload_content=False)

    with mock.patch.object(urllib3.PoolManager, "request", request):
        _segment(RestModel(parse_address("http://localhost/v1/models/kcseg"), 60))


def read_grpc_answer(path: Path) -> None:
    """Take what may be a server's masks."""
    _ask_grpc(grpc_metadata_samples()[0], path.read_bytes())


def read_grpc_metadata(path: Path) -> None:
    """Take what a server may say of its model."""
    _ask_grpc(path.read_bytes(), grpc_answer_samples()[0])


def _ask_grpc(metadata: bytes, answer: bytes) -> None:
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

    from kcseg.serving import rpc

    try:
        said = get_model_metadata_pb2.GetModelMetadataResponse.FromString(metadata)
        masks = predict_pb2.PredictResponse.FromString(answer)
    except DecodeError as error:  # gRPC refuses this itself
        raise InputError("refused") from error
    stub = SimpleNamespace(GetModelMetadata=lambda *_, **__: said, Predict=lambda *_, **__: masks)
    with mock.patch.object(rpc.prediction_service_pb2_grpc, "PredictionServiceStub", lambda _: stub):
        _segment(rpc.RpcModel(parse_address("grpc://localhost:8500/kcseg"), 60))


def _segment(model: Any) -> None:
    found = Ensemble(model).segment(picture()[np.newaxis].astype(np.float32))
    assert found.mask.dtype == bool and found.mask.shape[1:] == picture().shape
    assert found.probability.min() >= 0 and found.disagreement.max() <= 1


def read_warm_up(path: Path) -> None:
    """Answer what lies beside a model to warm it up."""
    with _as_input_error():
        _servable(path).warm_up(path)


def _servable(path: Path) -> Any:
    from kcseg.server.servable import Servable

    folder = path.parent / "model"
    if folder not in _SERVED:
        _save_model(folder)
        _SERVED[folder] = Servable(1, folder)
    return _SERVED[folder]


@contextlib.contextmanager
def _as_input_error() -> Iterator[None]:
    """What the server refuses with a code and a sentence is refused."""
    from kcseg.server.failure import Failure

    try:
        yield
    except Failure as failure:
        raise InputError("refused") from failure


_SERVED: dict[Path, Any] = {}
READERS = {
    "npy": Reader("a.npy", npy_samples, broken, read_both),
    "png mask": Reader("a.png", grey_samples, broken_png, read_outline),
    "png 16-bit": Reader("a.png", hu_samples, broken_png, read_picture),
    "nii": Reader("a.nii", lambda: nifti_samples(".nii"), broken, read_both),
    "nii.gz": Reader("a.nii.gz", lambda: nifti_samples(".nii.gz"), broken_gzip, read_both),
    "dicom": Reader("a.dcm", dicom_samples, broken, read_picture),
    "coco annotations": Reader("a.json", coco_samples, broken_json, read_persons),
    "coco picture": Reader("a.jpg", jpeg_samples, broken, read_photograph),
    "configuration": Reader("config.json", config_samples, broken_json, read_config),
    "batch.json": Reader("batch.json", batch_samples, broken_json, read_batch_settings),
    "resume state": Reader("state.npz", state_samples, broken_zip, read_state),
    "pre-trained weights": Reader("pretrained.npz", pretrained_samples, broken_zip, read_pretrained),
    "member's weights": Reader("member.weights.h5", weights_samples, broken, read_weights),
    "search state": Reader("state.json", search_samples, broken_json, read_search),
    "trial's result": Reader("result.json", result_samples, broken_json, read_trial),
    "simulation.json": Reader("simulation.json", simulation_samples, broken_json, read_simulation),
    "history": Reader("history.csv", history_samples, broken, read_rows),
    "packed weights": Reader("member-1.npz", packed_samples, broken_zip, read_packed),
    "packed card": Reader("card.json", card_samples, broken_json, read_card),
    "REST request": Reader("body", rest_samples, broken_json, read_rest),
    "gRPC request": Reader("message", grpc_samples, broken_request, read_grpc),
    "REST answer": Reader("body", rest_answer_samples, broken_json, read_rest_answer),
    "REST metadata": Reader("body", rest_metadata_samples, broken_json, read_rest_metadata),
    "gRPC answer": Reader("message", grpc_answer_samples, broken_answer, read_grpc_answer),
    "gRPC metadata": Reader("message", grpc_metadata_samples, broken_metadata, read_grpc_metadata),
    "warm-up requests": Reader("requests", warm_up_samples, broken, read_warm_up),
    "saved model": Reader("saved_model.pb", saved_model_samples, broken_model, read_saved_model),
    # these two load what they read: 5000 take half an hour
    "variables' objects": Reader("objects", objects_samples, broken_objects, read_objects),
    "loaded model": Reader("saved_model.pb", saved_model_samples, broken_model, read_loaded_model),
}


# Driving


def fuzz(name: str, folder: Path, inputs: int, seed: int, findings: multiprocessing.Queue) -> None:
    """Feed one reader; put what came of it into the queue. The input read when a process ends lies in `folder`."""
    reader = READERS[name]
    samples = prepare(reader, folder)
    _limit_memory()
    signal.signal(signal.SIGALRM, _hang)
    before = resident_mib()
    counts: Counter[str] = Counter()
    for number in range(inputs):
        content = reader.mutate(np.random.default_rng([seed, number]), samples)
        counts[_outcome(reader, folder, content, number)] += 1
    findings.put((dict(counts), before, resident_mib()))


def prepare(reader: Reader, folder: Path) -> Sequence[bytes]:
    """Return sound files, after they were read, and what is loaded late was loaded."""
    samples = reader.samples()
    for content in samples:
        (folder / reader.name).write_bytes(content)
        reader.read(folder / reader.name)
    return samples


def _outcome(reader: Reader, folder: Path, content: bytes, number: int) -> str:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True)  # where a library keeps the signal waiting
    try:
        return read_or_refuse(reader, folder, content)
    except (Exception, Hang):
        return _keep(reader, folder, number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()


def read_or_refuse(reader: Reader, folder: Path, content: bytes) -> str:
    """Return what a reader does with a file; an AssertionError is a refusal nobody can read, or with a name in it."""
    (folder / reader.name).write_bytes(content)
    try:
        reader.read(folder / reader.name)
    except InputError as error:
        assert str(error).isprintable() and len(str(error)) < 600 and "Doe" not in str(error), error
        return "refused"
    return "read"


def _keep(reader: Reader, folder: Path, number: int) -> str:
    """Keep an input that broke its reader, the first of each kind, and return the kind."""
    lines = traceback.format_exc().strip().splitlines()
    frames = [line.strip() for line in lines if line.strip().startswith("File ")]
    kind = f"{lines[-1][:150]} at {frames[-1].rsplit('/', 1)[-1]}"
    kept = folder / f"kept-{zlib.crc32(frames[-1].encode() + lines[-1][:20].encode()):08x}-{reader.name}"
    if not kept.exists():
        shutil.copyfile(folder / reader.name, kept)
        print(f"input {number} kept as {kept}", *lines[-12:], sep="\n    ", flush=True)
    return kind


def _hang(*_: object) -> None:
    raise Hang


def resident_mib() -> int:
    """Return the most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)


def _limit_memory() -> None:
    if Path("/proc/self/statm").exists():
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))


def run(name: str, inputs: int, seed: int) -> bool:
    """Feed one reader in a process of its own, print what came of it, and return whether all was well."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    spawn = multiprocessing.get_context("spawn")
    findings = spawn.SimpleQueue()
    process = spawn.Process(target=fuzz, args=(name, folder, inputs, seed, findings))
    process.start()
    process.join()
    if process.exitcode != 0 or findings.empty():
        print(f"{name}: ended with {process.exitcode} over {folder / READERS[name].name}", flush=True)
        return False
    counts, before, after = findings.get()
    read, refused = counts.pop("read", 0), counts.pop("refused", 0)
    print(f"{name}: {inputs} inputs, {read} read, {refused} refused, {before} to {after} MiB", flush=True)
    for kind, count in counts.items():
        print(f"    {count} x {kind}", flush=True)
    if not counts:
        shutil.rmtree(folder)
    return not counts


@click.command()
@click.argument("readers", nargs=-1)
@click.option("--inputs", default=100_000, show_default=True, help="Files for each reader.")
@click.option("--seed", default=0, show_default=True)
def main(readers: tuple[str, ...], inputs: int, seed: int) -> None:
    """Feed READERS, or all, with broken files."""
    sys.exit(not all([run(name, inputs, seed) for name in readers or READERS]))


if __name__ == "__main__":
    main()
