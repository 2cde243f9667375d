"""What the embedded indexes cost at 100,000 chunks: vectors in LanceDB beside bare LanceDB, and text in FTS5.

    .venv/bin/python benchmarks/search.py --data ../shared/data/retrieval_dev --folder /tmp/search-bench

The passages and questions are real, embedded once (two minutes) and kept in the folder; up to the wanted number, chunks are
mixtures of two passages: their vectors with noise, their texts cut together. Adapter and bare engine take turns on one table.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from localmind.catalog import fts
from localmind.catalog.chunks import Chunks
from localmind.catalog.database import Database, sqlite_url
from localmind.catalog.tables import metadata
from localmind.model import PERSONAL, Chunk, ChunkId, ChunkKey, Filter, SourceId
from localmind.text.fts5 import Fts5Text
from localmind.text.port import TitledChunk
from localmind.vectors.lancedb import CANDIDATES_PER_HIT, PARTITIONS_SEARCHED, LanceVectors

SETS = ("hotpotqa", "twowiki")
MODEL = "all-MiniLM-L6-v2"
BATCH = 200
CHUNKS_A_SOURCE = 20
SIZES = (1_000, 50_000, 100_000)


@dataclass
class Corpus:
    passages: dict[str, list[dict[str, str]]]
    questions: dict[str, list[dict[str, object]]]

    @property
    def all_passages(self) -> list[dict[str, str]]:
        return [passage for name in SETS for passage in self.passages[name]]

    @property
    def all_questions(self) -> list[str]:
        return [str(question["question"]) for name in SETS for question in self.questions[name]]


def read_corpus(data: Path) -> Corpus:
    def lines(name: str, kind: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in (data / name / f"{kind}.jsonl").read_text().splitlines()]

    return Corpus({name: lines(name, "passages") for name in SETS}, {name: lines(name, "questions") for name in SETS})  # type: ignore[misc]


def key(n: int) -> ChunkKey:
    return ChunkKey(ChunkId(f"c{n:025}"), SourceId(f"s{n // CHUNKS_A_SOURCE:025}"))


def timed(calls: Sequence[Callable[[], object]]) -> tuple[np.ndarray, float]:
    """Wall milliseconds of each call, and CPU milliseconds a call."""
    walls, cpu = [], time.process_time()
    for call in calls:
        begin = time.perf_counter()
        call()
        walls.append((time.perf_counter() - begin) * 1e3)
    return np.array(walls), (time.process_time() - cpu) * 1e3 / max(1, len(calls))


def show(label: str, walls: np.ndarray, more: str = "") -> None:
    print(f"| {label} | p50 {np.median(walls):.1f} ms, p95 {np.percentile(walls, 95):.1f} ms{more} |", flush=True)


def say(label: str, value: str) -> None:
    print(f"| {label} | {value} |", flush=True)


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


# --- vectors


def embeddings(corpus: Corpus, folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, 384) chunk vectors, the first ones real, and the questions'."""
    kept = folder / "embeddings.npz"
    if not kept.exists():
        from localmind.embedding.onnx import LocalEmbedder

        embedder = LocalEmbedder(folder / "models")
        real = embedder.embed_documents([f"{p['title']}\n{p['text']}" for p in corpus.all_passages])
        np.savez(kept, real=real, queries=np.stack([embedder.embed_query(q) for q in corpus.all_questions]))
        embedder.close()
    real, queries = np.load(kept)["real"], np.load(kept)["queries"]
    chance = np.random.default_rng(0)
    share = chance.uniform(0.1, 0.5, (count, 1)).astype(np.float32)
    mixed = (1 - share) * real[np.arange(count) % len(real)] + share * real[chance.integers(0, len(real), count)]
    mixed += chance.standard_normal(mixed.shape, dtype=np.float32) * np.float32(0.02)
    mixed[: len(real)] = real[:count]
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True), queries


def delete_cost(delete: Callable[[SourceId], object], rows: int) -> None:
    """Of 20 sources that came shortly before the last."""
    first = rows // CHUNKS_A_SOURCE - 40
    walls, cpu = timed([lambda n=n: delete(key(n * CHUNKS_A_SOURCE).source_id) for n in range(first, first + 20)])
    show(f"delete a source of {CHUNKS_A_SOURCE} chunks at {rows:,}", walls, f", CPU {cpu:.1f} ms")


def fill_vectors(store: LanceVectors, vectors: np.ndarray) -> None:
    tidying = 0.0
    begin = time.perf_counter()
    for start in range(0, len(vectors), BATCH):
        stop = min(start + BATCH, len(vectors))
        store.append(PERSONAL, [key(n) for n in range(start, stop)], vectors[start:stop])
        at = time.perf_counter()
        store.optimize(PERSONAL)
        tidying += time.perf_counter() - at
        if stop in SIZES:
            gone = np.arange(stop - 40 * CHUNKS_A_SOURCE, stop - 20 * CHUNKS_A_SOURCE)
            delete_cost(lambda source: store.delete_sources(PERSONAL, [source]), stop)
            store.append(PERSONAL, [key(n) for n in gone], vectors[gone])
    took = time.perf_counter() - begin
    say(
        f"{len(vectors):,} appended by {BATCH}, tidied on the way", f"{len(vectors) / took:,.0f} rows/s, {tidying / took:.0%} of it tidying"
    )


def tidied(home: Path, dim: int) -> LanceVectors:
    """Opened again, and asked to tidy until nothing is left to do: what a tidying replaces goes at the next one."""
    store = LanceVectors(home, model=MODEL, dim=dim, keep_versions=timedelta(milliseconds=1))
    store.open()
    for _ in range(3):
        store.optimize(PERSONAL)
        time.sleep(0.01)
    store.close()
    store = LanceVectors(home, model=MODEL, dim=dim)
    store.open()
    return store


def search_vectors(store: LanceVectors, folder: Path, vectors: np.ndarray, queries: np.ndarray) -> None:
    import lancedb

    table = lancedb.connect(folder).open_table(PERSONAL)

    def bare(query: np.ndarray) -> list[str]:
        search = table.search(query).distance_type("cosine").nprobes(PARTITIONS_SEARCHED).refine_factor(CANDIDATES_PER_HIT)
        return [row["id"] for row in search.limit(10).select(["id", "_distance"]).to_list()]

    def ours(query: np.ndarray) -> list[str]:
        return [hit.chunk_id for hit in store.search(PERSONAL, query, limit=10)]

    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    for road in (bare, ours):
        recall = np.mean([len({key(n).chunk_id for n in best} & set(road(query))) for best, query in zip(exact, queries, strict=True)]) / 10
        say(f"recall@10 against exact search, {road.__name__}", f"{recall:.4f}")
    walls: dict[str, list[float]] = {"bare": [], "ours": []}
    for query in queries:
        for road in (bare, ours):
            walls[road.__name__].append(timed([lambda road=road, query=query: road(query)])[0][0])
    for name, each in walls.items():
        show(f"search, {name}", np.array(each))
    say("ours / bare, p50", f"{np.median(walls['ours']) / np.median(walls['bare']):.2f}")
    for sources in (1, 100, 4000):
        where = Filter(frozenset(key(n * CHUNKS_A_SOURCE).source_id for n in range(sources)))
        show(
            f"search in {sources:,} sources",
            timed([lambda q=q, w=where: store.search(PERSONAL, q, limit=10, where=w) for q in queries[:60]])[0],
        )


def search_vectors_beside_writes(store: LanceVectors, vectors: np.ndarray, queries: np.ndarray) -> None:
    """A writer at 100 chunks a second, as fast as two cores embed."""
    over = threading.Event()

    def write() -> None:
        at = len(vectors)
        while not over.wait(0.5):
            store.append(PERSONAL, [key(n) for n in range(at, at + 50)], vectors[:50])
            store.optimize(PERSONAL)
            at += 50

    writer = threading.Thread(target=write)
    writer.start()
    walls, _ = timed([lambda q=q: store.search(PERSONAL, q, limit=10) for q in queries])
    over.set()
    writer.join()
    show("search beside 100 writes/s", walls)


MEMORY = """
import sys, psutil, numpy as np
from pathlib import Path
from localmind.vectors.lancedb import LanceVectors
me = psutil.Process(); said = [me.memory_info().rss]
store = LanceVectors(Path(sys.argv[1]), model=sys.argv[2], dim=384); store.open(); said.append(me.memory_info().rss)
store.search("personal", np.eye(384, dtype=np.float32)[0], limit=10); said.append(me.memory_info().rss)
for n in range(384): store.search("personal", np.eye(384, dtype=np.float32)[n], limit=10)
said.append(me.memory_info().rss)
print("with numpy {0} MiB, opened {1}, one search {2}, 384 searches {3}".format(*(rss >> 20 for rss in said)))
"""


def measure_vectors(corpus: Corpus, folder: Path, count: int) -> None:
    vectors, queries = embeddings(corpus, folder, count)
    home = folder / "vectors"
    shutil.rmtree(home, ignore_errors=True)
    store = LanceVectors(home, model=MODEL, dim=vectors.shape[1])
    begin = time.perf_counter()
    store.open()
    say("open, import of lancedb included", f"{time.perf_counter() - begin:.1f} s")
    fill_vectors(store, vectors)
    store.close()
    store = tidied(home, vectors.shape[1])
    say("disk / raw vectors", f"{size(home) / vectors.nbytes:.2f} ({size(home) / 1e6:.0f} MB)")
    search_vectors(store, home, vectors, queries)
    search_vectors_beside_writes(store, vectors, queries)
    store.close()
    memory = subprocess.run([sys.executable, "-c", MEMORY, str(home), MODEL], capture_output=True, text=True, check=True)
    say("RSS of a process", memory.stdout.strip())


# --- text


def open_catalog(path: Path) -> Database:
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    database = Database(sqlite_url(path))
    metadata.create_all(database.engine)
    with database.write() as connection:
        fts.create(connection)
    return database


def mixtures(passages: list[dict[str, str]], count: int) -> Iterator[list[TitledChunk]]:
    chance = random.Random(1)
    for start in range(0, count, BATCH):
        batch = []
        for n in range(start, min(start + BATCH, count)):
            first, second = passages[n % len(passages)], chance.choice(passages)
            text = f"{first['text']} {second['text'][: 300 + n // len(passages) * 10]}"
            id, source = key(n)
            batch.append(TitledChunk(first["title"], Chunk(id, source, n % CHUNKS_A_SOURCE, text, 0, len(text))))
        yield batch


def fill_text(database: Database, index: Fts5Text, passages: list[dict[str, str]], count: int) -> None:
    cpu = rows = 0.0

    def delete(source: SourceId) -> None:
        with database.write():
            index.delete(PERSONAL, sorted(Chunks(database).ids_of(PERSONAL, source)))

    for batch in mixtures(passages, count):
        Chunks(database).stage(PERSONAL, [(titled.chunk, 1) for titled in batch])
        begin = time.process_time()
        index.write(PERSONAL, batch)
        cpu += time.process_time() - begin
        rows += len(batch)
        if rows in SIZES:
            delete_cost(delete, int(rows))
    say(f"{count:,} chunks indexed by {BATCH}", f"{rows / cpu:,.0f} a second of CPU")


def quality(corpus: Corpus, folder: Path) -> None:
    for name in SETS:
        database = open_catalog(folder / f"{name}.db")
        index, passages = Fts5Text(database), corpus.passages[name]
        chunks = [TitledChunk(p["title"], Chunk(key(n)[0], SourceId(f"s{n}"), 0, p["text"], 0, 1)) for n, p in enumerate(passages)]
        Chunks(database).stage(PERSONAL, [(titled.chunk, 1) for titled in chunks])
        index.write(PERSONAL, chunks)
        recalls = []
        for question in corpus.questions[name]:
            hits = index.search(PERSONAL, str(question["question"]), limit=10)
            found, gold = [passages[int(hit.chunk_id[1:])]["id"] for hit in hits], set(question["gold"])  # type: ignore[call-overload]
            recalls.append([len(gold & set(found[:k])) / len(gold) for k in (2, 5, 10)])
        say(f"{name}: R@2, R@5, R@10", ", ".join(f"{100 * value:.1f}" for value in np.mean(recalls, axis=0)))
        database.close()


def measure_text(corpus: Corpus, folder: Path, count: int) -> None:
    quality(corpus, folder)
    database = open_catalog(folder / "catalog.db")
    index = Fts5Text(database)
    fill_text(database, index, corpus.all_passages, count)
    with database.read() as connection:
        # SQLite here has no dbstat: what the index holds is counted in its rows.
        held = connection.exec_driver_sql("SELECT sum(length(block)) FROM chunk_fts_data").scalar_one()
        texts = connection.exec_driver_sql("SELECT sum(length(CAST(text AS BLOB))) FROM chunk").scalar_one()
    say("index / texts, bytes", f"{held / texts:.2f} ({held / 1e6:.0f} MB)")
    for label in ("first time", "again"):
        show(f"search, {label}", timed([lambda q=q: index.search(PERSONAL, q, limit=10) for q in corpus.all_questions])[0])
    for sources in (1, 100, 4000):
        where = Filter(frozenset(key((n + 500) * CHUNKS_A_SOURCE).source_id for n in range(sources)))
        walls, _ = timed([lambda q=q, w=where: index.search(PERSONAL, q, limit=10, where=w) for q in corpus.all_questions[:60]])
        show(f"search in {sources:,} sources", walls)
    database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--only", choices=["vectors", "text"])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(arguments.data)
    for name, measure in (("vectors", measure_vectors), ("text", measure_text)):
        if arguments.only in (None, name):
            print(f"\n| {name}, {arguments.chunks:,} chunks | |\n|---|---|")
            measure(corpus, arguments.folder, arguments.chunks)


if __name__ == "__main__":
    main()
