"""The port of vectors: nearest neighbours among chunk embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from localmind.model import ChunkId, ChunkKey, Filter, ScoredChunk, SourceId, TenantId

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localmind.model import Vector


class Vectors(Protocol):
    """Nearest neighbours among chunk embeddings. An index: the catalog can rebuild it at any time.

    Every call may raise StoreUnavailable (worth a retry), CorruptIndex (rebuild) or DiskFull.
    """

    def open(self) -> None:
        """Connect. Safe to call twice. Raises DimensionMismatch where vectors of another model lie in the store."""

    def close(self) -> None: ...

    def reset(self) -> None:
        """Forget everything, of whatever model: the way out of DimensionMismatch, before open()."""

    def write(self, tenant: TenantId, keys: Sequence[ChunkKey], vectors: NDArray[np.float32]) -> None:
        """Add chunks; one whose id is there is replaced. Durable on return. vectors: float32, (len(keys), dim), unit length."""

    def append(self, tenant: TenantId, keys: Sequence[ChunkKey], vectors: NDArray[np.float32]) -> None:
        """As write, for chunks that the caller knows not to be there: the fast road."""

    def search(self, tenant: TenantId, query: Vector, *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        """The `limit` closest chunks, closest first, ties by chunk id; fewer when the tenant has fewer.

        query: float32, (dim,), unit length. Score: cosine in [-1, 1]. An unknown tenant has no chunks: [].
        """

    def get(self, tenant: TenantId, ids: Sequence[ChunkId]) -> Mapping[ChunkId, Vector]:
        """The vectors of those that are there."""

    def delete(self, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
        """Ids that are not there are ignored."""

    def delete_sources(self, tenant: TenantId, sources: Sequence[SourceId]) -> None:
        """All chunks of these sources."""

    def keys(self, tenant: TenantId, *, source: SourceId | None = None) -> Iterator[Sequence[ChunkKey]]:
        """Every key once, in batches, in no order."""

    def count(self, tenant: TenantId, *, source: SourceId | None = None) -> int: ...

    def tenants(self) -> list[TenantId]:
        """Tenants that have vectors: for reconcile."""

    def optimize(self, tenant: TenantId) -> None:
        """Compact and index what was written since; a no-op where the engine does so itself."""

    def drop(self, tenant: TenantId) -> None:
        """Forget the tenant."""
