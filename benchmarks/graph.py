"""What the graph in the catalog costs as it grows: writing, and the reads of one search.

    .venv/bin/python benchmarks/graph.py --chunks 100000 --folder /tmp/graph-bench

Synthetic: each chunk mentions 10 names drawn from a Zipf distribution over a vocabulary that grows with the corpus, and
relates 10 pairs of them. CPU times, so that a busy machine matters less; a search is also given in wall time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from localmind.catalog.database import Database, sqlite_url
from localmind.catalog.tables import chunk, entity, metadata
from localmind.graph.port import ChunkExtraction
from localmind.graph.sql import SqlGraph
from localmind.ids import stable_id
from localmind.model import ChunkId, ExtractedEntity, ExtractedRelation, Extraction, Filter, SourceId, TenantId
from localmind.retrieval.graph import GraphSearch

TENANT = TenantId("bench")
BATCH = 300
CHUNKS_A_SOURCE = 100
TEXT = "x" * 1000


def extractions(chunks: int, seed: int) -> Iterator[Extraction]:
    random = np.random.default_rng(seed)
    while True:
        ranks = random.zipf(1.15, size=(1000, 14)) % (20 * chunks)
        pairs = random.integers(0, 10, size=(1000, 10, 2))
        for row, ends in zip(ranks.tolist(), pairs.tolist(), strict=True):
            names = list(dict.fromkeys(f"Name {rank:x} Of Thing" for rank in row))[:10]
            relations = tuple(
                ExtractedRelation(names[a % len(names)], names[b % len(names)], weight=1.0)
                for a, b in ends
                if a % len(names) != b % len(names)
            )
            yield Extraction(tuple(ExtractedEntity(name, weight=8.0 if i == 0 else 1.0) for i, name in enumerate(names)), relations)


def fill(database: Database, graph: SqlGraph, chunks: int) -> list[float]:
    """CPU milliseconds a chunk of each batch, in order; the chunk's own row is not counted."""
    said = extractions(chunks, seed=1)
    costs: list[float] = []
    for at in range(0, chunks, BATCH):
        ids = [ChunkId(stable_id("chunk", n)) for n in range(at, min(at + BATCH, chunks))]
        values = [
            {
                "id": id_,
                "tenant": TENANT,
                "source_id": f"source{n // CHUNKS_A_SOURCE}",
                "since": 1,
                "ordinal": n,
                "start": 0,
                "end": 1,
                "heading": "",
                "text": TEXT,
            }
            for n, id_ in enumerate(ids, at)
        ]
        batch = [ChunkExtraction(SourceId("bench"), id_, next(said)) for id_ in ids]
        with database.write() as connection:
            connection.execute(sa.insert(chunk), values)
            begun = time.process_time()
            graph.write(TENANT, batch)
            cost = time.process_time() - begun
        begun = time.process_time()
        database.engine.connect().close()
        costs.append((cost + time.process_time() - begun) / len(ids) * 1000)
    return costs


def timed(calls: Sequence[Callable[[], object]]) -> str:
    walls: list[float] = []
    begun = time.process_time()
    for call in calls:
        start = time.perf_counter()
        call()
        walls.append((time.perf_counter() - start) * 1000)
    cpu = (time.process_time() - begun) / len(calls) * 1000
    return f"p50 {statistics.median(walls):7.2f} ms   p95 {sorted(walls)[int(len(walls) * 0.95)]:7.2f} ms   CPU mean {cpu:7.2f} ms"


def read(database: Database, graph: SqlGraph, count: int) -> None:
    random = np.random.default_rng(2)
    with database.read() as connection:
        rows = connection.execute(sa.select(entity.c.id, entity.c.name, entity.c.mentions).order_by(entity.c.mentions.desc())).all()
    print(f"{len(rows)} entities; the five greatest are mentioned {[row.mentions for row in rows[:5]]} times")
    middle = [row for row in rows if 20 <= row.mentions <= 2000]
    queries = [[middle[i] for i in random.integers(0, len(middle), 3)] for _ in range(200)]

    searches = GraphSearch(graph)
    chunks = [ChunkId(stable_id("chunk", n)) for n in range(count)]
    near = [dict.fromkeys((chunks[i] for i in random.integers(0, count, 70).tolist()), 1 / 70) for _ in queries]

    def search(names: Sequence[str], begin: Mapping[ChunkId, float], where: Filter | None = None) -> None:
        linked = graph.link(TENANT, [*names, *(f"no such name {n}" for n in range(100))])
        searches.walk(TENANT, linked, begin, where=where)

    some = Filter(frozenset(SourceId(f"source{n}") for n in range(0, 20)))
    half = Filter(frozenset(SourceId(f"source{n}") for n in range(0, 500)))
    named = [[row.name for row in found] + [f"no such name {n}" for n in range(60)] for found in queries]
    ids = [[row.id for row in found] for found in queries]
    print("link 63 names            ", timed([lambda v=v: graph.link(TENANT, v) for v in named]))  # type: ignore[misc]
    print("neighbors of 3           ", timed([lambda v=v: graph.neighbors(TENANT, v, limit=20) for v in ids]))  # type: ignore[misc]
    print("chunks of 3              ", timed([lambda v=v: graph.chunks(TENANT, dict.fromkeys(v, 1.0), limit=50) for v in ids]))  # type: ignore[misc]
    hub_names = [row.name for row in rows[:5]]
    for label, extra, where in (
        ("walk                     ", [], None),
        ("walk from five hubs too  ", hub_names, None),
        ("walk, 20 sources         ", [], some),
        ("walk, 500 sources        ", [], half),
    ):
        calls = zip(queries, near, strict=True)
        print(label, timed([lambda v=v, n=n, e=extra, w=where: search([*(row.name for row in v), *e], n, w) for v, n in calls]))  # type: ignore[misc]
    print("entities containing      ", timed([lambda n=n: graph.entities(TENANT, query=f"name {n:x}") for n in range(20)]))  # type: ignore[misc]
    print("first page of entities   ", timed([lambda: graph.entities(TENANT) for _ in range(50)]))
    print("path                     ", timed([lambda v=v: graph.path(TENANT, v[0], v[1]) for v in ids[:50]]))  # type: ignore[misc]
    print("subgraph of 100          ", timed([lambda: graph.subgraph(TENANT) for _ in range(20)]))
    print("subgraph around one      ", timed([lambda v=v: graph.subgraph(TENANT, center=v[0]) for v in ids[:20]]))  # type: ignore[misc]


def take_back(graph: SqlGraph, chunks: int) -> None:
    for at in (chunks // 2, chunks - 20 * BATCH):
        ids = [ChunkId(stable_id("chunk", n)) for n in range(at, at + BATCH)]
        begun = time.process_time()
        graph.delete(TENANT, ids)
        print(f"delete {BATCH} chunks at {at}: {(time.process_time() - begun) / len(ids) * 1000:.3f} ms a chunk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder for the database")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / "catalog.db"
    database = Database(sqlite_url(path))
    graph = SqlGraph(database)
    if not sa.inspect(database.engine).has_table("entity"):
        metadata.create_all(database.engine)
        costs = fill(database, graph, arguments.chunks)
        for share in (0.0, 0.25, 0.5, 0.75, 0.95):
            at = int(len(costs) * share)
            some = costs[at : at + max(1, len(costs) // 20)]
            print(f"write at {at * BATCH:>7} chunks: {statistics.mean(some):.3f} ms CPU a chunk")
        print(f"database: {path.stat().st_size / arguments.chunks:.0f} bytes a chunk, of which {len(TEXT)} are its text")
    read(database, graph, arguments.chunks)
    take_back(graph, arguments.chunks)
    database.close()


if __name__ == "__main__":
    main()
