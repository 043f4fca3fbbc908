"""Calling a function in a process of its own, which gives back all its memory and may end without ending ours."""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from kcseg.processes import end_with_parent, held_back_stderr


class KilledError(Exception):
    """A signal ended the process."""


def call_apart(function: Callable[..., Any], *arguments: Any, tell: Callable[..., None]) -> Any:
    """Call `function(*arguments, tell)` in a new process, and return what it returns.

    What the function passes to `tell` goes to the caller's. What the process writes to the standard error is shown only
    where it fails. It ends with the caller, even if that is killed. As always where Python starts processes, a script
    that calls this must do so under `if __name__ == "__main__"`.

    Raises:
        KilledError: a signal ended the process: the kernel's, where memory ran out, or a crash.
        RuntimeError: it failed otherwise; with what it wrote to the standard error.
    """
    # TensorFlow does not survive a fork once it has computed, and takes seconds to import: the process is forked from
    # one that has imported it, for all calls, and does nothing else
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([function.__module__])
    ours, its = forks.Pipe()
    with ours, tempfile.NamedTemporaryFile("r", prefix="kcseg-") as errors:
        process = forks.Process(target=_work, args=(its, errors.name))
        with held_back_stderr():  # at the first call also that one's, which keeps what it is started with
            process.start()
        its.close()
        try:
            for is_progress, content in _messages(ours, (function, arguments)):
                if not is_progress:
                    return content
                tell(*content)
            process.join()
        finally:
            process.kill()
            process.join()
        said = errors.read().strip()
    code = process.exitcode or 0
    if code < 0:
        why = "most likely memory ran out" if -code == signal.SIGKILL else said.rpartition("\n")[2]
        raise KilledError(f"ended by signal {-code}" + (f", {why}" if why else ""))
    raise RuntimeError(f"a process ended with exit code {code}\n{said}")


def _messages(connection: Connection, work: tuple[Callable[..., Any], tuple[Any, ...]]) -> Iterator[Any]:
    with suppress(EOFError, OSError):  # a process that is killed may leave half a message
        connection.send(work)
        while True:
            yield connection.recv()


def _work(connection: Connection, errors: str) -> None:
    os.dup2(os.open(errors, os.O_WRONLY | os.O_APPEND), 2)
    end_with_parent()
    # These signals may go to all processes of a job. If this one ended first, the caller would see a crash.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    function, arguments = connection.recv()  # after the redirection, because this may import TensorFlow
    result = function(*arguments, lambda *progress: connection.send((True, progress)))
    connection.send((False, result))
