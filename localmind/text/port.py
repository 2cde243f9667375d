"""The port of text search: BM25 over chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from localmind.model import Chunk, ChunkId, Filter, ScoredChunk, TenantId


class TitledChunk(NamedTuple):
    title: str
    chunk: Chunk


class TextIndex(Protocol):
    """BM25 over heading and text of chunks. An index: the catalog can rebuild it at any time."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def write(self, tenant: TenantId, chunks: Sequence[TitledChunk]) -> None:
        """Add chunks of any sources; one whose id is there is replaced. Called after the catalog has the rows, in its transaction."""

    def delete(self, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
        """Called before the catalog drops the rows, in its transaction. Ids that are not there are ignored."""

    def search(self, tenant: TenantId, query: str, *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        """The best `limit` chunks by BM25, best first, ties by chunk id. Any string is a query, none is syntax.

        A query without a word gives []. Words of the query are alternatives: a chunk need not have all.
        """

    def ids(self, tenant: TenantId) -> Iterator[Sequence[ChunkId]]:
        """Every indexed chunk once, in batches: for reconcile."""

    def clear(self, tenant: TenantId) -> None: ...
