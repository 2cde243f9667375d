"""Cuts a chunk's text into the pieces that an answer can quote: sentences, list items, table rows, code blocks.

Made for text out of PDFs and office files as well as Markdown: lines break inside sentences, lists have no full stops.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from localmind.chat import markers

MAX_CHARS = 600
"""A piece without an end that is longer (tables, lists out of PDFs) is cut at a line or a word."""

HEADING_CHARS = 90
SHORT_LINE_CHARS = 60
"""A line of a list that is shorter was not broken for want of room."""


class Kind(Enum):
    PROSE = "prose"
    ITEM = "item"
    HEADING = "heading"
    CODE = "code"
    ROW = "row"


class Sentence(NamedTuple):
    """text[start:end] without white space around it; of a list item without its bullet."""

    start: int
    end: int
    kind: Kind
    paragraph: int
    """Pieces of one paragraph or list share this number."""


class _Line(NamedTuple):
    start: int
    end: int
    text: str


class _Block(NamedTuple):
    """Lines that belong together: from a character on, up to the line `stop`; the next block begins at the line `after`.

    kind: None where there is nothing to quote.
    """

    kind: Kind | None
    start: int
    stop: int
    after: int


_LINE = re.compile(r"[^\n]*\n|[^\n]+$")
_FENCE = re.compile(r"\s*(```|~~~)")
_BULLET = re.compile(r"\s*(?:[-*+•‣◦▪●○–—]|\(?\d{1,3}[.)]|\(?[a-zA-Z]\))\s+(?=\S)")
_HASHES = re.compile(r"\s{0,3}#{1,6}\s+")
_NUMBERED = re.compile(r"\s*(?:\d{1,2}(?:\.\d{1,3})+\.?|chapter \d+|appendix [a-z])\s+\S", re.IGNORECASE)
_RULE = re.compile(r"\s*([-=*_|:+]\s*){3,}$")
_CODE_INDENT = re.compile(r"(?: {4}|\t)\s*\S")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*\)")
_QUOTED = re.compile(r"^\s{0,3}(?:>\s?)+", re.MULTILINE)
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?:\[\d{1,3}\])*(?=\s)|[。！？]+[」』”）]*")
_LAST_WORD = re.compile(r"[\w.]*$")
_ABBREVIATIONS = "mr mrs ms dr prof st mt jr sr vs cf al ca approx dept est e.g i.e u.s u.k u.n a.m p.m ph.d inc ltd co corp vol"
_BEFORE_NUMBERS = "no nos fig figs sec eq ch p pp vol art ver nr"
_ABBREVIATION = frozenset(_ABBREVIATIONS.split())
_BEFORE_NUMBER = frozenset(_BEFORE_NUMBERS.split())
_STARTERS = re.compile(r"\s+(?:The|It|In|He|She|This|They|We|A|An|At|On|For|But|However|After|When)\b")


def split(text: str) -> list[Sentence]:
    """The pieces of a text in its order; headings among them, so that a reader can tell what stands below which."""
    pieces: list[Sentence] = []
    for number, (kind, start, end) in enumerate(_blocks(text)):
        if kind in (Kind.PROSE, Kind.ITEM):
            pieces += (Sentence(a, b, kind, number) for a, b in _sentences(text, start, end))
        else:
            pieces += (Sentence(a, b, kind, number) for a, b in _trimmed(text, start, end))
    return pieces


def display(text: str, kind: Kind) -> str:
    """A piece as it reads in an answer: one line, without the reference numbers and links of the source. Code stays as it is."""
    if kind is Kind.CODE:
        return text
    if kind is Kind.ROW:
        text = " · ".join(cell.strip() for cell in text.strip().strip("|").split("|"))
    text = _LINK.sub(r"\1", _QUOTED.sub("", text))
    joined = re.sub(r"(?<=\w)-[ \t]*\n\s*(?=\w)", "-", text)
    return re.sub(r"\s+", " ", markers.disarmed(joined)).strip()


def _blocks(text: str) -> Iterator[tuple[Kind, int, int]]:
    """Runs of lines that belong together."""
    lines = [_Line(match.start(), match.end(), match.group().rstrip("\n")) for match in _LINE.finditer(text)]
    at = _code_at_the_beginning(lines)
    if at:
        yield Kind.CODE, 0, lines[at - 2].end
    while at < len(lines):
        block = _fenced(lines, at) if _FENCE.match(lines[at].text) else _block(lines, at)
        if block.kind is not None:
            yield block.kind, block.start, lines[block.stop - 1].end
        at = block.after


def _block(lines: list[_Line], at: int) -> _Block:
    line = lines[at]
    if not line.text.strip() or _RULE.match(line.text):
        return _Block(None, line.start, at + 1, at + 1)
    if bullet := _BULLET.match(line.text):
        stop = _item_end(lines, at + 1)
        return _Block(Kind.ITEM, line.start + bullet.end(), stop, stop)
    if _CODE_INDENT.match(line.text) and _stands_alone(lines, at):
        stop = next((n for n in range(at + 1, len(lines)) if not _CODE_INDENT.match(lines[n].text)), len(lines))
        return _Block(Kind.CODE, line.start, stop, stop)
    if hashes := _HASHES.match(line.text):
        return _Block(Kind.HEADING, line.start + hashes.end(), at + 1, at + 1)
    if line.text.lstrip().startswith("|"):
        return _Block(Kind.ROW, line.start, at + 1, at + 1)
    if _is_heading(lines, at):
        return _Block(Kind.HEADING, line.start, at + 1, at + 1)
    stop = _continuation(lines, at + 1)
    return _Block(Kind.PROSE, line.start, stop, stop)


def _code_at_the_beginning(lines: list[_Line]) -> int:
    """The line after the first fence where that one closes: the chunk was cut inside code. 0 where it opens, or there is none.

    A fence that closes has code before it and an empty line after it; one that opens, the other way round.
    """
    fences = [n for n, line in enumerate(lines) if _FENCE.match(line.text)]
    if len(fences) % 2 == 0:
        return 0
    first = fences[0]
    closes = first > 0 and bool(lines[first - 1].text.strip()) and not (first + 1 < len(lines) and lines[first + 1].text.strip())
    return first + 1 if closes else 0


def _fenced(lines: list[_Line], at: int) -> _Block:
    """What stands between the fences; to the end where the chunk ends before the fence does."""
    stop = next((n for n in range(at + 1, len(lines)) if _FENCE.match(lines[n].text)), len(lines))
    return _Block(Kind.CODE if stop > at + 1 else None, lines[at].end, stop, stop + 1)


def _continuation(lines: list[_Line], at: int) -> int:
    """The first line from `at` on that does not go on with the paragraph before it."""
    while at < len(lines):
        text = lines[at].text
        if not text.strip() or _RULE.match(text) or any(begin.match(text) for begin in (_FENCE, _BULLET, _HASHES, _NUMBERED)):
            break
        at += 1
    return at


def _item_end(lines: list[_Line], at: int) -> int:
    """As _continuation, but a list can end without an empty line: at one that is not indented and begins anew after a short one."""
    stop = _continuation(lines, at)
    for n in range(at, stop):
        if lines[n].text[:1].isupper() and len(lines[n - 1].text) < SHORT_LINE_CHARS:
            return n
    return stop


def _stands_alone(lines: list[_Line], at: int) -> bool:
    return at == 0 or not lines[at - 1].text.strip()


def _is_heading(lines: list[_Line], at: int) -> bool:
    """A short line without a full stop that stands alone, or has a section's number, or is underlined."""
    text = lines[at].text.strip()
    if len(text) > HEADING_CHARS or text[-1] in ".!;:,…。" or not any(c.isalpha() for c in text):
        return False
    after = lines[at + 1].text if at + 1 < len(lines) else ""
    alone = _stands_alone(lines, at) and not after.strip() and at + 1 < len(lines)
    return alone or _NUMBERED.match(text) is not None or (bool(_RULE.match(after)) and "|" not in after)


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = start
    for match in _END.finditer(text, start, end):
        if _ends_here(text, begin, match, end):
            yield from _trimmed(text, begin, match.end())
            begin = match.end()
    yield from _trimmed(text, begin, end)


def _ends_here(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    """Whether a full stop ends the sentence, and not an abbreviation, an initial or a number's."""
    following = text[match.end() : match.end() + 40]
    first = following.lstrip()[:1]
    if match.group()[0] in "。！？" or not first or match.end() >= end:
        return True
    if first.islower():
        return False
    if not match.group().startswith(".") or match.group().startswith(".."):
        return True
    found = _LAST_WORD.search(text, max(begin, match.start() - 20), match.start())
    word = found.group().lower() if found else ""
    if word in _ABBREVIATION:
        return _STARTERS.match(following) is not None and "." in word
    if word in _BEFORE_NUMBER:
        return not first.isdigit()
    return not (len(word) == 1 and word.isalpha()) and not re.fullmatch(r"(?:[a-z]\.)+[a-z]", word)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The span without white space around it, cut where it is too long; nothing where nothing is left."""
    while True:
        while start < end and text[start].isspace():
            start += 1
        if end - start <= MAX_CHARS:
            break
        low, high = start + MAX_CHARS // 2, start + MAX_CHARS
        cut = max(text.rfind("\n", low, high), text.rfind(" ", low, high))
        cut = high if cut < 0 else cut
        yield start, _without_space(text, start, cut)
        start = cut
    if start < end:
        yield start, _without_space(text, start, end)


def _without_space(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1].isspace():
        end -= 1
    return end
