"""Whether this process is one of several on the same port (`uvicorn --workers 4`), and what they then share."""

from __future__ import annotations

import hashlib
import multiprocessing
import sys


def is_one_of_several() -> bool:
    return multiprocessing.parent_process() is not None and "--reload" not in sys.argv


def share_metrics() -> None:
    """Before anything imports the Prometheus client."""
    if not is_one_of_several():
        return
    from localmind.operations import shared_metrics

    parent = multiprocessing.parent_process()
    assert parent is not None
    # The key that multiprocessing hands down: the same in all children of one start, and in no other.
    key = hashlib.sha256(multiprocessing.current_process().authkey).hexdigest()[:16]
    shared_metrics.share(parent.pid, key)
