"""A document on its way through the pipeline, and what its job is told when it goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from localmind.catalog.chunks import Place
from localmind.catalog.sources import Revision
from localmind.errors import LocalMindError
from localmind.model import Chunk, ChunkId, Document, Job, Stage

READ_SHARE = 0.1
"""The part of a job's progress that reading stands for; embedding is by far the longest stage."""


@dataclass(slots=True, eq=False)
class Work:
    """An ingest job between its claim and its commit. Touched by one stage at a time, but for `taken`.

    present: chunks of the source that the catalog has, from the version before or from before a crash.
    places: where each chunk of this version stands, filled as chunks are cut.
    waiting: chunks that were handed to the embedder and are not in the stores yet.
    """

    job: Job
    revision: Revision
    title: str
    document: Document
    chunks: Iterator[Chunk]
    present: dict[ChunkId, Place]
    places: dict[ChunkId, Place] = field(default_factory=dict)
    waiting: int = 0
    stored: int = 0
    """Characters of the text whose chunks are in the stores."""
    exhausted: bool = False
    closed: bool = False
    """Its end is on its way to the last stage."""
    is_resumed: bool = False
    """It appeared before a kill: what is left is to clear up, and to enrich."""
    taken: bool = False
    """Its job was cancelled, or is another worker's: it ended already, and what is left of it on the way is dropped."""
    failed: BaseException | None = None

    @property
    def size(self) -> int:
        """Characters that it keeps in memory."""
        return len(self.document.text)

    @property
    def progress(self) -> float:
        done = self.stored / max(self.size, 1)
        return min(READ_SHARE + (1 - READ_SHARE) * done, 0.99)

    @property
    def stage(self) -> Stage:
        """The earliest stage that is not over: they run beside each other."""
        if not self.places:
            return Stage.CHUNK
        return Stage.WRITE if self.exhausted and self.waiting == 0 else Stage.EMBED

    @property
    def is_lost(self) -> bool:
        return self.taken or self.failed is not None

    def cut(self, limit: int) -> tuple[list[Chunk], bool]:
        """Up to `limit` chunks that are not in the stores yet, and whether they are the last."""
        fresh: list[Chunk] = []
        while len(fresh) < limit:
            chunk = next(self.chunks, None)
            if chunk is None:
                return fresh, True
            self.places[chunk.id] = Place(chunk.ordinal, chunk.start, chunk.end, chunk.page, chunk.breaks)
            if chunk.id not in self.present:
                fresh.append(chunk)
        return fresh, False


def job_error(error: BaseException, stage: str | None) -> dict[str, Any]:
    """What a person is told of a failure: never a traceback."""
    if isinstance(error, LocalMindError):
        return {
            "type": error.error_type,
            "message": error.message,
            "hint": error.hint,
            "stage": stage,
            "retryable": error.retryable,
        }
    return {
        "type": "internal_error",
        "message": f"Something went wrong inside Local Mind ({type(error).__name__}).",
        "hint": "Try again with `retry`; the service's log has the details.",
        "stage": stage,
        "retryable": False,
    }
