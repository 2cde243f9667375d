"""Says every few seconds in the catalog that this worker is there, as long as its threads are."""

from __future__ import annotations

import threading
from contextlib import suppress

from localmind.catalog.workers import WorkerTable
from localmind.errors import LocalMindError
from localmind.ingest.pipeline import Pipeline

BEAT_S = 5.0


class Presence:
    def __init__(self, table: WorkerTable, pipeline: Pipeline, *, queues: tuple[str, ...]) -> None:
        self._table, self._pipeline, self._queues = table, pipeline, queues
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="presence", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        with suppress(LocalMindError):  # without the catalog the row grows old, which says the same
            self._table.leave(self._pipeline.owner)

    def _loop(self) -> None:
        while True:
            if self._pipeline.is_alive:
                with suppress(LocalMindError):  # the catalog is away: the next beat tells
                    self._table.beat(self._pipeline.owner, queues=self._queues)
            if self._stopping.wait(BEAT_S):
                return
