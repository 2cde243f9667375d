"""The port of text search: BM25 over chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple, Protocol

from localmind.model import Chunk, ChunkId, ChunkKey, Filter, ScoredChunk, SourceId, TenantId


class TitledChunk(NamedTuple):
    title: str
    chunk: Chunk


class TextIndex(Protocol):
    """BM25 over heading and text of chunks. An index: the catalog can rebuild it at any time.

    in_catalog: writes and deletes join the catalog's transaction, which has the rows already, and still. Elsewhere they come before
    the rows, and after them, each durable on return.
    """

    in_catalog: ClassVar[bool]

    def open(self) -> None: ...

    def close(self) -> None: ...

    def write(self, tenant: TenantId, chunks: Sequence[TitledChunk]) -> None:
        """Add chunks of any sources; one whose id is there is replaced."""

    def delete(self, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
        """Ids that are not there are ignored."""

    def delete_sources(self, tenant: TenantId, sources: Sequence[SourceId]) -> None:
        """All chunks of these sources."""

    def search(self, tenant: TenantId, query: str, *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        """The best `limit` chunks by BM25, best first, ties by chunk id. Any string is a query, none is syntax.

        A query without a word gives []. Words of the query are alternatives: a chunk need not have all.
        """

    def keys(self, tenant: TenantId, *, source: SourceId | None = None) -> Iterator[Sequence[ChunkKey]]:
        """Every indexed chunk once, in batches: for reconcile."""

    def tenants(self) -> list[TenantId]:
        """Tenants that have chunks: for reconcile."""

    def clear(self, tenant: TenantId) -> None: ...
