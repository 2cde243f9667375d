"""Bodies of /api/v1/graph."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from apps.backend.schemas.common import Reply


class EntityOut(Reply):
    """A node. `mentions`: how many chunks name it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "e5kq2m7xw3zz", "name": "Leek", "type": "concept", "description": "", "mentions": 4}]}
    )

    id: str
    name: str
    type: str
    description: str
    mentions: int


class RelationOut(Reply):
    """An edge between two entities' ids, undirected in meaning."""

    source: str
    target: str
    type: str
    description: str
    weight: float = Field(description="Summed over the chunks that say so.")


class NeighborOut(Reply):
    entity: EntityOut
    relation: RelationOut


class Neighbors(Reply):
    """Heaviest relation first."""

    items: list[NeighborOut]


class SubgraphOut(Reply):
    entities: list[EntityOut]
    relations: list[RelationOut]
