"""From an answer's [n] to the evidence: which passage, and which of its sentences.

The model numbers passages; the reader gets numbers in order of appearance, one for each piece of evidence. A number that
stands for no passage is dropped, from the text too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from localmind.chat import markers, sentences
from localmind.chat.terms import stems
from localmind.model import Citation, Hit, SourceId, page_at

MAX_QUOTED_PIECES = 3
MIN_GAIN = 0.15
"""A neighbouring sentence joins a quote when it covers this share more of the statement's words."""

CLAIM_CHARS = 1000
"""How far back a marker's statement is looked for."""


class Span(NamedTuple):
    """A place in a passage's text."""

    start: int
    end: int


def evidence(claim: str, text: str) -> Span:
    """The sentence or adjacent sentences of a passage that best support a statement; the whole passage where no word is shared."""
    pieces = [piece for piece in sentences.split(text) if piece.kind is not sentences.Kind.HEADING] or sentences.split(text)
    found = [stems(text[piece.start : piece.end]) for piece in pieces]
    wanted = stems(claim)
    frequency = Counter(stem for piece in found for stem in piece & wanted)
    if not frequency:
        return _trimmed(text)
    weight = {stem: math.log(1 + len(pieces) / count) * (2 if stem[:1].isdigit() else 1) for stem, count in frequency.items()}
    total = sum(weight.values())

    def covered(first: int, last: int) -> float:
        return sum(weight[stem] for stem in frozenset().union(*found[first : last + 1]) & wanted) / total

    first = last = max(range(len(pieces)), key=lambda n: (covered(n, n), -len(found[n])))
    while last - first + 1 < MAX_QUOTED_PIECES:
        now = covered(first, last)
        wider = [(a, b) for a, b in ((first, last + 1), (first - 1, last)) if a >= 0 and b < len(pieces)]
        best = max(wider, key=lambda window: covered(*window), default=None)
        if best is None or covered(*best) - now < MIN_GAIN:
            break
        first, last = best
    return Span(pieces[first].start, pieces[last].end)


def cite(n: int, hit: Hit, span: Span) -> Citation:
    return Citation(
        n=n,
        chunk_id=hit.chunk_id,
        source_id=hit.source_id,
        title=hit.title,
        start=hit.start + span.start,
        end=hit.start + span.end,
        quote=hit.text[span.start : span.end],
        page=page_at(hit.page, hit.breaks, span.start),
    )


class CitedText:
    """Passes an answer through as it comes, with checked and renumbered citations.

    The text that feed() and finish() give, joined, does not depend on how the answer was cut into pieces.
    """

    def __init__(self, passages: Sequence[Hit]) -> None:
        """passages: in the order of their numbers in the prompt, from 1."""
        self._passages = passages
        self._scanner = markers.Scanner()
        self._citations: dict[tuple[SourceId, int, int], Citation] = {}
        self._said = ""
        self._given = ""
        self._claim_from = 0
        self._claim = ""
        self._here: set[int] = set()  # numbers given since the last word

    @property
    def citations(self) -> tuple[Citation, ...]:
        """Those given out so far, by n."""
        return tuple(self._citations.values())

    @property
    def text(self) -> str:
        """Everything given out so far."""
        return self._given

    def feed(self, piece: str) -> str:
        """The text that is certain after this piece; "" while a marker may be in the making."""
        return "".join(map(self._passed, self._scanner.feed(piece)))

    def finish(self) -> str:
        return "".join(map(self._passed, self._scanner.finish()))

    def add(self, text: str, hit: Hit, span: Span) -> str:
        """A statement whose evidence is known, with its number behind it."""
        passed = f"{text} [{self._number(hit, span)}]"
        self._given += passed
        return passed

    def add_plain(self, text: str) -> str:
        """Words of our own, that no source stands behind."""
        self._given += text
        return text

    def _passed(self, item: markers.Text | markers.Marker) -> str:
        if isinstance(item, markers.Text):
            self._said += item.text
            self._here.clear()
            passed = item.text
        else:
            passed = self._cited(item) or markers.in_place_of_dropped(self._given)
        self._given += passed
        return passed

    def _cited(self, marker: markers.Marker) -> str:
        """The marker with its new numbers; "" where it has no number that stands for a passage."""
        known = [number for number in dict.fromkeys(marker.numbers) if 1 <= number <= len(self._passages)]
        if not known:
            return ""
        claim = self._statement()
        hits = [self._passages[number - 1] for number in known]
        numbers = dict.fromkeys(self._number(hit, evidence(claim, hit.text)) for hit in hits)
        new = [n for n in numbers if n not in self._here]
        self._here.update(new)
        return marker.space + "".join(f"[{n}]" for n in new) if new else ""

    def _number(self, hit: Hit, span: Span) -> int:
        """The same evidence cited again keeps its number, also where two chunks overlap."""
        key = (hit.source_id, hit.start + span.start, hit.start + span.end)
        if key not in self._citations:
            self._citations[key] = cite(len(self._citations) + 1, hit, span)
        return self._citations[key].n

    def _statement(self) -> str:
        """What the marker at this place stands behind: the sentence, or its part since the marker before."""
        since = self._said[self._claim_from :]
        if stems(since):
            pieces = sentences.split(self._said[-CLAIM_CHARS:])
            sentence = next((text for text in reversed([self._said[-CLAIM_CHARS:][p.start : p.end] for p in pieces]) if stems(text)), since)
            self._claim = since if len(stems(since)) > 1 and len(since) < len(sentence) else sentence
        self._claim_from = len(self._said)
        return self._claim


def _trimmed(text: str) -> Span:
    start = len(text) - len(text.lstrip())
    return Span(start, max(start, len(text.rstrip())))
