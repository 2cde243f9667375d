"""The works between reading and commit: who gets a turn, whose last chunk is written. The threads' only shared state."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localmind.ingest.work import Work
from localmind.model import Chunk, Extraction, Job, JobId
from localmind.operations import tracing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TURN_CHUNKS = 32
"""Chunks that one document may put into a batch while others wait."""

MAX_WORKS = 256
MAX_CHARS = 32_000_000
"""Documents, and characters of their texts, that may be between reading and commit (one may always)."""


@dataclass(slots=True, eq=False)
class Batch:
    """Chunks of many works, their vectors and what they say in the same order, and works that end without another chunk."""

    size: int
    """Most chunks: what a kill can cost."""
    items: list[tuple[Work, Chunk]] = field(default_factory=list)
    ended: list[Work] = field(default_factory=list)
    vectors: NDArray[np.float32] | None = None
    found: list[Extraction] = field(default_factory=list)

    @property
    def room(self) -> int:
        return self.size - len(self.items)

    def works(self) -> list[Work]:
        return list(dict.fromkeys([*(work for work, _ in self.items), *self.ended]))


class Active:
    def __init__(self) -> None:
        self._works: list[Work] = []
        self._changed = threading.Condition()
        self._stopped = False

    def stop(self) -> None:
        """Nobody waits from now on."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def admit(self, work: Work) -> None:
        with self._changed:
            self._works.append(work)
            self._changed.notify_all()

    def remove(self, work: Work) -> None:
        with self._changed:
            if not work.taken:
                self._works.remove(work)
            self._changed.notify_all()

    def wait_for_room(self, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: self._stopped or (len(self._works) < MAX_WORKS and sum(work.size for work in self._works) < MAX_CHARS), timeout_s
            )

    def wait_for_turns(self, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._stopped or any(_wants_turn(work) for work in self._works), timeout_s)

    def jobs(self) -> list[Job]:
        with self._changed:
            return [work.job for work in self._works]

    def take(self, ids: Collection[JobId]) -> list[Work]:
        """Out with these works, wherever their chunks are; returns those that were there."""
        with self._changed:
            gone = [work for work in self._works if work.job.id in ids]
            for work in gone:
                work.taken = work.closed = True
                self._works.remove(work)
            self._changed.notify_all()
        return gone

    def fail(self, batch: Batch, error: Exception) -> None:
        with self._changed:
            for work in batch.works():
                work.failed = work.failed or error
            self._changed.notify_all()

    def take_turns(self, batch: Batch) -> None:
        """Fill the batch from all works in turns, as far as they have chunks now. Called by one thread."""
        while batch.room > 0:
            with self._changed:
                turns = [work for work in self._works if _wants_turn(work)]
            for work in turns:
                if batch.room > 0:
                    self._take_turn(work, batch)
            if not any(not work.exhausted for work in turns):
                return

    def _take_turn(self, work: Work, batch: Batch) -> None:
        fresh: list[Chunk] = []
        is_last = True
        error: Exception | None = None
        if not (work.exhausted or work.is_lost):
            try:
                with tracing.shared("chunk", (work.job.traceparent,)):
                    fresh, is_last = work.cut(min(TURN_CHUNKS, batch.room))
            except Exception as caught:  # a fault in one document must not end the pipeline; its job says what it was
                error = caught
        with self._changed:
            work.failed = work.failed or error
            work.waiting += len(fresh)
            work.exhausted = is_last
            if work.exhausted and work.waiting == 0 and not work.closed:
                work.closed = True
                batch.ended.append(work)
        batch.items.extend((work, chunk) for chunk in fresh)

    def settle(self, batch: Batch) -> list[Work]:
        """Count the batch's chunks as dealt with; returns the works that end with it, each exactly once."""
        with self._changed:
            for work, _ in batch.items:
                work.waiting -= 1
            for work in batch.works():
                if work.exhausted and work.waiting == 0 and not work.closed:
                    work.closed = True
                    batch.ended.append(work)
        return batch.ended


def _wants_turn(work: Work) -> bool:
    return not work.closed and (not work.exhausted or work.waiting == 0)
