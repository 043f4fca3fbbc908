"""Processes of our own beside the one a user started."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Let this process, started by multiprocessing, end when its parent is killed; else it would live and write on."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
