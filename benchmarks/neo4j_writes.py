"""What text and graph in Neo4j cost: writes into an empty and a filled base, searches, and connections under load.

    eval "$(scripts/stack env | sed 's/^/export /')"
    python benchmarks/neo4j_writes.py --chunks 50000

Notes as in benchmarks/ingest.py, one chunk each. What the keyphrase extractor finds in the first 3,000 is said by the others as
well, since extracting takes longer than writing. A tenant of its own, cleared at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence

import psutil
from ingest import notes

from localmind.extraction.keyphrase import KeyphraseExtractor
from localmind.extraction.port import Passage
from localmind.graph.neo4j import Neo4jGraph
from localmind.graph.port import ChunkExtraction
from localmind.ids import random_id
from localmind.model import Chunk, ChunkId, Extraction, SourceId, TenantId
from localmind.neo4j import Neo4jDriver
from localmind.retrieval.graph import GraphSearch
from localmind.retrieval.near import near
from localmind.text.neo4j import Neo4jText
from localmind.text.port import TitledChunk

BATCH = 300
EXTRACTED = 3000
NOTES_A_SOURCE = 10


class Corpus:
    def __init__(self, chunks: int) -> None:
        self.texts = [note.text for note in notes(chunks)]
        made = notes(EXTRACTED)
        extractor = KeyphraseExtractor()
        found = extractor.extract([Passage(note.title, "", note.text) for note in made])
        self.said: list[Extraction] = [each.extraction for each in found]

    def batch(self, first: int, count: int) -> tuple[list[TitledChunk], list[ChunkExtraction], int]:
        """Chunks, what they say, and how many mentions and relations that is."""
        chunks, said, things = [], [], 0
        for n in range(first, first + count):
            source, id_ = SourceId(f"s{n // NOTES_A_SOURCE}"), ChunkId(f"c{n:07}")
            text, what = self.texts[n], self.said[n % EXTRACTED]
            chunks.append(TitledChunk(f"Note {n}", Chunk(id_, source, n % NOTES_A_SOURCE, text, 0, len(text))))
            said.append(ChunkExtraction(source, id_, what))
            things += len(what.entities) + len(what.relations)
        return chunks, said, things


def write(corpus: Corpus, text: Neo4jText, graph: Neo4jGraph, tenant: TenantId, first: int, count: int, label: str) -> None:
    spent = {"text": 0.0, "graph": 0.0}
    things = 0
    for at in range(first, first + count, BATCH):
        chunks, said, more = corpus.batch(at, min(BATCH, first + count - at))
        things += more
        begun = time.perf_counter()
        text.write(tenant, chunks)
        between = time.perf_counter()
        graph.write(tenant, said)
        spent["text"] += between - begun
        spent["graph"] += time.perf_counter() - between
    print(
        f"{label}: {count} chunks; graph {things / spent['graph']:.0f} mentions+relations/s ({count / spent['graph']:.0f} chunks/s),"
        f" text {count / spent['text']:.0f} chunks/s"
    )


def take_back(text: Neo4jText, graph: Neo4jGraph, tenant: TenantId, first: int, count: int) -> None:
    sources = [SourceId(f"s{n}") for n in range(first // NOTES_A_SOURCE, (first + count) // NOTES_A_SOURCE)]
    begun = time.perf_counter()
    graph.delete_sources(tenant, sources)
    text.delete_sources(tenant, sources)
    cost_ms = (time.perf_counter() - begun) / count * 1000
    print(f"delete {len(sources)} sources of {NOTES_A_SOURCE} chunks, one by one: {cost_ms:.2f} ms a chunk")


def timed(label: str, calls: Sequence[Callable[[], object]]) -> None:
    walls = []
    for call in calls:
        begun = time.perf_counter()
        call()
        walls.append((time.perf_counter() - begun) * 1000)
    print(f"{label}: p50 {statistics.median(walls):.1f} ms, p95 {sorted(walls)[int(len(walls) * 0.95)]:.1f} ms")


def queries(corpus: Corpus, count: int) -> list[str]:
    generator = random.Random(2)
    return [" ".join(generator.sample(generator.choice(corpus.texts).replace(".", "").split(), 6)) for _ in range(count)]


def load(driver: Neo4jDriver, search: Callable[[str], object], asked: Sequence[str], threads: int, seconds: float) -> None:
    """`threads` searches at once; the server's own count of connections, and this process's memory, before and after."""
    over = time.monotonic() + seconds
    counts = [0] * threads
    errors: list[BaseException] = []

    def work(n: int) -> None:
        generator = random.Random(n)
        while time.monotonic() < over:
            try:
                search(generator.choice(asked))
                counts[n] += 1
            except Exception as error:
                errors.append(error)

    me = psutil.Process()
    memory = me.memory_info().rss
    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    most = 0
    port = int(os.environ["NEO4J_URI"].rpartition(":")[2])
    while time.monotonic() < over:
        most = max(most, sum(each.raddr != () and each.raddr.port == port for each in me.net_connections()))
        time.sleep(0.5)
    for worker in workers:
        worker.join()
    grown = (me.memory_info().rss - memory) / 2**20
    print(
        f"{threads} threads for {seconds:.0f} s: {sum(counts) / seconds:.0f} searches/s, {len(errors)} errors {errors[:1]},"
        f" at most {most} connections (pool {driver.pool}), memory {grown:+.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    driver = Neo4jDriver(os.environ["NEO4J_URI"], os.environ["NEO4J_USER"], os.environ["NEO4J_PASSWORD"], pool=20, timeout_s=30)
    text, graph = Neo4jText(driver), Neo4jGraph(driver)
    text.open()
    graph.open()
    corpus = Corpus(given.chunks)
    tenant, warm = TenantId(f"bench-{random_id()}"), TenantId(f"warm-{random_id()}")
    write(corpus, text, graph, warm, 0, 1500, "warming up")
    graph.clear(warm)
    text.clear(warm)
    try:
        write(corpus, text, graph, tenant, 0, 3000, "into an empty base")
        write(corpus, text, graph, tenant, 3000, given.chunks - 6000, "filling")
        write(corpus, text, graph, tenant, given.chunks - 3000, 3000, "into the filled base")
        asked = queries(corpus, 100)
        search = GraphSearch(graph)
        timed("text search", [lambda q=q: text.search(tenant, q, limit=50) for q in asked])  # type: ignore[misc]
        timed(
            "graph search",
            [lambda q=q: search.walk(tenant, search.link(tenant, q), near({"text": text.search(tenant, q, limit=50)})) for q in asked],
        )  # type: ignore[misc]
        timed("first page of entities", [lambda: graph.entities(tenant)] * 20)
        timed("subgraph of 100", [lambda: graph.subgraph(tenant)] * 20)
        load(driver, lambda q: text.search(tenant, q, limit=50), asked, given.threads, given.seconds)
        take_back(text, graph, tenant, 0, 1000)
    finally:
        graph.clear(tenant)
        text.clear(tenant)
        graph.close()
        text.close()


if __name__ == "__main__":
    main()
