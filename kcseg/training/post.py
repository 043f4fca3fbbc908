"""A search on several machines: which part this process has, and how chief and workers wait for each other."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import grpc

from kcseg.errors import InputError
from kcseg.training.oracle import Oracle
from kcseg.training.tuner import Tuner

_ID, _IP, _PORT = (f"KERASTUNER_{name}" for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"))
# How long a chief stays after the last sign of life: for workers that have yet to be told that all trials have ended,
# and for those that are just starting.
_FAREWELL_S, _LATE_S = 30.0, 3.0


@dataclass(frozen=True)
class Post:
    """The part this process has; without an address it does all by itself."""

    id: str = "tuner0"
    address: str = ""

    @property
    def is_chief(self) -> bool:
        """Whether it deals the trials and trains none; keras-tuner knows chiefs by their name."""
        return bool(self.address) and "chief" in self.id

    @property
    def is_worker(self) -> bool:
        """Whether it trains what a chief deals."""
        return bool(self.address) and not self.is_chief


ALONE = Post()


def post_from_environment(environment: Mapping[str, str]) -> Post:
    """Return the part that keras-tuner's own three variables give this process.

    Raises:
        InputError: some of the three are set and others are not, or the port is none.
    """
    given = {name: environment[name] for name in (_ID, _IP, _PORT) if name in environment}
    if not given:
        return ALONE
    for name in (_ID, _IP, _PORT):
        if not given.get(name):
            raise InputError(
                f"{', '.join(given)} set, but not {name}; several machines need all three, one machine none of them"
            )
    if not given[_PORT].isdecimal() or not 1 <= int(given[_PORT]) <= 65535:
        raise InputError(f"{_PORT} must be a port from 1 to 65535, got {given[_PORT]!r}")
    return Post(given[_ID], f"{given[_IP]}:{given[_PORT]}")


def require_chief(post: Post, timeout_s: float) -> None:
    """Wait until the chief answers at its address.

    Raises:
        InputError: it does not within `timeout_s` seconds.
    """
    with grpc.insecure_channel(post.address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=timeout_s)
        except grpc.FutureTimeoutError as error:
            raise InputError(
                f"worker {post.id} found no chief at {post.address} within {timeout_s:g} s; start the same command "
                f"with {_ID}=chief there, or correct {_IP} and {_PORT}"
            ) from error


def serve(tuner: Tuner, post: Post) -> None:
    """Deal trials to workers until all have ended.

    Raises:
        InputError: the address cannot be used, or all workers are silent for the oracle's `timeout_s`.
    """
    failures: list[Exception] = []

    def search() -> None:
        try:
            tuner.search()
        except Exception as error:
            failures.append(error)

    # in a thread, because keras-tuner's chief waits for ever for a worker that is lost
    server = threading.Thread(target=search, daemon=True)
    server.start()
    while server.is_alive():
        server.join(1.0)
        tuner.report()
        oracle: Oracle = tuner.oracle
        silence = time.monotonic() - oracle.heard_last
        if oracle.is_over() and silence > (_FAREWELL_S if oracle.tuner_ids else _LATE_S):
            return
        if silence > oracle.timeout_s:
            held = [f"{worker} (trial {trial.trial_id})" for worker, trial in oracle.ongoing_trials.items()]
            what = f"worker {', '.join(held)} has not been heard of" if held else "no worker has asked"
            raise InputError(
                f"{what} at {post.address} for {oracle.timeout_s:g} s; start this command again, "
                f"and each worker with its {_ID}"
            )
    if failures:
        raise InputError(
            f"the chief cannot serve at {post.address}: {failures[0]}; is it this machine's, and the port free?"
        ) from failures[0]
