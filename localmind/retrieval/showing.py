"""From a chunk that was found to what a reader sees of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from localmind.model import Chunk, ChunkId, Hit, Ranks, TenantId


class Shown(Protocol):
    """A chunk with what its source adds."""

    @property
    def chunk(self) -> Chunk: ...

    @property
    def title(self) -> str: ...

    @property
    def uri(self) -> str | None: ...


class ShowsChunks(Protocol):
    def visible(self, tenant: TenantId, ids: Collection[ChunkId]) -> Mapping[ChunkId, Shown]: ...

    def neighbours(self, tenant: TenantId, ids: Collection[ChunkId]) -> Mapping[ChunkId, Sequence[Shown]]: ...


def hit_of(shown: Shown, score: float, *, ranks: Ranks | None = None, because: tuple[str, ...] = ()) -> Hit:
    chunk = shown.chunk
    return Hit(
        chunk_id=chunk.id,
        source_id=chunk.source_id,
        title=shown.title,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        score=score,
        ranks=ranks or Ranks(),
        page=chunk.page,
        breaks=chunk.breaks,
        heading=chunk.heading,
        uri=shown.uri,
        because=because,
    )
