"""Latency and throughput through `kcseg serve`, every answer compared with the folder's; and what overload does.

Server and clients share this machine's cores, so the figures are its own; what must hold anywhere are the zeros under
"wrong" and "lost".

    python benchmarks/server.py runs/demo [--seconds 20]
"""

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as kcseg does; here TensorFlow comes first

import click
import grpc
import numpy as np
import tensorflow as tf
import urllib3
from rich.console import Console
from rich.table import Table
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from kcseg.phantom.case import draw_case
from kcseg.server.server import Server
from kcseg.serving.runner import Ensemble

console = Console(width=110)
Asked = Callable[[int], str | np.ndarray]  # image number to probability, or the name of a refusal


def serve(model: Path, pipe, **settings) -> None:
    with Server(model, port=0, grpc_port=0, **settings).in_background() as server:
        pipe.send((server.rest_address, server.grpc_address))
        pipe.recv()


class Elsewhere:
    """A server in a process of its own, as it is used."""

    def __init__(self, model: Path, **settings):
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(model, other), kwargs=settings)

    def __enter__(self) -> tuple[str, str]:
        self._process.start()
        return self._pipe.recv()

    def __exit__(self, *_) -> None:
        self._pipe.send("stop")
        self._process.join()


def rest_client(address: str, images: np.ndarray) -> Asked:
    """One image a request, without retries: a refusal is what is counted."""
    pool = urllib3.PoolManager(retries=False, timeout=120)
    bodies = [{"inputs": image[np.newaxis].tolist()} for image in images]

    def ask(number: int) -> str | np.ndarray:
        response = pool.request("POST", address + ":predict", json=bodies[number])
        if response.status != 200:
            return str(response.status)
        return np.array(response.json()["outputs"]["probability"], np.float32)[0]

    return ask


def grpc_client(address: str, images: np.ndarray) -> Asked:
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    stub = prediction_service_pb2_grpc.PredictionServiceStub(
        grpc.insecure_channel(address.split("/")[2], options=options)
    )
    requests = []
    for image in images:
        requests.append(predict_pb2.PredictRequest())
        requests[-1].model_spec.name = "kcseg"
        requests[-1].inputs["image"].CopyFrom(tf.make_tensor_proto(image[np.newaxis]))

    def ask(number: int) -> str | np.ndarray:
        try:
            answer = stub.Predict(requests[number], timeout=120)
        except grpc.RpcError as error:
            return error.code().name
        return tf.make_ndarray(answer.outputs["probability"])[0]

    return ask


def measure(
    connect: Callable[[], Asked], clients: int, seconds: float, expected: np.ndarray
) -> tuple[list[float], Counter]:
    """Let clients ask one image after the other; seconds of each answer, and how all requests ended."""
    took: list[float] = []
    ends: Counter = Counter()
    askers = [connect() for _ in range(clients)]
    stop = time.perf_counter() + seconds

    def client(number: int) -> None:
        random = np.random.default_rng(number)
        while time.perf_counter() < stop:
            image = int(random.integers(len(expected)))
            ends["sent"] += 1
            start = time.perf_counter()
            answer = askers[number](image)
            if isinstance(answer, str):
                ends[answer] += 1
                time.sleep(0.05)
            else:
                took.append(time.perf_counter() - start)
                ends["right" if np.array_equal(answer, expected[image]) else "wrong"] += 1

    threads = [threading.Thread(target=client, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took, ends


def refused(ends: Counter) -> int:
    return sum(count for end, count in ends.items() if end not in ("sent", "right", "wrong"))


def batch_table(ensemble: Ensemble, images: np.ndarray, seconds: float) -> None:
    """Images per second by batch size, without a server: whether putting requests together pays."""
    table = Table("images in a batch", "median ms", "images/s", title="in this process, no server")
    sizes = (1, 2, 4, 8, 16)
    took: dict[int, list[float]] = {size: [] for size in sizes}
    for size in sizes:
        ensemble.segment(images[:size])
    stop = time.perf_counter() + seconds * 3
    while time.perf_counter() < stop:  # in turns, so that whatever else the machine does hits all alike
        for size in sizes:
            start = time.perf_counter()
            ensemble.segment(images[:size])
            took[size].append(time.perf_counter() - start)
    for size in sizes:
        median = float(np.median(took[size]))
        table.add_row(str(size), f"{median * 1000:.0f}", f"{size / median:.1f}")
    console.print(table)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--seconds", default=20.0, show_default=True, help="Time for each measurement.")
@click.option("--clients", default=(1, 4, 16), show_default=True, multiple=True, help="How many at once.")
def main(model: Path, seconds: float, clients: tuple[int, ...]) -> None:
    """Measure MODEL, a run folder or an exported model, through `kcseg serve` on simulated images of 192 x 192."""
    images = np.stack([draw_case(np.random.default_rng([1, number])).hu for number in range(16)])
    images = images.astype(np.float32)
    ensemble = Ensemble.load(model)
    expected = np.stack([ensemble.segment(image[np.newaxis]).probability[0] for image in images])
    batch_table(ensemble, images, seconds)
    kinds = {"REST": rest_client, "gRPC": grpc_client}

    table = Table(
        "API", "clients", "median ms", "99 % ms", "images/s", "sent", "right", "wrong", "refused", "lost"
    )

    def row(name: str, count: int, took: list[float], ends: Counter) -> None:
        median, worst = np.percentile(took, (50, 99)) * 1000
        lost = ends["sent"] - ends["right"] - ends["wrong"] - refused(ends)
        counts = (ends["sent"], ends["right"], ends["wrong"], refused(ends), lost)
        table.add_row(
            name, str(count), f"{median:.0f}", f"{worst:.0f}", f"{len(took) / seconds:.1f}", *map(str, counts)
        )

    with Elsewhere(model) as addresses:
        for (name, kind), address in zip(kinds.items(), addresses, strict=True):
            for count in clients:
                connect = lambda kind=kind, address=address: kind(address, images)  # noqa: E731
                row(name, count, *measure(connect, count, seconds, expected))
    with Elsewhere(model, waiting=2) as addresses:
        for (name, kind), address in zip(kinds.items(), addresses, strict=True):
            connect = lambda kind=kind, address=address: kind(address, images)  # noqa: E731
            row(f"{name}, 2 may wait", 16, *measure(connect, 16, seconds, expected))
    console.print(table)


if __name__ == "__main__":
    main()
