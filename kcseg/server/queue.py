"""A bounded queue: few requests run, some wait, the others are told so at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from kcseg.server.failure import Failure


class Queue:
    """Places for requests that wait or run, the same ones for REST and gRPC.

    Who holds a place runs `with queue.turn`, which waits for its turn.
    """

    def __init__(self, running: int, waiting: int):
        """Let `running` requests run at once and `waiting` more wait."""
        self.size = running + waiting
        self._places = threading.BoundedSemaphore(self.size)
        self.turn = threading.BoundedSemaphore(running)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place; a Failure where all are taken."""
        if not self._places.acquire(blocking=False):
            full = f"The queue of {self.size} requests is full; try again later"
            raise Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, full)
        try:
            yield
        finally:
            self._places.release()
