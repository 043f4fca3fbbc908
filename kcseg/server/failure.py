"""What goes wrong with a request: a code of gRPC, and the HTTP status that TF Serving pairs with it."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import tensorflow as tf

_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}
_HTTP = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
}


class Failure(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code, self.message = code, message

    @property
    def http_status(self) -> int:
        """The number REST answers with."""
        return _HTTP.get(self.code, 500)


def invalid(message: str) -> Failure:
    """Return the failure of a request that must be changed."""
    return Failure(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> Failure:
    """Return the failure of a request for a model or version that is not there."""
    return Failure(grpc.StatusCode.NOT_FOUND, message)


@contextmanager
def as_failure() -> Iterator[None]:
    """Turn TensorFlow's errors into failures of the same code."""
    try:
        yield
    except tf.errors.OpError as error:
        code = _BY_NUMBER.get(error.error_code, grpc.StatusCode.UNKNOWN)
        raise Failure(code, " ".join(error.message.split())) from error
