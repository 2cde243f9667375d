"""The evidence of an entity: which chunks name it, and where."""

from __future__ import annotations

from localmind.catalog.catalog import Catalog
from localmind.catalog.chunks import VisibleChunk
from localmind.extraction.evidence import place_of
from localmind.graph.naming import entity_key
from localmind.graph.port import Graph
from localmind.ids import text_hash
from localmind.ingest.enrich import unpack
from localmind.model import Entity, ExtractedEntity, Mention, TenantId, page_at


class Mentions:
    def __init__(self, catalog: Catalog, graph: Graph, *, llm_version: str | None) -> None:
        """llm_version: of the extractor whose kept answers tell more than the name; None: there is none."""
        self._catalog, self._graph, self._llm_version = catalog, graph, llm_version

    def of(self, tenant: TenantId, entity: Entity, *, limit: int) -> list[Mention]:
        """The strongest mentions first, of chunks that a search may show."""
        ids = self._graph.mentions(tenant, entity.id, limit=limit)
        shown = self._catalog.chunks.visible(tenant, ids)
        hashes = {id_: text_hash(shown[id_].chunk.text) for id_ in ids if id_ in shown}
        version = self._llm_version
        kept = {} if version is None else self._catalog.sources.extractions(tenant, version, list(hashes.values()))
        key = entity_key(entity.name)
        found: list[Mention] = []
        for id_, hash_ in hashes.items():
            said = unpack(kept[hash_]).entities if hash_ in kept else ()
            found.append(_mention(shown[id_], entity, next((each for each in said if entity_key(each.name) == key), None)))
        return found


def _mention(shown: VisibleChunk, entity: Entity, said: ExtractedEntity | None) -> Mention:
    chunk = shown.chunk
    place = (said.start, said.end) if said is not None and said.start is not None and said.end is not None else None
    place = place or place_of(chunk.text, entity.name)
    description = said.description if said is not None else ""
    if place is None:
        return Mention(chunk.id, chunk.source_id, shown.title, chunk.page, None, None, None, description)
    start, end = place
    page = page_at(chunk.page, chunk.breaks, start)
    return Mention(chunk.id, chunk.source_id, shown.title, page, chunk.start + start, chunk.start + end, chunk.text[start:end], description)
