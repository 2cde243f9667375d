"""Says every few seconds in the catalog that this process is there: a worker, as long as its threads are, or a backend."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from localmind.catalog.workers import WorkerTable
from localmind.errors import LocalMindError

BEAT_S = 5.0


class Presence:
    def __init__(self, table: WorkerTable, name: str, *, queues: tuple[str, ...], is_alive: Callable[[], bool]) -> None:
        self._table, self._name, self._queues, self._is_alive = table, name, queues, is_alive
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="presence", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        with suppress(LocalMindError):  # without the catalog the row grows old, which says the same
            self._table.leave(self._name)

    def _loop(self) -> None:
        while True:
            if self._is_alive():
                with suppress(LocalMindError):  # the catalog is away: the next beat tells
                    self._table.beat(self._name, queues=self._queues)
            if self._stopping.wait(BEAT_S):
                return
