"""Bodies of /api/v1/graph."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from apps.backend.schemas.common import Filled, Id, Reply, Request, Time


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


class AliasOut(Reply):
    """Another name of an entity."""

    name: str
    why: str = Field(description="abbreviation, name, context, llm or person.")
    by: str = Field(description="machine, or who merged it.")
    score: float = Field(description="How sure that was, from 0 to 1.")


class SourceOut(Reply):
    source_id: str
    chunk_id: str


class StatementOut(Reply):
    """A sentence of the description, and where documents say so."""

    text: str
    sources: list[SourceOut]


class EntityDetail(EntityOut):
    """A node with its other names. `description`: what documents say of it under all its names, each sentence once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "e5kq2m7xw3zz",
                    "name": "Message Queue",
                    "type": "technology",
                    "description": "Keeps messages until they are read.",
                    "mentions": 4,
                    "aliases": [{"name": "MQ", "why": "abbreviation", "by": "machine", "score": 1.0}],
                    "statements": [{"text": "Keeps messages until they are read.", "sources": [{"source_id": "s2b7", "chunk_id": "c9fw"}]}],
                }
            ]
        }
    )

    aliases: list[AliasOut] = Field(description="Other names that documents use; a search by one of them finds the entity.")
    statements: list[StatementOut] = Field(description="The description's sentences; empty where documents only name the entity.")


class MergeIn(Request):
    """Entities that are one thing."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": ["e5kq2m7xw3zz", "e7wn4r2kq9aa"], "into": "e5kq2m7xw3zz"}]})

    ids: list[Id] = Field(min_length=2, max_length=100, description="Two entities or more.")
    into: Id | None = Field(None, description="The one that stays; without it, the most mentioned one.")


class SplitIn(Request):
    """Names that mean something else."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "e5kq2m7xw3zz", "names": ["MQ"]}]})

    id: Id
    names: list[Filled] = Field(min_length=1, max_length=100, description="Of the entity's `aliases`, those that leave it.")


class EntitiesOut(Reply):
    """What there is now."""

    items: list[EntityDetail]
    pending: int = Field(description="Passages that a worker has yet to move to where they belong now; 0 when all is done.")


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


class CentralEntityOut(Reply):
    """weight: how central it is, of the first 1."""

    id: str
    name: str
    weight: float


class QuoteOut(Reply):
    """start:end of the chunk's text."""

    chunk_id: str
    start: int
    end: int


class CommunityOut(Reply):
    """Entities that belong together: a theme. `sources`: what the summary stands on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "k5wq2m7xw3zz",
                    "level": 0,
                    "parent_id": None,
                    "size": 12,
                    "mentions": 31,
                    "title": "Leek, Potato, Stock",
                    "summary": "Leeks and potatoes simmer in stock for 20 minutes.",
                    "entities": [{"id": "e5kq2m7xw3zz", "name": "Leek", "weight": 1.0}],
                    "sources": [{"chunk_id": "c4n2k6qzj7aa", "start": 0, "end": 50}],
                    "made_by": "",
                    "updated_at": "2025-01-31T09:30:00.000Z",
                }
            ]
        }
    )

    id: str
    level: int = Field(description="0 is the coarsest; a finer one lies in its parent.")
    parent_id: str | None
    size: int = Field(description="Entities in it, those of finer communities too.")
    mentions: int = Field(description="Of all its entities.")
    title: str
    summary: str
    entities: list[CentralEntityOut] = Field(description="The most central, the first first.")
    sources: list[QuoteOut]
    made_by: str = Field(description="The LLM and prompt that wrote title and summary; empty without one.")
    updated_at: Time


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
