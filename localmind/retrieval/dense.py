"""The vector list: chunks whose embedding lies closest to the query's."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from localmind.embedding.port import Embedder
from localmind.model import Filter, ScoredChunk, TenantId
from localmind.operations import metrics
from localmind.vectors.port import Vectors

if TYPE_CHECKING:
    from localmind.model import Vector

REMEMBERED = 256
"""Query vectors kept: whoever pages through results or asks in another mode waits for no model. 400 kB at 384 dimensions."""


class DenseSearch:
    """Thread-safe."""

    def __init__(self, embedder: Embedder, vectors: Vectors) -> None:
        self._embedder = embedder
        self._vectors = vectors
        self._known: OrderedDict[tuple[str, str], Vector] = OrderedDict()
        self._lock = threading.Lock()

    def search(self, tenant: TenantId, query: str, *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        """As Vectors.search, for a text. Raises what embedder and vectors raise."""
        return self._vectors.search(tenant, self._embed(query), limit=limit, where=where)

    def _embed(self, query: str) -> Vector:
        key = (self._embedder.model, query)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        with metrics.embedding_duration_seconds.labels("query").time():
            vector = self._embedder.embed_query(query)
        metrics.embedded_texts_total.labels("query").inc()
        with self._lock:
            self._known[key] = vector
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return vector
