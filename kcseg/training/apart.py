"""Calling a function in a process of its own: what it leaves in memory, and its death, stay there."""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from kcseg.errors import InputError
from kcseg.processes import end_with_parent

_TOLD, _RETURNED, _REFUSED = "told", "returned", "refused"


class KilledError(Exception):
    """A signal ended the process."""

    def __init__(self, number: int, said: str):
        why = "most likely memory ran out" if number == signal.SIGKILL else said.strip().rpartition("\n")[2]
        super().__init__(f"ended by signal {number}" + (f", {why}" if why else ""))


def call_apart(function: Callable[..., Any], *arguments: Any, tell: Callable[..., None]) -> Any:
    """Call `function(*arguments, tell)` in a new process, and return what it returns.

    What the function passes to `tell` goes to the caller's. What the process writes to the standard error is shown only
    where it fails. It lives no longer than the caller, however that ends. As always with Python's spawned processes, a
    script that calls this must do so under `if __name__ == "__main__"`.

    Raises:
        InputError: the function raised it.
        KilledError: a signal ended the process: the kernel's, where memory ran out, or a crash.
        RuntimeError: it failed otherwise; with what it wrote to the standard error.
    """
    spawn = multiprocessing.get_context("spawn")  # TensorFlow does not outlive a fork
    ours, its = spawn.Pipe()
    with ours, tempfile.NamedTemporaryFile("r", prefix="kcseg-") as errors:
        process = spawn.Process(target=_serve, args=(its, errors.name))
        process.start()
        its.close()
        try:
            for kind, content in _exchange(ours, (function, arguments)):
                if kind == _RETURNED:
                    return content
                if kind == _REFUSED:
                    raise InputError(content)
                tell(*content)
            process.join()
        finally:
            process.kill()
            process.join()
        said = errors.read()
    code = process.exitcode or 0
    if code < 0:
        raise KilledError(-code, said)
    raise RuntimeError(f"a process ended with exit code {code}\n{said}")


def _exchange(connection: Connection, work: tuple[Callable[..., Any], tuple[Any, ...]]) -> Iterator[Any]:
    with suppress(EOFError, OSError):  # a process that is killed may leave half a message
        connection.send(work)
        while True:
            yield connection.recv()


def _serve(connection: Connection, errors: str) -> None:
    os.dup2(os.open(errors, os.O_WRONLY | os.O_APPEND), 2)
    end_with_parent()
    # Whoever ends a search ends the caller; were we first, it would take this for a crash.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    function, arguments = connection.recv()  # which imports what these need
    try:
        result = function(*arguments, lambda *content: connection.send((_TOLD, content)))
        connection.send((_RETURNED, result))
    except InputError as error:
        connection.send((_REFUSED, str(error)))
