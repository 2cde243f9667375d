"""Vectors in Milvus: one collection for all tenants, spread over partitions by tenant. Many processes may have it open.

Rows are kept by `<tenant>/<chunk>`, since a collection has one space of keys. A write is a delete and an insert: an upsert of
Milvus 2.3.5 puts rows into the partition of their key, not of their tenant, where no search finds them (milvus-io/milvus#30607).
A write returns once a strongly consistent read has seen it (0.2 to 0.4 s: the server's tick); searches read with bounded
staleness and so wait for nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localmind.errors import StoreUnavailable
from localmind.model import ChunkId, ChunkKey, Filter, ScoredChunk, SourceId, TenantId
from localmind.ranking import best, ranked
from localmind.vectors._milvus import SCHEMA_VERSION, Connection, Made, Missing, NotLoaded, create, describe, load
from localmind.vectors.checks import check_query, check_rows, checked, other_model
from localmind.versions import check_version

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localmind.model import Vector

COLLECTION = "sce_chunks"

SEARCH_S = 5.0
"""Nobody waits longer for a search, however long a write may take."""

EF = 128
"""Candidates of a search in the HNSW graph."""

DECIMALS = 6
"""Segments differ in a cosine's last bits, by how they are searched; ties are to be ties."""

MOST_HITS = 16_384
"""The server's limit for one search."""

ROWS_PER_CALL = 1000
"""1.6 MB at 384 dimensions; the server takes 64 MB."""

IDS_PER_FILTER = 1000
SOURCES_PER_FILTER = 5000
"""A list of 1,000 costs a search 10 ms, one of 5,000 28 ms."""

KEYS_PER_PAGE = 4000
VECTORS_PER_PAGE = 500

TRIES = 5
"""Several processes that start at once may each make the collection, or make room in it, while the others do."""

SEEN: dict[str, Any] = {"filter": 'id == ""', "output_fields": ["id"], "consistency_level": "Strong"}
"""A query that waits until all that was written before can be searched, and finds nothing."""


class MilvusVectors:
    """Thread-safe. A server that comes back is used again by itself, and a collection that is gone is made anew."""

    def __init__(
        self,
        uri: str,
        *,
        model: str,
        dim: int,
        token: str = "",
        collection: str = COLLECTION,
        timeout_s: float = 30.0,
        ca: Path | None = None,
    ) -> None:
        self._model = model
        self._dim = dim
        self._collection = collection
        self._timeout_s = timeout_s
        self._connection = Connection(uri, token, timeout_s=timeout_s, ca=ca)
        self._making = threading.Lock()
        self._ready = False

    def open(self) -> None:
        check_version("Milvus", self._connection.call("get_server_version"))
        self._prepare(self._timeout_s, wait=True)

    def close(self) -> None:
        self._ready = False
        self._connection.close()

    def reset(self) -> None:
        self._ready = False
        self._call_any_model("drop_collection")

    def write(self, tenant: TenantId, keys: Sequence[ChunkKey], vectors: NDArray[np.float32]) -> None:
        checked(tenant)
        check_rows(keys, vectors, dim=self._dim)
        last = {key.chunk_id: at for at, key in enumerate(keys)}  # of a repeated id the last one stays
        places = list(last.values())
        for start in range(0, len(places), ROWS_PER_CALL):
            rows = [_row(tenant, keys[at], vectors[at]) for at in places[start : start + ROWS_PER_CALL]]
            self._call("delete", ids=[row["id"] for row in rows])
            self._call("insert", data=rows)
        if places:
            self._await()

    def append(self, tenant: TenantId, keys: Sequence[ChunkKey], vectors: NDArray[np.float32]) -> None:
        """As write: of two workers that each took a job for theirs, in an outage, the later leaves one row and not two."""
        self.write(tenant, keys, vectors)

    def search(self, tenant: TenantId, query: Vector, *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        check_query(query, dim=self._dim)
        home = _of(tenant)
        if limit < 1 or (where is not None and not where.source_ids):
            return []
        conditions = [home]
        if where is not None:
            sources = [checked(source) for source in sorted(where.source_ids)]
            conditions = [f"{home} and {some}" for some in _one_of("source_id", sources, SOURCES_PER_FILTER)]
        return ranked(hit for each in conditions for hit in self._nearest(query, limit, each))[:limit]

    def _nearest(self, query: Vector, limit: int, condition: str) -> list[ScoredChunk]:
        return best(lambda wanted: self._candidates(query, wanted, condition), limit, most=MOST_HITS)

    def _candidates(self, query: Vector, wanted: int, condition: str) -> list[ScoredChunk]:
        hits = self._call(
            "search",
            data=[query],
            filter=condition,
            limit=wanted,
            search_params={"metric_type": "COSINE", "params": {"ef": max(EF, wanted)}},
            anns_field="vector",
            consistency_level="Bounded",
            timeout_s=min(SEARCH_S, self._timeout_s),
            wait=False,
        )[0]
        scores = {_chunk(hit["id"]): round(float(hit["distance"]), DECIMALS) for hit in hits}
        return [ScoredChunk(chunk, score) for chunk, score in scores.items()]

    def get(self, tenant: TenantId, ids: Sequence[ChunkId]) -> Mapping[ChunkId, Vector]:
        import numpy as np

        home, found = _of(tenant), dict[ChunkId, "Vector"]()
        for some in _one_of("id", [_key(tenant, chunk) for chunk in ids], VECTORS_PER_PAGE):
            for row in self._call("query", filter=f"{home} and {some}", output_fields=["id", "vector"], consistency_level="Bounded"):
                found[_chunk(row["id"])] = np.asarray(row["vector"], dtype=np.float32)
        return found

    def delete(self, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
        keys = [_key(tenant, chunk) for chunk in ids]
        for start in range(0, len(keys), IDS_PER_FILTER):
            self._call("delete", ids=keys[start : start + IDS_PER_FILTER])
        if keys:
            self._await()

    def delete_sources(self, tenant: TenantId, sources: Sequence[SourceId]) -> None:
        home = _of(tenant)
        for some in _one_of("source_id", [checked(source) for source in sources], IDS_PER_FILTER):
            self._call("delete", filter=f"{home} and {some}")
        if sources:
            self._await()

    def keys(self, tenant: TenantId, *, source: SourceId | None = None) -> Iterator[Sequence[ChunkKey]]:
        condition, last = _in(tenant, source), ""
        while rows := self._call("query", **_page(f'{condition} and id > "{last}"', KEYS_PER_PAGE)):
            last = max(row["id"] for row in rows)
            yield [ChunkKey(_chunk(row["id"]), SourceId(row["source_id"])) for row in rows]

    def count(self, tenant: TenantId, *, source: SourceId | None = None) -> int:
        rows = self._call("query", filter=_in(tenant, source), output_fields=["count(*)"], consistency_level="Bounded")
        return int(rows[0]["count(*)"])

    def tenants(self) -> list[TenantId]:
        """Sorted. Of whatever model. A query a tenant: from the last row of one to the first of the next."""
        found: list[TenantId] = []
        while rows := self._call_any_model("query", **_page(f'id > "{_after(found[-1]) if found else ""}"', 1)):
            found.append(TenantId(rows[0]["id"].partition("/")[0]))
        return sorted(found)  # keys have another order: a- comes before a/

    def optimize(self, tenant: TenantId) -> None:
        """Milvus does so itself."""

    def drop(self, tenant: TenantId) -> None:
        """Of whatever model the vectors are."""
        self._call_any_model("delete", filter=_of(tenant))
        self._call_any_model("query", **SEEN)

    # --- calls

    def _call(self, method: str, *, timeout_s: float | None = None, wait: bool = True, **kwargs: Any) -> Any:
        """The collection may be gone: another process has made room for another model, or the server has lost its data.

        wait: until it is loaded, which takes a server that was killed half a minute; else StoreUnavailable meanwhile.
        """
        self._prepare(timeout_s or self._timeout_s, wait=wait)
        try:
            return self._connection.call(method, self._collection, timeout_s=timeout_s, **kwargs)
        except Missing:
            self._ready = False
        self._prepare(timeout_s or self._timeout_s, wait=wait)
        try:
            return self._connection.call(method, self._collection, timeout_s=timeout_s, **kwargs)
        except Missing:
            self._ready = False
            raise

    def _call_any_model(self, method: str, **kwargs: Any) -> Any:
        """None where there is no collection; does not look what the collection was made for."""
        try:
            try:
                return self._connection.call(method, self._collection, **kwargs)
            except NotLoaded:
                load(self._connection, self._collection)
                return self._connection.call(method, self._collection, **kwargs)
        except Missing:
            return None

    def _await(self) -> None:
        """Until all that was written is searched."""
        self._call("query", **SEEN)

    # --- the collection

    def _prepare(self, timeout_s: float, *, wait: bool) -> None:
        """Whoever finds the collection not ready makes it so; others wait for that, or are told."""
        if self._ready:
            return
        if not self._making.acquire(timeout=timeout_s if wait else 0):
            raise StoreUnavailable("The collection in Milvus is not loaded yet.", service="milvus")
        try:
            for _ in range(TRIES):
                self._ready = self._ready or self._made(timeout_s, wait=wait)
                if self._ready:
                    return
        finally:
            self._making.release()
        raise StoreUnavailable("The collection in Milvus is being changed by another process.", service="milvus")

    def _made(self, timeout_s: float, *, wait: bool) -> bool:
        """Makes or checks the collection. False where another process got in between."""
        mine = Made(SCHEMA_VERSION, self._model, self._dim)
        try:
            there = describe(self._connection, self._collection, timeout_s=timeout_s)
            if there is not None and not there.suits(mine):
                self._make_room(there)
                there = None
            if there is None:
                create(self._connection, self._collection, mine, timeout_s=timeout_s)
            load(self._connection, self._collection, timeout_s=timeout_s, wait=wait)
            there = describe(self._connection, self._collection, timeout_s=timeout_s)
        except Missing:
            return False
        return there is not None and there.suits(mine)

    def _make_room(self, there: Made) -> None:
        """One without vectors takes the model it is opened with."""
        if self.tenants():
            raise other_model((there.model, there.dim), (self._model, self._dim))
        if describe(self._connection, self._collection) == there:  # and not what another process has made instead meanwhile
            self._connection.call("drop_collection", self._collection)


# --- rows and filters: a server of 2.3 takes no parameters, so only ids that can't hold a quote get in


def _row(tenant: TenantId, key: ChunkKey, vector: Vector) -> dict[str, Any]:
    return {"id": _key(tenant, key.chunk_id), "tenant": tenant, "source_id": key.source_id, "vector": vector}


def _key(tenant: TenantId, chunk: ChunkId) -> str:
    """No id holds a slash."""
    return f"{checked(tenant)}/{checked(chunk)}"


def _chunk(key: str) -> ChunkId:
    return ChunkId(key.partition("/")[2])


def _of(tenant: TenantId) -> str:
    return f'tenant == "{checked(tenant)}"'


def _in(tenant: TenantId, source: SourceId | None) -> str:
    return _of(tenant) if source is None else f'{_of(tenant)} and source_id == "{checked(source)}"'


def _after(tenant: TenantId) -> str:
    """Behind all of the tenant's keys: 0 comes after the slash."""
    return f"{checked(tenant)}0"


def _page(condition: str, rows: int) -> dict[str, Any]:
    """The first rows by key: what the server's iterator asks page by page, with the consistency of the collection."""
    flags = {"iterator": "True", "reduce_stop_for_best": "True"}
    return {"filter": condition, "output_fields": ["id", "source_id"], "limit": rows, **flags}


def _one_of(field: str, values: Sequence[str], at_once: int) -> Iterator[str]:
    """Conditions that hold for any of the values, which are checked ids or keys; so many in each."""
    for start in range(0, len(values), at_once):
        listed = ", ".join(f'"{value}"' for value in values[start : start + at_once])
        yield f"{field} in [{listed}]"
