"""Processes that kcseg starts beside the one a user started."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Let this process, which multiprocessing started, end when its parent is killed; else it would go on writing."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
