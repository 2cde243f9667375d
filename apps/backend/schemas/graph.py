"""Bodies of /api/v1/graph."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from apps.backend.schemas.common import Filled, Reply, Request


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


class MentionOut(Reply):
    """A chunk that names an entity. `start` and `end` count in the source's text; null where the name stands otherwise."""

    chunk_id: str
    source_id: str
    title: str
    page: int | None
    start: int | None
    end: int | None
    quote: str | None = Field(description="What stands at start:end.")
    description: str = Field(description="What this chunk says of it, by an LLM.")


class Mentions(Reply):
    """Strongest first."""

    items: list[MentionOut]


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


class CypherIn(Request):
    """A query that only reads."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "query": "MATCH (e:Entity {tenant: $tenant}) WHERE e.mentions >= $least RETURN e.name, e.mentions LIMIT 10",
                    "parameters": {"least": 3},
                }
            ]
        }
    )

    query: Filled = Field(max_length=20_000, description="Cypher. $tenant is bound.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Values of its other parameters.")


class CypherOut(Reply):
    """As many values in a row as there are columns; nodes, relationships and paths are objects."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool = Field(description="There were more rows than are given.")
