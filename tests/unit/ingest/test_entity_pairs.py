"""How often entity resolution is right, without an LLM, on pairs of names from real documents: tests/data/entity_pairs.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from localmind.catalog import fts
from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database, sqlite_url
from localmind.catalog.tables import metadata, source
from localmind.embedding.onnx import LocalEmbedder
from localmind.extraction.keyphrase import KeyphraseExtractor
from localmind.extraction.port import ExtractionResult, Passage
from localmind.graph.aliases import Aliases
from localmind.graph.merging import key_of
from localmind.graph.sql import SqlGraph
from localmind.ingest.extractions import Extractions
from localmind.ingest.judging import Context
from localmind.ingest.resolution import Resolution
from localmind.ingest.store import Store
from localmind.model import Chunk, ChunkId, ExtractedEntity, Extraction, SourceId, TenantId

PAIRS = Path(__file__).parents[2] / "data" / "entity_pairs.jsonl"

Row = Mapping[str, Any]


@dataclass
class Given:
    """The keyphrases of a sentence, and the names that the pair is of."""

    named: dict[str, list[tuple[str, str]]]
    version = "given"
    costly = False

    def extract(self, passages: Sequence[Passage]) -> list[ExtractionResult]:
        found = zip(passages, KeyphraseExtractor().extract(passages), strict=True)
        return [ExtractionResult(self._with_names(passage.text, result.extraction)) for passage, result in found]

    def _with_names(self, text: str, found: Extraction) -> Extraction:
        keys = {key_of(entity.name) for entity in found.entities}
        more = tuple(ExtractedEntity(name, kind) for name, kind in self.named[text] if key_of(name) not in keys)
        return Extraction(found.entities + more, found.relations)


class Nowhere:
    """An index that nothing is asked of here."""

    in_catalog = True


def resolve(rows: Sequence[Row], folder: Path, embedder: LocalEmbedder) -> list[bool]:
    """Whether the two names of each row are one entity, where a tenant has these sentences alone."""
    database = Database(sqlite_url(folder / "catalog.db"))
    sa.event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    with database.write() as connection:
        metadata.create_all(connection)
        fts.create(connection)
    graph = SqlGraph(database, Aliases(database).meanings)
    catalog, nowhere = Catalog(database), Nowhere()
    store = Store(catalog, nowhere, nowhere, nowhere, graph)  # type: ignore[arg-type]
    given = Given({})
    extractions = Extractions(catalog, given, llm_version=None)
    resolution = Resolution(store, extractions, Context(graph, embedder), None)
    verdicts: list[bool] = []
    for n, row in enumerate(rows):
        tenant = TenantId(f"pair-{n}")
        given.named = {row["one_text"]: [], row["other_text"]: []}
        for which in ("one", "other"):
            given.named[row[f"{which}_text"]].append((row[which], row[f"{which}_type"]))
        chunks = [Chunk(ChunkId(f"{n}-{at}"), SourceId(f"{n}-{at}"), 0, text, 0, len(text)) for at, text in enumerate(given.named)]
        with database.write() as connection:
            kept = {"tenant": tenant, "kind": "text", "title": "", "tags": [], "version": 1, "latest": 1, "created_at": 0, "updated_at": 0}
            connection.execute(sa.insert(source), [kept | {"id": chunk.source_id} for chunk in chunks])
            catalog.chunks.stage(tenant, [(chunk, 1) for chunk in chunks])
        store.naming.write(tenant, extractions.said(tenant, [chunk.id for chunk in chunks]))
        resolution.settle(tenant)
        found = graph.link(tenant, [row["one"], row["other"]])
        ids = [found[name].id if name in found else name for name in (row["one"], row["other"])]
        verdicts.append(ids[0] == ids[1])
    database.close()
    return verdicts


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    with PAIRS.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def verdicts(rows: list[Row], tmp_path_factory: pytest.TempPathFactory, embedder: LocalEmbedder) -> list[bool]:
    return resolve(rows, tmp_path_factory.mktemp("pairs"), embedder)


def test_the_set_is_large_and_its_sentences_hold_the_names(rows: list[Row]) -> None:
    assert len(rows) >= 300
    assert len({(row["one"], row["other"], row["other_text"]) for row in rows}) == len(rows)
    assert {row["half"] for row in rows} == {"tune", "report"}
    for row in rows:
        assert len(row["one_text"]) < 350 and len(row["other_text"]) < 350


@pytest.mark.parametrize("half", ["tune", "report"])
def test_merges_are_right_and_few_are_missed(rows: list[Row], verdicts: list[bool], half: str) -> None:
    """tune: on which rules and thresholds were chosen; report: the others."""
    told = [(row["same"], verdict) for row, verdict in zip(rows, verdicts, strict=True) if row["half"] == half]
    right = told.count((True, True))
    precision = right / (right + told.count((False, True)))
    recall = right / (right + told.count((True, False)))
    assert precision >= 0.97, precision
    assert recall >= 0.80, recall
