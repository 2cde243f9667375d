"""LanceDB's connection and open tables: their event loop, their upkeep, and what the engine's errors mean."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from localmind.errors import CorruptIndex, DiskFull, LocalMindError, StoreUnavailable
from localmind.model import ChunkKey, TenantId

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

INDEX_FROM = 10_000
"""Rows from which an index pays: exact search takes 2 ms + 0.6 ms per 1,000 rows of 384, the index 4 to 5 ms at 100,000."""

TRAINING_ROWS_PER_PARTITION = 64
"""Of the default 256 the build takes 4.1 s for 100,000 rows instead of 1.6 s, without being more exact."""

MAX_SEGMENTS = 4
"""Each `optimize` adds a segment to the index; past this it is trained anew from all rows."""

PENDING_WRITES = 64
PENDING_ROWS = 2000
PENDING_SHARE = 0.02
"""What may lie beside the index, searched exactly, before `optimize` does anything."""

INDEX_CACHE_BYTES = 128 << 20
METADATA_CACHE_BYTES = 32 << 20

ENGINE_ENVIRONMENT = {
    "LANCE_DEFAULT_IO_BUFFER_SIZE": str(32 << 20),
    "LANCE_IO_THREADS": "4",
    "LANCEDB_LOG": "error",
}
"""What the engine takes from the environment alone, as it is imported. Read ahead by 2 GiB, as it would, training and compaction
take 150 MiB more at 100,000 rows; searches are as fast. Its warnings ("partition 5 is empty, skipping") tell nobody what to do."""


class Engine:
    """A LanceDB connection and the thread that runs its event loop: the engine's asynchronous API costs 0.6 ms less a search."""

    def __init__(self, folder: Path, dim: int) -> None:
        for name, value in ENGINE_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import lancedb
        import pyarrow as pa

        self._pa = pa
        self._schema = pa.schema([("id", pa.string()), ("source_id", pa.string()), ("vector", pa.list_(pa.float32(), dim))])
        self._dim = dim
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vectors", daemon=True)
        self._thread.start()
        session = lancedb.Session(index_cache_size_bytes=INDEX_CACHE_BYTES, metadata_cache_size_bytes=METADATA_CACHE_BYTES)
        self._connection = self.run(lancedb.connect_async(folder, session=session))

    def close(self) -> None:
        self._connection.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def open_table(self, tenant: TenantId) -> Any:
        return self.run(self._connection.open_table(tenant))

    def create_table(self, tenant: TenantId) -> Any:
        return self.run(self._connection.create_table(tenant, schema=self._schema))

    def rows(self, keys: Sequence[ChunkKey], vectors: NDArray[np.float32]) -> Any:
        """An Arrow table of the keys and vectors; the vectors are not copied where they are contiguous float32."""
        import numpy as np

        flat = self._pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
        columns = [
            [key.chunk_id for key in keys],
            [key.source_id for key in keys],
            self._pa.FixedSizeListArray.from_arrays(flat, self._dim),
        ]
        return self._pa.table(columns, schema=self._schema)


@dataclass
class Table:
    """A tenant's open table with its locks and what was written since it was last tidied."""

    engine: Engine
    handle: Any
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _tidying: threading.Lock = field(default_factory=threading.Lock)
    _pending: Pending | None = None  # None: not known, another process may have written
    _clean_at: float | None = None  # when (monotonic) the files that the last tidying replaced may go
    _streams: int = 0

    def read(self, query: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """A version's files may go while a query that began on it still reads, so a failed query runs once more, on the newest."""
        try:
            return self.engine.run(query())
        except (RuntimeError, ValueError, OSError):
            return self.engine.run(query())

    @contextmanager
    def changing(self, rows: int) -> Iterator[None]:
        """One writer at a time: two commits at once would make the engine repeat one of them."""
        with self._writing:
            yield
            if self._pending is not None:
                self._pending = Pending(self._pending.writes + 1, self._pending.rows + rows)

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._tidying, self._writing:
            yield

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Keeps the files of a version that someone reads slowly."""
        with self._writing:
            self._streams += 1
        try:
            yield
        finally:
            with self._writing:
                self._streams -= 1

    def tidy(self, keep_versions: timedelta) -> None:
        with self._tidying:
            rows = self.engine.run(self.handle.count_rows())
            if not self._is_due(rows):
                return
            self._index(rows)
            with self._writing:
                # Nobody else writes now, so files that no version names are leftovers of writers that were killed.
                keep = timedelta(days=1) if self._streams else keep_versions
                self.engine.run(self.handle.optimize(cleanup_older_than=keep, delete_unverified=True))
                replaced = self._pending is None or self._pending.writes or self._streams
                self._clean_at = time.monotonic() + keep_versions.total_seconds() if replaced else None
                self._pending = Pending(0, 0)

    def _is_due(self, rows: int) -> bool:
        return self._pending is None or self._pending.is_due(rows) or (self._clean_at is not None and time.monotonic() > self._clean_at)

    def _index(self, rows: int) -> None:
        from lancedb.index import BTree, IvfSq

        columns = {column for index in self.engine.run(self.handle.list_indices()) for column in index.columns}
        for column in ("id", "source_id"):
            # Deletes and merges find their rows by it: 2 ms at 1,000 and at 90,000 rows; without it 2 and 6 ms.
            if rows and column not in columns:
                self.engine.run(self.handle.create_index(column, config=BTree(), name=f"{column}_idx"))
        if rows < INDEX_FROM:
            return
        segments = self.engine.run(self.handle.index_stats("vector_idx")).num_indices if "vector" in columns else 0
        if not 0 < segments <= MAX_SEGMENTS:
            config = IvfSq(distance_type="cosine", sample_rate=TRAINING_ROWS_PER_PARTITION)
            self.engine.run(self.handle.create_index("vector", config=config, name="vector_idx", replace=True))


class Pending(NamedTuple):
    """What was written since the table was tidied."""

    writes: int
    rows: int

    def is_due(self, rows: int) -> bool:
        return self.writes >= PENDING_WRITES or self.rows >= max(PENDING_ROWS, rows * PENDING_SHARE)


# --- errors


def corrupt(reason: str) -> CorruptIndex:
    return CorruptIndex(f"The vector index is damaged: {reason}.", hint="Run `localmind rebuild`; nothing is lost.")


def _full(_: str) -> LocalMindError:
    return DiskFull("The vectors can't be written: the disk is full.", hint="Free some space under DATA_DIR.")


def _busy(reason: str) -> LocalMindError:
    return StoreUnavailable(f"The vector store does not answer: {reason}.", service="vectors")


_MEANINGS: tuple[tuple[tuple[str, ...], Callable[[str], LocalMindError]], ...] = (
    (("no space left", "os error 28", "file too large", "os error 27", "disk quota", "os error 122"), _full),
    (("commit conflict", "too many open files", "permission denied", "read-only file system"), _busy),
)
"""The engine raises RuntimeError, ValueError and OSError with a text; what no line names is a file it could not make sense of."""


@contextmanager
def translated() -> Iterator[None]:
    """Turns the engine's errors into ours."""
    try:
        yield
    except LocalMindError:
        raise
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error)
        meaning = next((meaning for signs, meaning in _MEANINGS if any(sign in reason.lower() for sign in signs)), corrupt)
        raise meaning(reason.split(", /root/")[0].splitlines()[0][:200] if reason else type(error).__name__) from error
