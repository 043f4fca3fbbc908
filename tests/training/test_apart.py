import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from kcseg.training.apart import KilledError, call_apart

# what the processes are to do, in a module of its own, since they import it
WORK = """
import os, signal, sys, time

def add(first, second, tell):
    for number in range(3):
        tell(number, first)
    return first + second

def fail(tell):
    return 1 / 0

def end_by(number, tell):
    tell("here")
    print("last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), number)

def survive(tell):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    return "alive"

def wait(path, tell):
    path.write_text(str(os.getpid()))
    time.sleep(60)
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "apart_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    import apart_work

    yield apart_work
    del sys.modules["apart_work"]


def told(*content):
    raise AssertionError(f"told {content}")


def test_what_it_tells_and_returns_arrives(work):
    seen = []
    assert call_apart(work.add, 1, 2, tell=lambda *content: seen.append(content)) == 3
    assert seen == [(0, 1), (1, 1), (2, 1)]


def test_a_fault_is_told_with_its_traceback(work):
    with pytest.raises(RuntimeError, match=r"(?s)exit code 1.*ZeroDivisionError"):
        call_apart(work.fail, tell=told)


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "most likely memory ran out"), (signal.SIGABRT, "last words")]
)
def test_a_signal_that_ends_it_is_named(work, number, reason):
    seen = []
    with pytest.raises(KilledError, match=f"ended by signal {number:d}, {reason}"):
        call_apart(work.end_by, number, tell=seen.append)
    assert seen == ["here"]


def test_signals_meant_for_the_caller_do_not_end_it(work):
    assert call_apart(work.survive, tell=told) == "alive"


def is_alive(process):
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_caller(tmp_path, work, number):
    code = (
        "import signal, sys; from pathlib import Path; from kcseg.training.apart import call_apart; import apart_work\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        "call_apart(apart_work.wait, Path(sys.argv[1]), tell=print)"
    )
    path = tmp_path / "process"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    caller = subprocess.Popen([sys.executable, "-c", code, path], env=environment, stderr=subprocess.DEVNULL)
    until(lambda: path.exists() and path.read_text())
    process = int(path.read_text())
    assert is_alive(process)
    caller.send_signal(number)
    assert caller.wait() == -number
    until(lambda: not is_alive(process))
