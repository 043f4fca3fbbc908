import threading

import pytest

from kcseg.server.failure import Failure
from kcseg.server.queue import Queue


def test_a_full_queue_refuses_and_an_emptied_one_does_not():
    queue = Queue(running=1, waiting=1)
    with queue.place():
        with queue.place(), pytest.raises(Failure, match="queue of 2 requests is full"), queue.place():
            pass
        with queue.place():
            pass
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), queue.place(), queue.turn:
            raise ZeroDivisionError
    with queue.place(), queue.place():
        pass


def test_no_more_run_at_once_than_allowed():
    queue, running, most = Queue(running=2, waiting=8), [], []

    def work():
        with queue.place(), queue.turn:
            running.append(1)
            most.append(len(running))
            threading.Event().wait(0.01)
            running.pop()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 10 and max(most) == 2
