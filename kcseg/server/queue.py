"""A bounded queue: few requests run, some wait, the others are told so at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from kcseg.server.failure import Failure


class Queue:
    """Places for requests that wait or run; the same ones for REST and gRPC."""

    def __init__(self, running: int, waiting: int):
        """Let `running` requests run at once and `waiting` more wait."""
        self.size = running + waiting
        self._places = threading.BoundedSemaphore(self.size)
        self._turns = threading.BoundedSemaphore(running)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            Failure: RESOURCE_EXHAUSTED, all are taken.
        """
        if not self._places.acquire(blocking=False):
            raise Failure(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"The queue of {self.size} requests is full; try again later",
            )
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until the request may run; only for who holds a place."""
        with self._turns:
            yield
