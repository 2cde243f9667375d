"""How well each search mode finds the passages that a question needs, on sets of multi-hop questions.

    .venv/bin/python benchmarks/retrieval.py --data FOLDER/hotpotqa --folder /tmp/retrieval-bench

FOLDER/hotpotqa holds passages.jsonl ({"id","title","text"}) and questions.jsonl ({"id","question","gold":[ids]}). Each passage is
one source of one chunk. --half 0 and --half 1 ask every other question, so that settings are chosen on one half and reported
on the other. A second run on the same folder asks without ingesting.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database, sqlite_url
from localmind.catalog.migrate import migrate
from localmind.catalog.tables import source
from localmind.embedding.onnx import LocalEmbedder
from localmind.extraction.keyphrase import KeyphraseExtractor
from localmind.extraction.port import Passage
from localmind.graph.port import ChunkExtraction
from localmind.graph.sql import SqlGraph
from localmind.ids import stable_id
from localmind.model import Chunk, ChunkId, ChunkKey, Mode, SourceId, TenantId
from localmind.retrieval.search import Search
from localmind.text.fts5 import Fts5Text
from localmind.text.port import TitledChunk
from localmind.vectors.lancedb import LanceVectors

TENANT = TenantId("bench")
BATCH = 300


class Question(NamedTuple):
    text: str
    gold: frozenset[str]


class Product(NamedTuple):
    database: Database
    embedder: LocalEmbedder
    vectors: LanceVectors
    graph: SqlGraph
    search: Search


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def questions(data: Path, half: int | None) -> list[Question]:
    every = [Question(item["question"], frozenset(item["gold"])) for item in lines(data / "questions.jsonl")]
    return every if half is None else every[half::2]


def compose(folder: Path, models: Path) -> Product:
    folder.mkdir(parents=True, exist_ok=True)
    database = Database(sqlite_url(folder / "catalog.db"))
    migrate(database)
    embedder = LocalEmbedder(models)
    vectors = LanceVectors(folder / "vectors", model=embedder.model, dim=embedder.dim)
    vectors.open()
    text, graph = Fts5Text(database), SqlGraph(database)
    return Product(database, embedder, vectors, graph, Search(Catalog(database), embedder, vectors, text, graph))


def ingest(product: Product, passages: Sequence[dict[str, Any]]) -> None:
    extractor, text, catalog = KeyphraseExtractor(), Fts5Text(product.database), Catalog(product.database)
    for at in range(0, len(passages), BATCH):
        batch = passages[at : at + BATCH]
        chunks = [
            Chunk(ChunkId(stable_id("chunk", item["id"])), SourceId(stable_id("source", item["id"])), 0, item["text"], 0, len(item["text"]))
            for item in batch
        ]
        vectors = product.embedder.embed_documents([f"{item['title']}\n{item['text']}" for item in batch])
        results = extractor.extract([Passage(item["title"], "", item["text"]) for item in batch])
        product.vectors.append(TENANT, [ChunkKey(chunk.id, chunk.source_id) for chunk in chunks], vectors)
        with product.database.write() as connection:
            connection.execute(
                sa.insert(source),
                [
                    {
                        "id": chunk.source_id,
                        "tenant": TENANT,
                        "uri": item["id"],
                        "kind": "text",
                        "title": item["title"],
                        "tags": [],
                        "version": 1,
                        "latest": 1,
                        "created_at": 0.0,
                        "updated_at": 0.0,
                    }
                    for item, chunk in zip(batch, chunks, strict=True)
                ],
            )
            catalog.chunks.stage(TENANT, [(chunk, 1) for chunk in chunks])
            text.write(TENANT, [TitledChunk(item["title"], chunk) for item, chunk in zip(batch, chunks, strict=True)])
            product.graph.write(
                TENANT,
                [ChunkExtraction(chunk.source_id, chunk.id, result.extraction) for chunk, result in zip(chunks, results, strict=True)],
            )
    product.vectors.optimize(TENANT)


def measure(search: Search, asked: Sequence[Question], mode: Mode) -> dict[str, float]:
    """In percent, averaged over the questions; ms is the median wall time of a search."""
    rows: list[dict[str, float]] = []
    for question in asked:
        begun = time.perf_counter()
        hits = search.search(TENANT, question.text, mode=mode, limit=10).hits
        took = (time.perf_counter() - begun) * 1000
        found = list(dict.fromkeys(hit.uri for hit in hits))
        first = next((rank for rank, uri in enumerate(found, start=1) if uri in question.gold), None)
        recall = {k: len(question.gold.intersection(found[:k])) / len(question.gold) for k in (2, 5, 10)}
        rows.append(
            {"R@2": recall[2], "R@5": recall[5], "R@10": recall[10], "all@5": float(recall[5] == 1), "MRR": 1 / first if first else 0.0}
            | {"ms": took / 100}
        )
    means = {name: 100 * statistics.mean(row[name] for row in rows) for name in rows[0]}
    return means | {"ms": 100 * statistics.median(row["ms"] for row in rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where the engines lie; made when it is not there")
    parser.add_argument("--half", type=int, choices=(0, 1))
    arguments = parser.parse_args()
    product = compose(arguments.folder / arguments.data.name, arguments.folder / "models")
    passages = lines(arguments.data / "passages.jsonl")
    if product.vectors.count(TENANT) == 0:
        ingest(product, passages)
    asked = questions(arguments.data, arguments.half)
    product.embedder.embed_query("warm")
    print(f"{arguments.data.name}: {len(passages)} passages, {len(asked)} questions, {product.graph.count_entities(TENANT)} entities")
    print(f"{'mode':8}" + "".join(f"{name:>8}" for name in ("R@2", "R@5", "R@10", "all@5", "MRR", "ms")))
    for mode in (Mode.VECTOR, Mode.TEXT, Mode.GRAPH, Mode.HYBRID):
        print(f"{mode.value:8}" + "".join(f"{value:8.1f}" for value in measure(product.search, asked, mode).values()))
    product.vectors.close()
    product.database.close()


if __name__ == "__main__":
    main()
