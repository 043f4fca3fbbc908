"""Commands in processes of their own, forked where TensorFlow is imported already: that takes longer than they do."""

import multiprocessing
import os
import re
import time
from pathlib import Path

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["kcseg.cli.train", "kcseg.cli.tune", "kcseg.training.fit"])


def start(output: Path, *arguments: object, **environment: str) -> multiprocessing.Process:
    """Start `kcseg` with arguments; what it prints goes to a file."""
    process = _forking.Process(target=_run, args=(output, [*map(str, arguments)], environment))
    process.start()
    return process


def ended(process: multiprocessing.Process) -> int | None:
    """Wait for a process; return its exit code, or less the signal that ended it, or None after five minutes."""
    process.join(300)
    return process.exitcode


def said(process: multiprocessing.Process, output: Path, pattern: str) -> re.Match:
    """Wait until a process has printed what matches; return that."""
    deadline = time.monotonic() + 120
    while process.is_alive() and time.monotonic() < deadline:
        if output.exists() and (match := re.search(pattern, output.read_text())):
            return match
        time.sleep(0.02)
    raise AssertionError(output.read_text())


def _run(output: Path, arguments: list[str], environment: dict[str, str]) -> None:
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.environ.update(environment)
    from kcseg.cli import main

    main(arguments)
