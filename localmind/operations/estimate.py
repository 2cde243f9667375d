"""What files would cost an LLM, before it is asked anything: they are read and cut as an ingest does, and nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from localmind.chunking import chunk
from localmind.communities import summarising
from localmind.errors import LocalMindError
from localmind.extraction.port import PaidExtractor, Passage
from localmind.ingest import judging
from localmind.llm.metering import Prices, Spent
from localmind.model import PERSONAL, Document, SourceId
from localmind.readers.sandbox import Readers, read_text

if TYPE_CHECKING:
    from localmind.embedding.port import Tokenizer

BATCH_CHUNKS = 64


CHUNKS_A_THEME = 3
"""One theme that is large enough for the LLM to so many chunks: 327 in the 994 passages of HotpotQA, with the keyphrases for entities."""

CHUNKS_A_CALL = 50
"""The same of calls about names that may mean the same: 11 there, with 13 pairs in all; taken to be twice as many, and full."""

PAIR_TOKENS = 200
"""Two names with their descriptions and neighbours."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the documents of some files come to. failed: files that can't be read, with the reason.

    spent: on the entities of the chunks. later: what the words for themes, and the question whether two names mean the same, may come
    to beside it, by the measure of other documents: nobody knows the themes and names of these before.
    """

    documents: int
    chunks: int
    spent: Spent
    cost: float
    later: Spent
    later_cost: float
    failed: tuple[tuple[str, str], ...] = ()


def estimate(
    paths: Sequence[Path],
    readers: Readers,
    tokenizer: Tokenizer,
    extractor: PaidExtractor,
    prices: Prices,
    *,
    chunk_tokens: int,
    overlap_tokens: int,
    report: Callable[[int, int], None],
) -> Estimate:
    """As if nothing were cached. Tokens of prompts are counted in the chunks' tokenizer, those of answers are expected ones."""
    documents = chunks = 0
    spent = Spent()
    failed: list[tuple[str, str]] = []
    for done, path in enumerate(paths, start=1):
        try:
            for title, document in _documents(readers, path):
                documents += 1
                cut = _passages(title, document, tokenizer, chunk_tokens, overlap_tokens)
                while batch := list(islice(cut, BATCH_CHUNKS)):
                    chunks += len(batch)
                    spent = spent.plus(extractor.estimate(batch, lambda text: len(tokenizer.spans(text))))
        except LocalMindError as error:
            failed.append((str(path), error.message))
        report(done, len(paths))
    later = _later(chunks)
    return Estimate(documents, chunks, spent, prices.of(spent), later, prices.of(later), tuple(failed))


def _later(chunks: int) -> Spent:
    themes, calls = -(-chunks // CHUNKS_A_THEME), -(-chunks // CHUNKS_A_CALL)
    of_themes = Spent(themes, themes * summarising.PROMPT_TOKENS, themes * summarising.MAX_TOKENS)
    pairs = calls * judging.PAIRS_A_CALL
    return of_themes.plus(Spent(calls, pairs * PAIR_TOKENS, pairs * judging.ANSWER_TOKENS_A_PAIR))


def _passages(title: str, document: Document, tokenizer: Tokenizer, most: int, overlap: int) -> Iterator[Passage]:
    cut = chunk(document, tokenizer, source_id=SourceId("estimate"), tenant=PERSONAL, title=title, max_tokens=most, overlap_tokens=overlap)
    return (Passage(title, item.heading, item.text) for item in cut)


def _documents(readers: Readers, path: Path) -> Iterator[tuple[str, Document]]:
    """Title and document of the file, or of each document in it."""
    parts = readers.parts(path, filename=path.name)
    if parts is None:
        document = readers.read(path, filename=path.name)
        yield document.title or path.stem, document
        return
    for part in parts:
        yield part.title, read_text(part.data.decode("utf-8", "replace"))
