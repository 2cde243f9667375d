"""The words of the field, as frozen dataclasses. This module imports nothing of ours and nothing heavy.

Offsets (`start`, `end`) count characters of a source's cleaned text, half open, so that `text[start:end]` is the piece.
Pages count from 1. Times are aware datetimes in UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NewType, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

TenantId = NewType("TenantId", str)
SourceId = NewType("SourceId", str)
ChunkId = NewType("ChunkId", str)
EntityId = NewType("EntityId", str)
CommunityId = NewType("CommunityId", str)
JobId = NewType("JobId", str)
BlobKey = NewType("BlobKey", str)

T = TypeVar("T")

PERSONAL = TenantId("personal")
"""The one tenant of a service without logins."""


# --- What a reader gives ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """A page's place in the text."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading, or a turn of a conversation, and where it begins. Level 1 is the outermost."""

    level: int
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """What a reader makes of a file.

    text: cleaned (no NUL, no lone surrogates, no U+FFFE; newlines are \\n).
    pages: empty where the format has none; otherwise in order, not overlapping.
    empty_pages: pages on which no text was found, OCR included. ocr_pages: pages whose text came from OCR.
    notes: sentences for the person who put the file in ("12 of 40 pages have no text: ...").
    """

    text: str
    media_type: str
    title: str | None = None
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    empty_pages: tuple[int, ...] = ()
    ocr_pages: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """One document inside a container file (a conversation of a ChatGPT export): it becomes a source of its own."""

    uri: str
    title: str
    media_type: str
    data: bytes


# --- Sources and chunks ----------------------------------------------------------------------------------------------


class SourceStatus(StrEnum):
    """What a person is told about a source; computed from the stores, never set by hand."""

    QUEUED = "queued"
    PROCESSING = "processing"
    READY = "ready"
    PARTIAL = "partial"
    FAILED = "failed"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Source:
    """A document that was put in. `version` 0 means that no version of it is searchable yet."""

    id: SourceId
    tenant: TenantId
    title: str
    kind: str
    media_type: str
    status: SourceStatus
    version: int
    created_at: datetime
    updated_at: datetime
    uri: str | None = None
    filename: str | None = None
    tags: tuple[str, ...] = ()
    parent_id: SourceId | None = None
    size_bytes: int = 0
    pages: int | None = None
    chars: int = 0
    chunks: int = 0
    vectors: int = 0
    entities: int = 0
    parts: int = 0
    job_id: JobId | None = None
    error: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


class ChunkKey(NamedTuple):
    """What an index knows of a chunk, whatever else it holds."""

    chunk_id: ChunkId
    source_id: SourceId


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a source's text: about 256 tokens of the embedding model, cut at headings, paragraphs, sentences.

    heading: the headings above it, outermost first, joined by " › "; "" where there are none.
    page: where it begins. breaks: where in its text each following page begins, in order; see page_at.
    """

    id: ChunkId
    source_id: SourceId
    ordinal: int
    text: str
    start: int
    end: int
    page: int | None = None
    heading: str = ""
    breaks: tuple[int, ...] = ()


def page_at(page: int | None, breaks: Sequence[int], offset: int) -> int | None:
    """The page of a character of a chunk's text, of a chunk that begins on `page`. A page without text has a break of its own."""
    return None if page is None else page + bisect_right(breaks, offset)


# --- Entities and relations ------------------------------------------------------------------------------------------

ENTITY_TYPES = ("person", "organisation", "place", "product", "technology", "concept", "event", "date", "document")
"""What an entity is taken for where one of them fits; other words are types too."""


ABOUT = 5.0
"""A mention of at least this weight says that the chunk is about the entity: its title or heading names it, or it opens with it."""

MOST_PASSING = 4.0
"""What mentions in passing weigh at most, however many."""


@dataclass(frozen=True, slots=True)
class ExtractedEntity:
    """An entity as one chunk names it. weight: how strongly it does, > 0 (times named, for one); ABOUT and more:
    it is what the chunk is about.

    start, end: where the chunk's text has it first, by its name or as the chunk calls it; None where that is not known.
    """

    name: str
    type: str = "concept"
    description: str = ""
    weight: float = 1.0
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class ExtractedRelation:
    """A relation between two names that both stand in the same extraction's entities."""

    source: str
    target: str
    type: str = "related"
    description: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extractor found in one chunk."""

    entities: tuple[ExtractedEntity, ...] = ()
    relations: tuple[ExtractedRelation, ...] = ()


@dataclass(frozen=True, slots=True)
class Entity:
    """A node of the graph. mentions: how many chunks name it."""

    id: EntityId
    name: str
    type: str
    description: str
    mentions: int


@dataclass(frozen=True, slots=True)
class Mention:
    """A chunk that names an entity. start, end: where in the source's text, and quote what stands there; None where nothing tells.

    description: what that chunk says of it, by an LLM; "" where none was asked.
    """

    chunk_id: ChunkId
    source_id: SourceId
    title: str
    page: int | None
    start: int | None
    end: int | None
    quote: str | None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """An edge of the graph, undirected in meaning. weight: summed over the chunks that say so."""

    source: EntityId
    target: EntityId
    type: str
    description: str
    weight: float


class CentralEntity(NamedTuple):
    """An entity of a community. weight: how central it is, of the first 1."""

    id: EntityId
    name: str
    weight: float


class Quote(NamedTuple):
    """A place in a chunk's text."""

    chunk_id: ChunkId
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Community:
    """Entities that belong together: a theme. level 0 is the coarsest; a finer one lies in its parent.

    size: entities in it. mentions: of all of these. entities: the most central, the first first. sources: what the summary stands on.
    made_by: the LLM and prompt that wrote title and summary; "" without one.
    """

    id: CommunityId
    level: int
    parent_id: CommunityId | None
    size: int
    mentions: int
    title: str
    summary: str
    entities: tuple[CentralEntity, ...]
    sources: tuple[Quote, ...]
    made_by: str
    updated_at: datetime


# --- Search and answers ----------------------------------------------------------------------------------------------


class Mode(StrEnum):
    HYBRID = "hybrid"
    VECTOR = "vector"
    TEXT = "text"
    GRAPH = "graph"
    GLOBAL = "global"
    """Questions about the whole, answered from the communities of the graph."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Restricts a search to some sources. An empty set matches nothing: filters guard access."""

    source_ids: frozenset[SourceId]


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """A chunk that an index found. Higher scores are better; scores of two indexes can't be compared."""

    chunk_id: ChunkId
    score: float


@dataclass(frozen=True, slots=True)
class Ranks:
    """A hit's place in each list, from 1; None where the list does not have it."""

    vector: int | None = None
    text: int | None = None
    graph: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that answers a query, with what a reader needs to open it.

    because: names of the entities that led to it through the graph, the strongest first.
    """

    chunk_id: ChunkId
    source_id: SourceId
    title: str
    text: str
    start: int
    end: int
    score: float
    ranks: Ranks
    page: int | None = None
    heading: str = ""
    uri: str | None = None
    breaks: tuple[int, ...] = ()
    because: tuple[str, ...] = ()

    @property
    def last_page(self) -> int | None:
        """The page on which it ends."""
        return None if self.page is None else self.page + len(self.breaks)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first. degraded: names of the indexes that could not be asked, "reranker" among them."""

    hits: tuple[Hit, ...]
    took_ms: float
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Citation:
    """A statement's evidence: `quote` stands verbatim at start:end of the source's text. n: the [n] of the answer."""

    n: int
    chunk_id: ChunkId
    source_id: SourceId
    title: str
    start: int
    end: int
    quote: str
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that an LLM call cost; zeros without an LLM."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    answer: str
    citations: tuple[Citation, ...]
    conversation_id: str
    usage: Usage
    took_ms: float
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a kept conversation. role: user or assistant."""

    role: str
    text: str
    created_at: datetime
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    title: str
    created_at: datetime
    updated_at: datetime
    messages: tuple[Message, ...] = ()


# --- Jobs ------------------------------------------------------------------------------------------------------------


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """The stages of an ingest, in order."""

    READ = "read"
    CHUNK = "chunk"
    EMBED = "embed"
    EXTRACT = "extract"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Job:
    """Work that was accepted. progress: 0 to 1. error: `{"type", "message", "hint", "stage", "retryable"}`.

    usage: what an LLM cost it, `{"calls", "prompt_tokens", "completion_tokens", "cost", "extracted", "cached"}`, the last two in
    chunks; None where none was asked.
    """

    id: JobId
    tenant: TenantId
    kind: str
    status: JobStatus
    created_at: datetime
    updated_at: datetime
    source_id: SourceId | None = None
    version: int = 0
    stage: str | None = None
    progress: float = 0.0
    error: Mapping[str, Any] | None = None
    usage: Mapping[str, Any] | None = None
    attempts: int = 0
    owner: str | None = None
    """The claim that has it while it runs: whoever works on it shows this to change it."""
    request_id: str | None = None
    """The request that queued it; None: no request did."""
    traceparent: str | None = None
    """That request's span, in W3C's words; of a job that a worker has, the span of its work. None: it is not traced."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a write: it is committed and survives a crash. duplicate: the same content was there already."""

    source_id: SourceId
    job_id: JobId | None
    status: str
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """One page of a list. next_cursor: opaque, None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None = None
