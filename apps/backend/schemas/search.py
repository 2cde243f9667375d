"""Bodies of /api/v1/search and /api/v1/chat."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from apps.backend.schemas.common import Filled, Id, NoBool, Reply, Request, Tag
from localmind.model import Answer, Citation, Mode, SearchResult

SourceIds = Annotated[list[Id], Field(max_length=1000, description="Only these sources; an empty list finds nothing.")]
SomeTags = Annotated[list[Tag], Field(max_length=50, description="Only sources with one of these tags.")]


class SearchIn(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "how long does the soup simmer", "mode": "hybrid", "limit": 5}]})

    query: Annotated[Filled, Field(max_length=4000)]
    mode: Mode = Mode.HYBRID
    limit: Annotated[int, Field(ge=1, le=100), NoBool] = 10
    source_ids: SourceIds | None = None
    tags: SomeTags | None = None


class RanksOut(Reply):
    """The place in each list, from 1; null where the list doesn't have it."""

    vector: int | None
    text: int | None
    graph: int | None


class HitOut(Reply):
    chunk_id: str
    source_id: str
    title: str
    text: str
    page: int | None = Field(description="Where it begins.")
    last_page: int | None = Field(description="Where it ends.")
    start: int
    end: int
    score: float
    ranks: RanksOut
    heading: str
    uri: str | None
    because: list[str] = Field(description="Names of the entities that led to it through the graph, at most five, the strongest first.")


class SearchOut(Reply):
    """Hits, best first. `degraded`: indexes that could not be asked, and `reranker`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "hits": [
                        {
                            "chunk_id": "c4n2k6qzj7aa",
                            "source_id": "mq3w5k7yhzj2",
                            "title": "Soup",
                            "text": "Leeks, potatoes, stock. Simmer for 20 minutes.",
                            "page": None,
                            "last_page": None,
                            "start": 0,
                            "end": 46,
                            "score": 0.0492,
                            "ranks": {"vector": 1, "text": 1, "graph": None},
                            "heading": "",
                            "uri": None,
                            "because": ["leek soup"],
                        }
                    ],
                    "took_ms": 11.2,
                    "degraded": [],
                }
            ]
        }
    )

    hits: list[HitOut]
    took_ms: float
    degraded: list[str]

    @classmethod
    def of(cls, result: SearchResult) -> SearchOut:
        return cls.model_validate(result)


class ChatIn(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"message": "How long does the soup simmer?"}]})

    message: Annotated[Filled, Field(max_length=10_000)]
    conversation_id: Id | None = None
    mode: Mode | None = Field(None, description="Without one: global for a question about the whole, else hybrid.")
    source_ids: SourceIds | None = None
    tags: SomeTags | None = None


class CitationOut(Reply):
    """`quote` stands verbatim at start:end of the source's text."""

    n: int
    chunk_id: str
    source_id: str
    title: str
    page: int | None
    start: int
    end: int
    quote: str

    @classmethod
    def of(cls, citation: Citation) -> CitationOut:
        return cls.model_validate(citation)


class UsageOut(Reply):
    prompt_tokens: int
    completion_tokens: int


class ChatOut(Reply):
    """An answer with its evidence. `degraded`: indexes that could not be asked, `reranker`, `llm`, and `budget` where that is spent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "answer": "It simmers for 20 minutes [1].",
                    "citations": [
                        {
                            "n": 1,
                            "chunk_id": "c4n2k6qzj7aa",
                            "source_id": "mq3w5k7yhzj2",
                            "title": "Soup",
                            "page": None,
                            "start": 24,
                            "end": 46,
                            "quote": "Simmer for 20 minutes.",
                        }
                    ],
                    "conversation_id": "0197a1b2c3d47e5f8a9b0c1d2e3f4a5b",
                    "usage": {"prompt_tokens": 0, "completion_tokens": 0},
                    "took_ms": 20.5,
                    "degraded": [],
                }
            ]
        }
    )

    answer: str
    citations: list[CitationOut]
    conversation_id: str
    usage: UsageOut
    took_ms: float
    degraded: list[str]

    @classmethod
    def of(cls, answer: Answer) -> ChatOut:
        return cls.model_validate(answer)


class TokenEvent(Reply):
    """A piece of the answer's text."""

    text: str


class CitationsEvent(Reply):
    citations: list[CitationOut]
