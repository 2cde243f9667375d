"""What the Milvus adapter costs beside bare pymilvus, on one server and one collection: writes, searches, deletes.

    scripts/stack up && .venv/bin/python benchmarks/milvus.py

Vectors are drawn around 2,000 centres, 384 dimensions; adapter and bare client take turns. A run takes two to three minutes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence

import numpy as np
from pymilvus import MilvusClient

from localmind.ids import random_id
from localmind.model import ChunkId, ChunkKey, Filter, SourceId, TenantId
from localmind.vectors.milvus import EF, MilvusVectors

DIM = 384
CENTRES = 2_000
CHUNKS_A_SOURCE = 20
BATCHES = (128, 500, 1_000)
SIZES = (20_000, 50_000)
SEARCHES = 100
TENANT = TenantId("bench")


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Data:
    def __init__(self) -> None:
        self._rng = np.random.default_rng(4)
        self._centres = unit(self._rng.normal(size=(CENTRES, DIM)))

    def draw(self, count: int) -> np.ndarray:
        noise = self._rng.normal(size=(count, DIM)) / np.sqrt(DIM)
        return unit(self._centres[self._rng.integers(CENTRES, size=count)] + 0.8 * noise)


def key(n: int) -> ChunkKey:
    return ChunkKey(ChunkId(f"c{n:025}"), SourceId(f"s{n // CHUNKS_A_SOURCE:025}"))


def row(tenant: str, n: int, vector: np.ndarray) -> dict[str, object]:
    chunk, source = key(n)
    return {"id": f"{tenant}/{chunk}", "tenant": tenant, "source_id": source, "vector": vector}


def timed(calls: Sequence[Callable[[], object]]) -> np.ndarray:
    """Milliseconds of each."""
    walls = []
    for call in calls:
        begin = time.perf_counter()
        call()
        walls.append((time.perf_counter() - begin) * 1e3)
    return np.array(walls)


def show(label: str, walls: np.ndarray, more: str = "") -> None:
    print(f"| {label} | p50 {np.median(walls):.1f} ms, p95 {np.percentile(walls, 95):.1f} ms{more} |", flush=True)


def measure_writes(bare: MilvusClient, store: MilvusVectors, name: str, data: Data) -> None:
    for batch in BATCHES:
        rounds = max(4, 4_000 // batch)
        drawn = [data.draw(batch) for _ in range(rounds)]

        def insert(at: int, vectors: list[np.ndarray] = drawn, batch: int = batch) -> None:
            bare.insert(name, [row("bare", at * batch + n, vector) for n, vector in enumerate(vectors[at])])

        def append(at: int, vectors: list[np.ndarray] = drawn, batch: int = batch) -> None:
            store.append(TenantId("written"), [key(at * batch + n) for n in range(batch)], vectors[at])

        turns = [(timed([lambda at=at: insert(at)])[0], timed([lambda at=at: append(at)])[0]) for at in range(rounds)]  # type: ignore[misc]
        bare_ms, adapter_ms = np.array(turns).T
        for label, walls in (("bare insert, not awaited", bare_ms), ("adapter: replaced and seen", adapter_ms)):
            show(f"write by {batch}, {label}", walls, f", {batch / walls.mean() * 1e3:,.0f} rows/s")
    for tenant in ("bare", "written"):
        store.drop(TenantId(tenant))


def fill(store: MilvusVectors, vectors: np.ndarray, start: int) -> None:
    begin = time.perf_counter()
    for at in range(start, len(vectors), 5_000):
        store.append(TENANT, [key(n) for n in range(at, min(len(vectors), at + 5_000))], vectors[at : at + 5_000])
    took = time.perf_counter() - begin
    print(f"| fill to {len(vectors):,} by 5,000 | {(len(vectors) - start) / took:,.0f} rows/s |", flush=True)


def measure_searches(bare: MilvusClient, store: MilvusVectors, name: str, vectors: np.ndarray, queries: np.ndarray) -> None:
    sources = len(vectors) // CHUNKS_A_SOURCE
    for some in (None, 20, 1_000):
        chosen = None if some is None else [f"s{n * sources // some:025}" for n in range(some)]
        condition = f'tenant == "{TENANT}"'
        if chosen is not None:
            condition += f" and source_id in {chosen}".replace("'", '"')
        where = None if chosen is None else Filter(frozenset(SourceId(source) for source in chosen))

        def of_bare(query: np.ndarray, condition: str = condition) -> object:
            params = {"metric_type": "COSINE", "params": {"ef": EF}}
            return bare.search(name, [query], filter=condition, limit=11, search_params=params, consistency_level="Bounded")

        def of_store(query: np.ndarray, where: Filter | None = where) -> object:
            return store.search(TENANT, query, limit=10, where=where)

        timed([lambda: of_bare(queries[0]), lambda: of_store(queries[0])])
        turns = [(timed([lambda q=q: of_bare(q)])[0], timed([lambda q=q: of_store(q)])[0]) for q in queries]  # type: ignore[misc]
        bare_ms, adapter_ms = np.array(turns).T
        label = f"search {len(vectors):,}" + ("" if some is None else f", {some:,} of {sources:,} sources")
        show(f"{label}, bare", bare_ms)
        show(f"{label}, adapter", adapter_ms, f", ratio of the p50 {np.median(adapter_ms) / np.median(bare_ms):.2f}")
    found = [{hit.chunk_id for hit in store.search(TENANT, query, limit=10)} for query in queries]
    best = [{key(int(n)).chunk_id for n in np.argpartition(-(vectors @ query), 10)[:10]} for query in queries]
    recall = np.mean([len(one & other) / 10 for one, other in zip(found, best, strict=True)])
    print(f"| recall@10 at {len(vectors):,} | {recall:.3f} |", flush=True)


def measure_deletes(store: MilvusVectors) -> None:
    ids = [[key(at * 500 + n).chunk_id for n in range(500)] for at in range(4)]
    show("delete 500 chunks", timed([lambda some=some: store.delete(TENANT, some) for some in ids]))  # type: ignore[misc]
    sources = [[SourceId(f"s{200 + at * 50 + n:025}") for n in range(50)] for at in range(4)]
    show("delete 50 sources (1,000 chunks)", timed([lambda some=some: store.delete_sources(TENANT, some) for some in sources]))  # type: ignore[misc]
    show("drop the tenant", timed([lambda: store.drop(TENANT)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", default=os.environ.get("MILVUS_URI") or "http://127.0.0.1:29530")
    arguments = parser.parse_args()
    name = f"bench_{random_id()}"
    store = MilvusVectors(arguments.uri, model="random", dim=DIM, collection=name)
    store.open()
    bare = MilvusClient(arguments.uri, dedicated=True, timeout=5)
    print(f"Milvus {bare.get_server_version()}, {DIM} dimensions")
    try:
        data = Data()
        measure_writes(bare, store, name, data)
        queries = data.draw(SEARCHES)
        vectors = data.draw(max(SIZES))
        filled = 0
        for size in SIZES:
            fill(store, vectors[:size], filled)
            filled = size
            measure_searches(bare, store, name, vectors[:size], queries)
        bare.flush(name)
        for _ in range(60):
            state = bare.describe_index(name, "vector")
            if not state.get("pending_index_rows"):
                break
            time.sleep(1)
        bare.load_collection(name)
        time.sleep(5)
        print("| after a flush: segments indexed | |")
        measure_searches(bare, store, name, vectors, queries)
        measure_deletes(store)
    finally:
        store.reset()
        store.close()
        bare.close()


if __name__ == "__main__":
    main()
