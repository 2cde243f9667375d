"""The evidence of an entity: which chunks name it, and where."""

from __future__ import annotations

from collections.abc import Sequence

from localmind.catalog.catalog import Catalog
from localmind.catalog.chunks import VisibleChunk
from localmind.extraction.evidence import place_of
from localmind.graph.aliases import Aliases
from localmind.graph.merging import key_of
from localmind.graph.port import Graph
from localmind.ids import text_hash
from localmind.ingest.enrich import unpack
from localmind.model import Entity, ExtractedEntity, Mention, TenantId, page_at

NAMES_TRIED = 20


class Mentions:
    def __init__(self, catalog: Catalog, graph: Graph, aliases: Aliases, *, llm_version: str | None) -> None:
        """llm_version: of the extractor whose kept answers tell more than the name; None: there is none."""
        self._catalog, self._graph, self._aliases, self._llm_version = catalog, graph, aliases, llm_version

    def of(self, tenant: TenantId, entity: Entity, *, limit: int) -> list[Mention]:
        """The strongest mentions first, of chunks that a search may show."""
        ids = self._graph.mentions(tenant, entity.id, limit=limit)
        shown = self._catalog.chunks.visible(tenant, ids)
        hashes = {id_: text_hash(shown[id_].chunk.text) for id_ in ids if id_ in shown}
        version = self._llm_version
        kept = {} if version is None else self._catalog.extractions.kept(tenant, version, list(hashes.values()))
        key = key_of(entity.name)
        names = {key: entity.name} | {alias.key: alias.name for alias in self._aliases.in_use(tenant, key, limit=NAMES_TRIED)}
        found: list[Mention] = []
        for id_, hash_ in hashes.items():
            said = unpack(kept[hash_]).entities if hash_ in kept else ()
            found.append(_mention(shown[id_], list(names.values()), next((each for each in said if key_of(each.name) in names), None)))
        return found


def _mention(shown: VisibleChunk, names: Sequence[str], said: ExtractedEntity | None) -> Mention:
    chunk = shown.chunk
    place = (said.start, said.end) if said is not None and said.start is not None and said.end is not None else None
    place = place or next(filter(None, (place_of(chunk.text, name) for name in names)), None)
    description = said.description if said is not None else ""
    if place is None:
        return Mention(chunk.id, chunk.source_id, shown.title, chunk.page, None, None, None, description)
    start, end = place
    page = page_at(chunk.page, chunk.breaks, start)
    return Mention(chunk.id, chunk.source_id, shown.title, page, chunk.start + start, chunk.start + end, chunk.text[start:end], description)
