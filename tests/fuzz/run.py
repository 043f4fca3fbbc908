"""Feeds a reader in a process of its own, with bounds of memory and time; inputs that break it are kept."""

import faulthandler
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from tests.fuzz.reader import Reader

MEMORY, SECONDS = 2 << 30, 20  # beyond what the process starts with, and for a file


class Hang(BaseException):
    """A file took too long; no Exception, so that no reader can take it for a fault of the file."""


def run(name: str, reader: Reader, inputs: int, seed: int) -> bool:
    """Feed one reader, print what came of it, and return whether all was well."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    spawn = multiprocessing.get_context("spawn")
    findings = spawn.SimpleQueue()
    process = spawn.Process(target=_feed_all, args=(reader, folder, inputs, seed, findings))
    process.start()
    process.join()
    if process.exitcode != 0 or findings.empty():
        print(f"{name}: ended with {process.exitcode} over {folder / reader.name}", flush=True)
        return False
    counts, before, after = findings.get()
    read, refused = counts.pop("read", 0), counts.pop("refused", 0)
    print(f"{name}: {inputs} inputs, {read} read, {refused} refused, {before} to {after} MiB", flush=True)
    for kind, count in counts.items():
        print(f"    {count} x {kind}", flush=True)
    if not counts:
        shutil.rmtree(folder)
    return not counts


def _feed_all(
    reader: Reader, folder: Path, inputs: int, seed: int, findings: multiprocessing.SimpleQueue
) -> None:
    """Put what came of it into the queue; the input read when the process ends lies in `folder`."""
    samples = reader.prepare(folder)
    _limit_memory()
    signal.signal(signal.SIGALRM, _hang)
    before = resident_mib()
    counts: Counter[str] = Counter()
    for number in range(inputs):
        content = reader.mutate(np.random.default_rng([seed, number]), samples)
        counts[_outcome(reader, folder, content, number)] += 1
    findings.put((dict(counts), before, resident_mib()))


def _outcome(reader: Reader, folder: Path, content: bytes, number: int) -> str:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True)  # where a library keeps the signal waiting
    try:
        return reader.feed(folder, content)
    except (Exception, Hang):
        return _keep(reader, folder, number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()


def _keep(reader: Reader, folder: Path, number: int) -> str:
    """Keep an input that broke its reader, the first of each kind, and return the kind."""
    lines = traceback.format_exc().strip().splitlines()
    frame = [line.strip() for line in lines if line.strip().startswith("File ")][-1]
    kept = folder / f"kept-{zlib.crc32(frame.encode() + lines[-1][:20].encode()):08x}-{reader.name}"
    if not kept.exists():
        shutil.copyfile(folder / reader.name, kept)
        print(f"input {number} kept as {kept}", *lines[-12:], sep="\n    ", flush=True)
    return f"{lines[-1][:150]} at {frame.rsplit('/', 1)[-1]}"


def _hang(*_: object) -> None:
    raise Hang


def resident_mib() -> int:
    """Return the most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)


def _limit_memory() -> None:
    statm = Path("/proc/self/statm")
    if statm.exists():
        most = int(statm.read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
