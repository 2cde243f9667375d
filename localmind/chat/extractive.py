"""Answers without a language model: the sentences of the passages that answer best, as they stand.

A sentence counts by what it shares with the question, in words and in meaning, and by where it stands. When nothing is
similar enough there is no answer, and the caller says so.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from localmind.chat import sentences
from localmind.chat.citations import Span
from localmind.chat.questions import Wanted, names, shape_of, wants
from localmind.chat.sentences import Kind, Sentence
from localmind.chat.terms import stems
from localmind.errors import Unavailable
from localmind.model import Hit

if TYPE_CHECKING:
    from localmind.embedding.port import Embedder

MAX_STATEMENTS = 4
MAX_CANDIDATES = 30
"""Sentences that are embedded, in one call."""

CONTEXT_SHARE = 0.5
"""What a question's word is worth when title or heading has it and the sentence has not."""

CARRIED_SHARE = 0.3
"""What a word is worth that an earlier turn adds to the question."""

MIN_RELATIVE = 0.78
MIN_RELATIVE_FACT = 0.85
"""A further sentence is kept when it scores this share of the best; a question for one fact wants fewer."""

SAME = 0.7
"""Share of common stems from which on two sentences say the same."""

MIN_SIMILARITY = 0.27
MIN_CONFIDENCE = 0.42

HEADING_SEPARATOR = " › "

LEAD_IN_CHARS = 450
BLOCK_CHARS = 900
BLOCK_PIECES = 8

_POINTS_BACK = re.compile(
    r"(?:it|its|they|their|he|his|she|her|this|these|those|such|however|also|instead|otherwise|then)\b", re.IGNORECASE
)


class Statement(NamedTuple):
    """One thing that the answer says. text: a sentence or two on one line. block: the code or list that it introduces, or ""."""

    text: str
    block: str
    hit: Hit
    span: Span


class Candidate(NamedTuple):
    """A sentence of a hit. context: title and headings above it. covered: share of the question's words, by weight, in [0, 1]."""

    rank: int
    hit: Hit
    pieces: Sequence[Sentence]
    at: int
    context: str
    stems: frozenset[str]
    covered: float

    @property
    def piece(self) -> Sentence:
        return self.pieces[self.at]

    @property
    def text(self) -> str:
        return sentences.display(self.hit.text[self.piece.start : self.piece.end], self.piece.kind)


class Scored(NamedTuple):
    candidate: Candidate
    similarity: float
    score: float


def answer(question: str, hits: Sequence[Hit], embedder: Embedder, *, query: str | None = None) -> list[Statement]:
    """One to four statements in reading order; [] where the hits don't answer the question.

    query: the question with the words that earlier turns add to it. They tell what it is about; what is asked, it says itself.
    """
    query = query or question
    shortlist = candidates(question, query, hits)
    scored = rank(wants(question), shortlist, _similarities({question, query}, shortlist, embedder))
    if not scored or not is_answered(query, hits, scored[0]):
        return []
    return [_statement(one.candidate) for one in in_reading_order(distinct(scored, wants(question)))]


def candidates(question: str, query: str, hits: Sequence[Hit]) -> list[Candidate]:
    """The sentences that share most words with question and query, at most MAX_CANDIDATES, best first."""
    found: dict[tuple[str, int, int], Candidate] = {}
    for rank_, hit in enumerate(hits):
        pieces = sentences.split(hit.text)
        heading = ""
        for at, piece in enumerate(pieces):
            raw = hit.text[piece.start : piece.end]
            if piece.kind is Kind.HEADING:
                heading = raw
                continue
            if at == len(pieces) - 1 and raw.endswith((":", "：")):
                continue  # what it introduces stands in another chunk
            above = (hit.title, *hit.heading.split(HEADING_SEPARATOR), heading)
            context = HEADING_SEPARATOR.join(dict.fromkeys(part for part in above if part))
            key = (hit.source_id, hit.start + piece.start, hit.start + piece.end)  # chunks overlap
            found.setdefault(key, Candidate(rank_, hit, pieces, at, context, stems(raw), 0.0))
    weight = _weights(stems(question), stems(query), [one.stems | stems(one.context) for one in found.values()])
    covered = [one._replace(covered=_covered(one, weight)) for one in found.values()]
    return sorted(covered, key=lambda one: (-one.covered + 0.02 * one.rank, one.rank, one.at))[:MAX_CANDIDATES]


def rank(wanted: Wanted, shortlist: Sequence[Candidate], similarities: Sequence[float]) -> list[Scored]:
    """Best first. similarities: cosine of question and sentence, in the shortlist's order."""
    scored = [Scored(one, similarity, similarity + _extra(one, wanted)) for one, similarity in zip(shortlist, similarities, strict=True)]
    return sorted(scored, key=lambda one: (-one.score, one.candidate.rank, one.candidate.at))


def _extra(one: Candidate, wanted: Wanted) -> float:
    """What words, rank and shape add to the likeness of a sentence."""
    return 0.45 * one.covered - 0.01 * one.rank + shape_of(one.text, one.piece.kind, wanted)


def is_answered(query: str, hits: Sequence[Hit], best: Scored) -> bool:
    """Whether the best sentence is about what was asked.

    Names that the question has and no hit has speak against it. Weights and bounds are for all-MiniLM-L6-v2, with 8 hits a question:
    of 100 HotpotQA questions over their passages all count as answered, of 30 questions about other things 1, and of 100 2Wiki
    questions, about films and people that these passages lack, 8.
    """
    asked = names(query)
    there = frozenset[str]().union(*(stems(hit.title) | stems(hit.heading) | stems(hit.text) for hit in hits))
    missing = len(asked - there) / len(asked) if asked else 0.0
    confidence = best.similarity + 0.2 * best.candidate.covered - 0.2 * missing
    return best.similarity >= MIN_SIMILARITY and confidence >= MIN_CONFIDENCE


def distinct(scored: Sequence[Scored], wanted: Wanted) -> list[Scored]:
    """The best, and of the others those near it that say something else."""
    share = MIN_RELATIVE if wanted in (Wanted.ANYTHING, Wanted.STEPS) else MIN_RELATIVE_FACT
    kept: list[Scored] = []
    for one in scored:
        if len(kept) == MAX_STATEMENTS or one.score < share * scored[0].score:
            break
        if not any(_says_the_same(one.candidate, other.candidate) for other in kept):
            kept.append(one)
    return kept


def in_reading_order(kept: Sequence[Scored]) -> list[Scored]:
    """Sources by their best sentence; within a source as the text goes."""
    first = {one.candidate.hit.source_id: n for n, one in reversed(list(enumerate(kept)))}
    return sorted(kept, key=lambda one: (first[one.candidate.hit.source_id], one.candidate.hit.start + one.candidate.piece.start))


def _similarities(queries: Collection[str], shortlist: Sequence[Candidate], embedder: Embedder) -> list[float]:
    """Cosines, the mean over the queries; words alone decide where the embedder is a server that is away."""
    if not shortlist:
        return []
    try:
        documents = embedder.embed_documents([f"{one.context}\n{one.text}" for one in shortlist])
        each = [documents @ embedder.embed_query(query) for query in queries]
        return [float(sum(values)) / len(values) for values in zip(*each, strict=True)]
    except Unavailable:
        return [one.covered for one in shortlist]


def _weights(asked: frozenset[str], all_asked: frozenset[str], texts: Sequence[frozenset[str]]) -> dict[str, float]:
    """How much a word tells: rare among the sentences is more. A word that none has counts like a rare one."""
    frequency = Counter(stem for text in texts for stem in text & all_asked)
    share = {stem: 1.0 if stem in asked else CARRIED_SHARE for stem in asked | all_asked}
    return {stem: share[stem] * math.log(1 + len(texts) / max(1, frequency[stem])) for stem in share}


def _covered(one: Candidate, weight: dict[str, float]) -> float:
    total = sum(weight.values())
    if not total:
        return 0.0
    context = stems(one.context)
    shares = (1.0 if stem in one.stems else CONTEXT_SHARE if stem in context else 0.0 for stem in weight)
    return sum(share * value for share, value in zip(shares, weight.values(), strict=True)) / total


def _says_the_same(one: Candidate, other: Candidate) -> bool:
    if one.hit.source_id == other.hit.source_id:
        a, b = _span(one), _span(other)
        offset = one.hit.start - other.hit.start
        if a.start + offset < b.end and b.start < a.end + offset:
            return True
    smaller = min(len(one.stems), len(other.stems))
    return smaller > 0 and len(one.stems & other.stems) / smaller >= SAME


def _statement(one: Candidate) -> Statement:
    first, last = _extent(one)
    quoted = one.pieces[first : last + 1]
    lead = [piece for piece in quoted[: one.at - first + 1] if piece.kind is not Kind.CODE]
    block = quoted[len(lead) :]
    text = " ".join(_shown(one.hit, piece) for piece in lead) or f"{one.context.rpartition(HEADING_SEPARATOR)[2].rstrip('?!.:')}:"
    return Statement(text, _shown_block(one.hit, block), one.hit, _span(one))


def _shown(hit: Hit, piece: Sentence) -> str:
    return sentences.display(hit.text[piece.start : piece.end], piece.kind)


def _shown_block(hit: Hit, pieces: Sequence[Sentence]) -> str:
    """Code in fences that it can't close, or a list, in Markdown; "" for nothing."""
    if pieces and pieces[0].kind is Kind.CODE:
        code = _shown(hit, pieces[0])
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", code)), default=0))
        return f"{fence}\n{code}\n{fence}"
    return "\n".join(f"- {_shown(hit, piece)}" for piece in pieces)


def _span(one: Candidate) -> Span:
    first, last = _extent(one)
    return Span(one.pieces[first].start, one.pieces[last].end)


def _extent(one: Candidate) -> tuple[int, int]:
    """The first and last piece to quote: with the sentence before where it is needed, with the list or code that follows."""
    first = last = one.at
    pieces, text = one.pieces, one.hit.text
    before = pieces[first - 1] if first else None
    if before and _belongs_to(before, one, text):
        first -= 1
    introduces = text[one.piece.end - 1] in ":："
    while last + 1 < len(pieces) and last - one.at < BLOCK_PIECES and pieces[last + 1].end - one.piece.end <= BLOCK_CHARS:
        following = pieces[last + 1]
        if following.kind is Kind.CODE and last == one.at and one.piece.kind is not Kind.CODE:
            last += 1
            break
        if not introduces or following.kind not in (Kind.ITEM, Kind.ROW):
            break
        last += 1
    return first, last


def _belongs_to(before: Sentence, one: Candidate, text: str) -> bool:
    """Whether a sentence makes no sense without the one before: code without its lead, "This ..." without what it points back to."""
    if one.piece.end - before.start > LEAD_IN_CHARS or before.kind not in (Kind.PROSE, Kind.ITEM):
        return False
    return one.piece.kind is Kind.CODE or (before.paragraph == one.piece.paragraph and bool(_POINTS_BACK.match(text, one.piece.start)))
