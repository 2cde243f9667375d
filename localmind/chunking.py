"""Cuts a document into chunks for the embedder: full ones, at good places, and the same ones again after an edit elsewhere.

A chunk's id comes from its text, so an edit costs as many chunks as it changes. Therefore no cut is chosen by counting from the
document's start. A stretch that is too long is cut at the best boundary inside it, ties decided by a hash of the words around
it, and then its two sides in turn: a cut depends only on its surroundings up to the next better cut on either side.
"""

from __future__ import annotations

import heapq
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from localmind.boilerplate import Boilerplate
from localmind.boundaries import Strength, boundaries, fingerprint, priority
from localmind.ids import stable_id, text_hash
from localmind.model import Chunk, ChunkId, Document, Heading, SourceId, TenantId

if TYPE_CHECKING:
    from localmind.embedding.port import Tokenizer

SPECIAL_TOKENS = 2
CRUMB = " › "
CRUMB_CHARS, HEADING_CHARS, TITLE_CHARS = 60, 160, 80
"""Bounds on one heading, on the headings of a chunk together, and on the title: a chunk's own words must have room."""

REGION_CHARS = 1_000_000
"""At most so much is in work at once. Regions end at paragraphs picked by hash, about one in 256; this is for texts without any."""

CHARS_PER_TOKEN = 16
"""A token counts for at least so many characters, or a megabyte of spaces would be a small chunk."""

_PARAGRAPH_END = re.compile(r"\n[ \t\r\f]*\n\s*|(?<=[.!?。！？])\n")

_LEAST_SHARE = {Strength.PARAGRAPH: 0.4, **dict.fromkeys(range(Strength.HEADING, Strength.HEADING + 5), 0.25), Strength.HEADING + 5: 0.1}
"""How full, as a share of a full chunk, both sides of a cut must be at least, so that slivers stay with their neighbours; 0.5
for what is not named. A heading is worth a smaller chunk, one of level 1 a very small one."""

_TWO_CHUNKS = 1.8
"""A stretch of up to so many full chunks is cut where both sides become chunks. At 2.0 there would seldom be such a place."""


def chunk(
    document: Document,
    tokenizer: Tokenizer,
    *,
    source_id: SourceId,
    tenant: TenantId,
    title: str,
    max_tokens: int,
    overlap_tokens: int,
) -> Iterator[Chunk]:
    """Chunks in the text's order, as they are cut; linear in the text, holding about REGION_CHARS of it in pieces.

    embedding_text(title, heading, text) of each has at most max_tokens tokens, special ones counted (title and headings are
    bounded in characters; they can break that only where max_tokens is under 256). Everything but white space and boilerplate is in
    at least one. A chunk repeats up to overlap_tokens of the one before, in whole sentences, where it has room and begins inside a
    section. A chunk's id stays when text changes elsewhere, above it too.
    """
    boilerplate = Boilerplate(document)
    pages = [page.start for page in document.pages]
    equal: Counter[str] = Counter()
    ordinal = 0
    for start, end, heading in _cut(document, tokenizer, title, max_tokens, overlap_tokens):
        text = document.text[start:end]
        if boilerplate.fills(text):
            continue
        embedded = embedding_text(title, heading, text)
        key = text_hash(embedded)
        page = document.pages[max(0, bisect_right(pages, start) - 1)].number if pages else None
        chunk_id = ChunkId(stable_id("chunk", tenant, source_id, embedded, equal[key]))
        equal[key] += 1
        breaks = tuple(at - start for at in pages[bisect_right(pages, start) : bisect_left(pages, end)])
        yield Chunk(chunk_id, source_id, ordinal, text, start, end, page, heading, breaks)
        ordinal += 1


def embedding_text(title: str, heading: str, text: str) -> str:
    """What the embedder is given for a chunk: title and headings first, each said once."""
    title = _shortened(title, TITLE_CHARS)
    crumbs = heading.split(CRUMB) if heading else []
    if crumbs and crumbs[0] == title:
        del crumbs[0]
    if crumbs and text.startswith(crumbs[-1]):
        del crumbs[-1]
    prefix = CRUMB.join([title, *crumbs] if title else crumbs)
    return f"{prefix}\n{text}" if prefix else text


class _Span(NamedTuple):
    start: int
    end: int
    heading: str


def _cut(document: Document, tokenizer: Tokenizer, title: str, max_tokens: int, overlap_tokens: int) -> Iterator[_Span]:
    text = document.text
    outline = _Outline(document.headings, len(text))

    @lru_cache(maxsize=1024)
    def capacity(heading: str) -> int:
        """Tokens left for a chunk's own text; at least half of all, for a setting that leaves a long title no room."""
        prefix = len(tokenizer.spans(embedding_text(title, heading, "")))
        return max(max_tokens - SPECIAL_TOKENS - prefix, max_tokens // 2)

    for start, end in _regions(text, outline):
        region = _Region(text, start, end, outline, tokenizer)
        capacities = [capacity(outline.heading(position, position)) for position in region.positions[:-1]]
        before = 0
        for low, high in region.split(capacities):
            begin = region.with_overlap(low, before, min(overlap_tokens, capacities[low] - region.size(low, high)))
            first, last = _stripped(text, region.positions[begin], region.positions[high])
            if first < last:
                yield _Span(first, last, outline.heading(first, last - 1))
            before = low


class _Outline:
    """Which headings stand above a place."""

    def __init__(self, headings: Sequence[Heading], length: int) -> None:
        kept = {heading.start: heading for heading in headings if 0 <= heading.start < length and heading.text.strip()}
        self.headings = [kept[start] for start in sorted(kept)]
        self.starts = [heading.start for heading in self.headings]
        self._paths: list[tuple[str, ...]] = [()]
        open_: list[Heading] = []
        for heading in self.headings:
            while open_ and open_[-1].level >= heading.level:
                open_.pop()
            open_.append(heading)
            self._paths.append(_path(open_))

    def within(self, start: int, end: int) -> list[Heading]:
        return self.headings[bisect_left(self.starts, start) : bisect_left(self.starts, end)]

    def heading(self, first: int, last: int) -> str:
        """The headings that stand above everything from first to last, outermost first."""
        low, high = bisect_right(self.starts, first), bisect_right(self.starts, last)
        shared = self._paths[low]
        for path in self._paths[low + 1 : high + 1]:
            shared = tuple(ours for ours, theirs in zip(shared, path, strict=False) if ours == theirs)
        return CRUMB.join(shared)


class _Region:
    """A stretch of text in pieces between boundaries, with the tokens of each."""

    def __init__(self, text: str, start: int, end: int, outline: _Outline, tokenizer: Tokenizer) -> None:
        found = boundaries(text, start, end, outline.within(start, end))
        self.positions = [*(boundary.position for boundary in found), end]
        self._strengths = [int(boundary.strength) for boundary in found]
        self._priorities = [priority(text, boundary.position) for boundary in found]
        self._of_strength: dict[int, list[int]] = {}
        for piece, strength in enumerate(self._strengths):
            self._of_strength.setdefault(strength, []).append(piece)
        self._order = sorted(self._of_strength, reverse=True)
        edges = list(zip(self.positions, self.positions[1:], strict=False))
        tokens = tokenizer.spans_batch([text[low:high] for low, high in edges])
        sizes = (max(len(spans), (high - low) // CHARS_PER_TOKEN) for spans, (low, high) in zip(tokens, edges, strict=True))
        self._sums = list(accumulate(sizes, initial=0))

    def size(self, low: int, high: int) -> int:
        """Tokens of pieces low to high; no less than they have together, since pieces end where tokens do."""
        return self._sums[high] - self._sums[low]

    def split(self, capacities: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Runs of pieces, in order, each within the capacity of its first piece (unless it is one piece)."""
        stack = [(0, len(capacities))]
        while stack:
            low, high = stack.pop()
            if high - low == 1 or self.size(low, high) <= capacities[low]:
                yield low, high
            else:
                middle = self._best(low, high, capacities[low])
                stack += [(middle, high), (low, middle)]

    def with_overlap(self, low: int, before: int, room: int) -> int:
        """Where a run that begins at `low` shall begin, to repeat whole sentences of at most `room` tokens of the one before."""
        begin = low
        if self._strengths[low] < Strength.HEADING:
            for piece in range(low - 1, before, -1):
                if self.size(piece, low) > room or self._strengths[piece] >= Strength.HEADING:
                    break
                if self._strengths[piece] >= Strength.SENTENCE:
                    begin = piece
        return begin

    def _best(self, low: int, high: int, full: int) -> int:
        """The strongest boundary that leaves enough on both sides; among equals the first in priority, then the evenest."""
        start, end = self._sums[low], self._sums[high]
        total = end - start
        for strength in self._order:
            least = _LEAST_SHARE.get(strength, 0.5) * min(full, total / 2)
            if total <= _TWO_CHUNKS * full:
                least = max(least, total - full)
            first = bisect_left(self._sums, start + least, low + 1, high)
            last = bisect_right(self._sums, end - least, low + 1, high)
            pieces = self._of_strength[strength]
            found = pieces[bisect_left(pieces, first) : bisect_left(pieces, last)]
            if found:
                top = max(self._priorities[piece] for piece in found)
                return self._evenest([piece for piece in found if self._priorities[piece] == top], start + end)
        return self._evenest(range(low + 1, high), start + end)

    def _evenest(self, pieces: Sequence[int], twice_middle: int) -> int:
        return min(pieces, key=lambda piece: abs(2 * self._sums[piece] - twice_middle))


def _regions(text: str, outline: _Outline) -> Iterator[tuple[int, int]]:
    """Stretches of the text that are cut on their own, about 50 to 100 kB, ended by hash at headings and paragraphs."""
    start = 0
    ends = (match.end() for match in _PARAGRAPH_END.finditer(text))
    for position in heapq.merge(ends, outline.starts, [len(text)]):
        if position < len(text) and fingerprint(text, position) % 256:
            continue
        while position - start > REGION_CHARS:
            limit = start + REGION_CHARS
            space = max(text.rfind(" ", start, limit), text.rfind("\n", start, limit))
            end = space + 1 if space > start else limit
            yield start, end
            start = end
        if position > start:
            yield start, position
            start = position


def _path(headings: Sequence[Heading]) -> tuple[str, ...]:
    """Their texts, without the outermost ones where all together are too long."""
    crumbs = tuple(_shortened(heading.text, CRUMB_CHARS) for heading in headings[-6:])
    while len(CRUMB.join(crumbs)) > HEADING_CHARS:
        crumbs = crumbs[1:]
    return crumbs


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _shortened(text: str, limit: int) -> str:
    words = " ".join(text.split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"
