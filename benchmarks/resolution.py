"""What adding a document costs as the base grows, entity resolution included: nothing should grow with the base.

    .venv/bin/python benchmarks/resolution.py --chunks 50000 --folder /tmp/resolution-bench

Synthetic names as in graph.py. Each added document has 20 chunks, which also name two things under a new spelling and define one
abbreviation, so that something is merged. The engines and the catalog's work alone: reading and embedding, which take twenty times
as long and grow with nothing, are left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from graph import TEXT, extractions  # type: ignore[import-not-found]
from numpy.typing import NDArray

from localmind.catalog import fts
from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database, sqlite_url
from localmind.catalog.tables import metadata, source
from localmind.extraction.port import ExtractionResult
from localmind.graph.aliases import Aliases
from localmind.graph.port import ChunkExtraction
from localmind.graph.sql import SqlGraph
from localmind.ids import stable_id, text_hash
from localmind.ingest.extractions import Extractions
from localmind.ingest.judging import Context
from localmind.ingest.resolution import Resolution
from localmind.ingest.store import Store
from localmind.model import Chunk, ChunkId, ExtractedEntity, Extraction, SourceId, TenantId

TENANT = TenantId("bench")
DOCUMENT = 20
DOCUMENTS = 60
BATCH = 200


class Known:
    """An extractor that gives back what was made up."""

    version, costly = "known", False

    def __init__(self) -> None:
        self.found: dict[str, Extraction] = {}

    def extract(self, passages: Any) -> list[ExtractionResult]:
        return [ExtractionResult(self.found.get(text_hash(passage.text), Extraction())) for passage in passages]


class Zeros:
    def embed_documents(self, texts: Any) -> NDArray[np.float32]:
        return np.zeros((len(texts), 384), np.float32)


class Nowhere:
    in_catalog = True


class Bench:
    def __init__(self, folder: Path) -> None:
        self.database = Database(sqlite_url(folder / "catalog.db"))
        with self.database.write() as connection:
            metadata.create_all(connection)
            fts.create(connection)
        self.catalog = Catalog(self.database)
        self.graph = SqlGraph(self.database, Aliases(self.database).meanings)
        nowhere: Any = Nowhere()
        self.store = Store(self.catalog, nowhere, nowhere, nowhere, self.graph)
        self.known = Known()
        zeros: Any = Zeros()
        self.resolution = Resolution(self.store, Extractions(self.catalog, self.known, llm_version=None), Context(self.graph, zeros), None)
        self.numbers = count()

    def add(self, found: list[Extraction], *, resolve: bool, keep: bool) -> float:
        """A document; CPU milliseconds a chunk of its graph."""
        number = next(self.numbers)
        source_id = SourceId(stable_id("source", number))
        texts = [f"{number} {n} {TEXT[:500]}" for n in range(len(found))]
        if keep:
            texts[0] += f" The Grand Engine Number{number} Lathe (GEN{number}L) works."
            self.known.found |= {text_hash(text): one for text, one in zip(texts, found, strict=True)}
        chunks = [Chunk(ChunkId(stable_id("chunk", number, n)), source_id, n, text, 0, len(text)) for n, text in enumerate(texts)]
        said = [ChunkExtraction(source_id, chunk.id, one, chunk.text) for chunk, one in zip(chunks, found, strict=True)]
        with self.database.write() as connection:
            row = {"id": source_id, "tenant": TENANT, "kind": "text", "title": "", "tags": [], "version": 1, "latest": 1}
            connection.execute(sa.insert(source), [row | {"created_at": 0, "updated_at": 0}])
            self.catalog.chunks.stage(TENANT, [(chunk, 1) for chunk in chunks])
        begun = time.process_time()
        if resolve:
            self.store.naming.write(TENANT, said)
            self.resolution.settle(TENANT)
        else:
            with self.database.write():
                self.graph.write(TENANT, said)
        return (time.process_time() - begun) / len(chunks) * 1000


def document(said: Iterator[Extraction], number: int) -> list[Extraction]:
    """Two of its chunks name things anew: a legal form more, a space less."""
    found = [next(said) for _ in range(DOCUMENT)]
    more = (f"Bremer Lathe {number} Works", f"Bremer Lathe {number} Works Inc.", f"Grand Engine Number{number} Lathe", f"GEN{number}L")
    for at, name in enumerate(more):
        found[at] = Extraction((*found[at].entities, ExtractedEntity(name, "organisation")), found[at].relations)
    return found


def measured(bench: Bench, said: Iterator[Extraction], *, resolve: bool) -> str:
    costs = [bench.add(document(said, 1000 * (2 if resolve else 1) + n), resolve=resolve, keep=True) for n in range(DOCUMENTS)]
    return f"p50 {statistics.median(costs):.2f} ms CPU a chunk, mean {statistics.mean(costs):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder for the database")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments.folder)
    said = extractions(arguments.chunks, seed=1)
    for chunks in (0, arguments.chunks):
        for _ in range(0, chunks, BATCH):
            bench.add([next(said) for _ in range(BATCH)], resolve=True, keep=False)
        print(f"at {chunks:>6} chunks, the graph alone:  {measured(bench, said, resolve=False)}")
        print(f"at {chunks:>6} chunks, with resolution: {measured(bench, said, resolve=True)}")
    rows = bench.database.engine.connect().execute(sa.text("SELECT COUNT(*) FROM entity")).scalar_one()
    print(f"{rows} entities, {len(bench.resolution._aliases.page(TENANT, after='', limit=100_000))} aliases")


if __name__ == "__main__":
    main()
