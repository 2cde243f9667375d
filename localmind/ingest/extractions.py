"""What a chunk says of entities, from the catalog: by the extractor without an LLM, and an LLM's cached answer where there is one."""

from __future__ import annotations

from collections.abc import Sequence

from localmind.catalog.catalog import Catalog
from localmind.extraction.joined import joined
from localmind.extraction.port import Extractor, Passage
from localmind.graph.port import ChunkExtraction
from localmind.ids import text_hash
from localmind.ingest.enrich import unpack
from localmind.model import Chunk, ChunkId, Extraction, TenantId


class Extractions:
    """extractor: the one without an LLM; llm_version: whose cached answers join its own."""

    def __init__(self, catalog: Catalog, extractor: Extractor, *, llm_version: str | None) -> None:
        self._catalog, self._extractor, self.llm_version = catalog, extractor, llm_version

    def of(self, tenant: TenantId, batch: Sequence[tuple[Chunk, str]]) -> list[Extraction]:
        """Of chunks with their sources' titles, in order."""
        passages = [Passage(title, chunk.heading, chunk.text) for chunk, title in batch]
        results = self._extractor.extract(passages)
        found = [result.extraction for result in results]
        if self.llm_version is None:
            return found
        hashes = [text_hash(chunk.text) for chunk, _ in batch]
        cached = self._catalog.extractions.kept(tenant, self.llm_version, hashes)
        return [joined(unpack(cached[key]), each) if key in cached else each for key, each in zip(hashes, found, strict=True)]

    def said(self, tenant: TenantId, ids: Sequence[ChunkId]) -> list[ChunkExtraction]:
        """As a graph is told it, of those of the chunks that are there."""
        batch = self._catalog.chunks.get(tenant, ids)
        found = zip(batch, self.of(tenant, batch), strict=True)
        return [ChunkExtraction(chunk.source_id, chunk.id, each, chunk.text) for (chunk, _), each in found]
