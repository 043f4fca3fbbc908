"""A Ray cluster: joining it, and what one worker takes of it."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kcseg.errors import InputError

_ANSWER_WITHIN_S = 30


@dataclass(frozen=True)
class Share:
    """What one worker takes: whole CPUs and GPUs, and how many such workers the cluster has room for."""

    num_cpus: int
    num_gpus: int
    workers: int


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Join a running Ray cluster from one of its nodes, and leave it at the end, which also ends our tasks.

    Args:
        address: `HOST:PORT` of the head; `auto` takes `RAY_ADDRESS`, or else the cluster this machine belongs to.

    Raises:
        InputError: Ray is not installed, or no cluster answers within 30 seconds.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read at the import
    try:
        import ray
    except ImportError as error:
        raise InputError(
            f"Ray cannot be imported ({error}); pip install 'kcseg[ray]' here and on every node"
        ) from error
    _refuse_silent(address)
    ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    try:
        yield
    finally:
        ray.shutdown()


def worker_share() -> Share:
    """Return what one worker takes of the cluster that was joined: a GPU where there are any, or else a whole node.

    A whole node, because TensorFlow uses all of its cores, as it does without Ray; if nodes differ, as much as the
    smallest has. A worker with a GPU also takes the same part of the node's CPUs. Our choice.

    Raises:
        InputError: no node has a CPU or a GPU.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpu = [(int(node["GPU"]), int(node.get("CPU", 0))) for node in nodes if node.get("GPU", 0) >= 1]
    if with_gpu:
        return Share(
            num_cpus=min(cpus // gpus for gpus, cpus in with_gpu),
            num_gpus=1,
            workers=sum(gpus for gpus, _ in with_gpu),
        )
    cpus = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    if not cpus:
        raise InputError("no node of the Ray cluster has a CPU; add one with 'ray start --address HEAD'")
    return Share(num_cpus=min(cpus), num_gpus=0, workers=sum(count // min(cpus) for count in cpus))


def _refuse_silent(address: str) -> None:
    """Try the address in another process, as Ray itself waits for minutes and then ends the process."""
    command = [sys.executable, "-c", "import ray, sys; ray.init(sys.argv[1], log_to_driver=False)", address]
    try:
        trial = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_WITHIN_S)
        failed = trial.returncode != 0
        reason = (trial.stderr.strip().splitlines() or [f"exit code {trial.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        failed, reason = True, f"no answer within {_ANSWER_WITHIN_S} seconds"
    if failed:
        raise InputError(
            f"no Ray cluster can be joined at {address!r} ({reason}); start one with 'ray start --head', "
            "and run kcseg on one of its nodes"
        )
