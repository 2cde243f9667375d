"""Chat: a question in, an answer with citations out, kept in its conversation.

With an LLM the answer is written from the passages that search finds; without one, or when it is away, it is put together
from their sentences.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from localmind.chat import extractive, overview, prompt, reasoning, rewriting
from localmind.chat.citations import CitedText
from localmind.chat.cleaning import cleaned
from localmind.chat.decomposition import Decomposition, Parts, together
from localmind.chat.events import Citations, Done, Event, Token
from localmind.chat.rewriting import Question
from localmind.errors import ConfigurationError, InvalidInput, LLMUnavailable, NotFound, Unavailable
from localmind.llm.metering import Spent
from localmind.llm.port import LLM, Turn
from localmind.llm.tokens import estimated_tokens
from localmind.model import Answer, ChunkId, Hit, Message, Mode, SearchResult, SourceId, TenantId, Usage
from localmind.retrieval.wholes import is_general

if TYPE_CHECKING:
    from localmind.chat.conversations import Conversations
    from localmind.embedding.port import Embedder
    from localmind.ingest.budget import Account
    from localmind.retrieval.themes import Theme

MAX_MESSAGE_CHARS = 10_000

WITH_NEIGHBOURS = 3
"""The best passages that an LLM reads together with what stands right before and after them. Three give 300 characters on either side
of the answer whole for 88 of 100 questions instead of 63, for 1,000 tokens; all eight for 92, for 2,900 (benchmarks/RETRIEVAL.md)."""

NOT_ANSWERED = "Your sources don't answer this question: ask it in other words, or add a document that covers it."
INTERRUPTED = "The language model stopped answering here; this is what the sources say:"

log = structlog.get_logger()


class Searches(Protocol):
    """What chat needs of retrieval."""

    def search(
        self,
        tenant: TenantId,
        query: str,
        *,
        mode: Mode = Mode.HYBRID,
        limit: int = 10,
        source_ids: Collection[SourceId] | None = None,
        tags: Collection[str] | None = None,
    ) -> SearchResult: ...

    def themes(
        self, tenant: TenantId, query: str, *, source_ids: Collection[SourceId] | None = None, tags: Collection[str] | None = None
    ) -> list[Theme]: ...

    def neighbours(self, tenant: TenantId, ids: Collection[ChunkId]) -> Mapping[ChunkId, Sequence[Hit]]: ...


class Purse(Protocol):
    """What a tenant may spend on an LLM."""

    def account(self, tenant: TenantId) -> Account: ...
    def allows(self, account: Account, expected: Spent) -> bool: ...
    def spend(self, tenant: TenantId, spent: Spent) -> float: ...


@dataclass(slots=True)
class _Draft:
    """An answer in the making."""

    text: CitedText
    usage: Usage
    degraded: set[str] = field(default_factory=set)


class Chat:
    def __init__(
        self,
        search: Searches,
        conversations: Conversations,
        embedder: Embedder,
        llm: LLM | None,
        *,
        context_tokens: int,
        passages: int = 8,
        budget: Purse | None = None,
        admit: Callable[[TenantId, str], None] = lambda *_: None,
        on_answer: Callable[[TenantId, str, str, Sequence[SourceId]], None] = lambda *_: None,
    ) -> None:
        """context_tokens: what the LLM can take in. passages: how many chunks an answer is made from, at most.

        budget: without one the LLM is free. admit: counts a message for its tenant, or refuses one that is too long for it.
        on_answer: told the question, the conversation's id and the cited sources of what was answered; must not block.
        """
        self._search = search
        self._conversations = conversations
        self._embedder = embedder
        self._llm = llm
        self._decomposition = Decomposition(llm)
        self._context_tokens = context_tokens
        self._limit = passages
        self._budget, self._admit = budget, admit
        self._on_answer = on_answer

    def answer(
        self,
        tenant: TenantId,
        message: str,
        *,
        conversation_id: str | None = None,
        mode: Mode | None = None,
        source_ids: Collection[SourceId] | None = None,
        tags: Collection[str] | None = None,
    ) -> Answer:
        """The whole answer. Raises InvalidInput, NotFound (the conversation), StoreUnavailable; never because the LLM is away.

        mode: without one, hybrid, or global for a question about the whole ("what are the main themes?") where there are themes.
        Without a conversation_id a conversation is begun. source_ids and tags restrict what the answer may come from.
        """
        events = self.stream(tenant, message, conversation_id=conversation_id, mode=mode, source_ids=source_ids, tags=tags)
        return next(event.answer for event in events if isinstance(event, Done))

    def stream(
        self,
        tenant: TenantId,
        message: str,
        *,
        conversation_id: str | None = None,
        mode: Mode | None = None,
        source_ids: Collection[SourceId] | None = None,
        tags: Collection[str] | None = None,
    ) -> Generator[Event]:
        """Tokens as they come, then Citations, then Done. A bad message or conversation is refused by the call itself.

        Question and answer are stored before Done, or when the generator is closed, with what was said by then: a door whose
        client has gone closes it.
        """
        question = self._checked(message)
        self._admit(tenant, question)
        history = self._conversations.get(tenant, conversation_id).messages if conversation_id is not None else ()

        def find(asked: Question) -> _Found:
            if mode is Mode.GLOBAL or (mode is None and is_general(asked.question)):
                themes = self._search.themes(tenant, asked.search, source_ids=source_ids, tags=tags)
                if themes or mode is Mode.GLOBAL:
                    return _Found(overview.passages(themes), themes, is_overview=True)
            chosen = mode or Mode.HYBRID
            found = self._search.search(tenant, asked.search, mode=chosen, limit=self._limit, source_ids=source_ids, tags=tags)
            return _Found(found.hits, degraded=found.degraded)

        return self._events(tenant, conversation_id, question, history, find)

    def _checked(self, message: str) -> str:
        question = cleaned(message).strip()
        if not question:
            raise InvalidInput("The message is empty.", hint="Ask a question about your documents.")
        if len(question) > MAX_MESSAGE_CHARS:
            raise InvalidInput(
                f"The message has {len(question):,} characters.",
                hint=f"Ask in at most {MAX_MESSAGE_CHARS:,}; longer texts can be added as a source and asked about.",
            )
        if self._llm is not None:
            prompt.build(question, (), (), context_tokens=self._context_tokens)
        return question

    def _events(
        self, tenant: TenantId, conversation_id: str | None, question: str, history: Sequence[Message], find: _Find
    ) -> Generator[Event]:
        started, asked_at = time.perf_counter(), datetime.now(UTC)
        llm = self._llm if self._may_ask(tenant) else None
        asked = rewriting.standalone(question, history, llm)
        self._pay(tenant, asked.usage)
        found = find(asked)
        parts = Parts() if llm is None or asked.degraded or found.is_overview else self._decomposition.parts_of(asked.search)
        self._pay(tenant, parts.usage)
        if parts.questions:
            found = found._replace(hits=together(found.hits, _found_for(parts, asked, find), limit=self._limit))
        if llm is not None and not asked.degraded and not found.is_overview:
            best = [hit.chunk_id for hit in found.hits[:WITH_NEIGHBOURS]]
            found = found._replace(neighbours=self._search.neighbours(tenant, best))
        degraded = {*found.degraded, *(("llm",) if asked.degraded else ()), *(("budget",) if llm is not self._llm else ())}
        draft = _Draft(CitedText(()), _sum(asked.usage, parts.usage), degraded)
        try:
            with closing(self._said(tenant, draft, llm, asked, found, history)) as pieces:
                for piece in pieces:
                    if piece:
                        yield Token(piece)
        except GeneratorExit:
            self._store(tenant, conversation_id, question, asked_at, draft)
            raise
        known = self._store(tenant, conversation_id, question, asked_at, draft)
        yield Citations(draft.text.citations)
        took_ms = (time.perf_counter() - started) * 1000
        yield Done(Answer(draft.text.text, draft.text.citations, known, draft.usage, took_ms, tuple(sorted(draft.degraded))))

    def _may_ask(self, tenant: TenantId) -> bool:
        """Whether the tenant's budget is not spent yet. An answer can overrun it by what it costs."""
        if self._llm is None or self._budget is None:
            return True
        return self._budget.allows(self._budget.account(tenant), Spent(1, 1, 0))

    def _pay(self, tenant: TenantId, usage: Usage) -> None:
        """At once, for each call: what is spent is written down, whatever becomes of the answer."""
        if self._budget is not None and usage != Usage():
            self._budget.spend(tenant, Spent(1, usage.prompt_tokens, usage.completion_tokens))

    def _said(
        self, tenant: TenantId, draft: _Draft, llm: LLM | None, asked: Question, found: _Found, history: Sequence[Message]
    ) -> Generator[str]:
        """The answer's pieces, by the LLM where there is one and it answers."""
        if found.hits and llm is not None and "llm" not in draft.degraded:
            yield from self._written(tenant, draft, llm, asked, found, history)
            if "llm" not in draft.degraded:
                return
        if draft.text.text.strip():
            yield draft.text.add_plain(f"\n\n{INTERRUPTED}\n\n")
        if found.is_overview:
            yield from overview.listed(draft.text, found.themes, asked.question)
            return
        yield from _extracted(draft, extractive.answer(asked.question, found.hits, self._embedder, query=asked.search))

    def _written(
        self, tenant: TenantId, draft: _Draft, llm: LLM, asked: Question, found: _Found, history: Sequence[Message]
    ) -> Iterator[str]:
        """What the LLM says. When it fails or says nothing, the draft is marked as degraded."""
        turns, passages, max_tokens = prompt.build(
            asked.question,
            found.hits,
            history,
            context_tokens=self._context_tokens,
            neighbours=found.neighbours,
            themes=overview.outline(found.themes),
        )
        draft.text = CitedText(passages)
        pieces = llm.stream(turns, max_tokens=max_tokens)
        usage = Usage()
        try:
            for piece in reasoning.left_out(pieces):
                if isinstance(piece, Usage):
                    usage = _sum(usage, piece)
                    draft.usage = _sum(draft.usage, piece)
                else:
                    yield draft.text.feed(piece)
            yield draft.text.finish()
        except (LLMUnavailable, ConfigurationError) as error:
            yield draft.text.finish()
            log.warning("llm_failed", during="answer", error_type=error.error_type)
            draft.degraded.add("llm")
        finally:
            if isinstance(pieces, Generator):
                pieces.close()
            # Cut off, or by a server that does not count: it was not free.
            self._pay(tenant, usage if usage != Usage() or not draft.text.text else _estimated(turns, draft.text.text))
        if not draft.text.text.strip():
            draft.degraded.add("llm")

    def _store(self, tenant: TenantId, conversation_id: str | None, question: str, asked_at: datetime, draft: _Draft) -> str:
        """Keep question and answer; returns the conversation's id."""
        said = Message("assistant", draft.text.text, datetime.now(UTC), draft.text.citations)
        try:
            known = self._conversations.record(tenant, conversation_id, question, [Message("user", question, asked_at), said])
        except NotFound:  # deleted while it was answered: its owner does not want it kept
            known = conversation_id or ""
        self._on_answer(tenant, question, known, [citation.source_id for citation in draft.text.citations])
        return known


class _Found(NamedTuple):
    """What an answer is made from. neighbours: of the best hits, for an LLM."""

    hits: Sequence[Hit]
    themes: Sequence[Theme] = ()
    degraded: tuple[str, ...] = ()
    is_overview: bool = False
    neighbours: Mapping[ChunkId, Sequence[Hit]] = MappingProxyType({})


_Find = Callable[[Question], _Found]


def _found_for(parts: Parts, asked: Question, find: _Find) -> list[Sequence[Hit]]:
    """What is found for each part; one that can't be searched for now is left out."""
    found: list[Sequence[Hit]] = []
    for question in parts.questions:
        with suppress(Unavailable):
            found.append(find(asked._replace(search=question)).hits)
    return found


def _extracted(draft: _Draft, statements: Sequence[extractive.Statement]) -> Iterator[str]:
    """Sentence by sentence, each with its citation; sources apart by an empty line."""
    if not statements:
        yield draft.text.add_plain(NOT_ANSWERED)
    before: extractive.Statement | None = None
    for statement in statements:
        same_paragraph = before is not None and not before.block and before.hit.source_id == statement.hit.source_id
        gap = "" if before is None else " " if same_paragraph else "\n\n"
        yield draft.text.add(gap + statement.text, statement.hit, statement.span)
        if statement.block:
            yield draft.text.add_plain(f"\n\n{statement.block}")
        before = statement


def _estimated(turns: Sequence[Turn], said: str) -> Usage:
    return Usage(sum(estimated_tokens(turn.content) for turn in turns), estimated_tokens(said))


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(one.prompt_tokens + other.prompt_tokens, one.completion_tokens + other.completion_tokens)
