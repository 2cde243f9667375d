"""Where a text may be cut, and how good a cut is there: at headings, paragraphs, lines of code and tables, sentences, words."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

from localmind.model import Heading


class Strength(IntEnum):
    """How good it is to cut here; higher is better. Headings of level 6 to 1 are HEADING to HEADING + 5."""

    INSIDE = 0
    """Inside a run of 100 characters without a break (base64, minified code, scripts without spaces)."""
    WORD = 1
    WRAP = 2
    """A line's end inside a sentence."""
    SENTENCE = 3
    LINE = 4
    """A line's end in a list, a table or code."""
    PARAGRAPH = 5
    HEADING = 6


class Boundary(NamedTuple):
    position: int
    strength: int


LONG_CHARS = 240
"""What is longer than this, a sentence or a line, may be cut between words too."""

_WORD = re.compile(rb"[0-9A-Za-z\x80-\xff]+")  # of UTF-8
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# A full stop after a space is a dot leader's.
_END = re.compile(r"""(?<=\S)[.!?…]+["'”’»)\]]*(?=\s|$)|[。！？｡]+["'”’」』）)]*""")
_WORD_BEFORE = re.compile(r"[^\s(\[\"“‘]+$")
_WORDS = re.compile(r"[^\s,;|{}&<>]{1,100}[\s,;|{}&<>]{0,100}|[\s,;|{}&<>]{1,100}")
_BREAKS = frozenset(" \t\n\r\f\v\u00a0\u2028\u3000,;|{}&<>")
_STRUCTURED = re.compile(
    r"""
    ^\s*(?:[-*+•‣▪◦–]\s | \(?\d{1,3}[.)]\s | \(?[a-z][.)]\s | [|>\#])   # lists, quotes, Markdown tables
    | ^(?:\t|[ ]{4}) | \S(?:\t|[ ]{3,})\S                              # indented code, columns
    | [{};|]\s*$                                                       # code, tables
    """,
    re.VERBOSE,
)
_ABBREVIATED = (
    "e.g i.e cf vs al viz ca approx dr mr mrs ms prof st sr jr rev gen col lt sgt hon fig figs eq eqs sec ch chap vol nos pp eds "
    "inc ltd co corp dept univ est jan feb mar apr jun jul aug sept sep oct nov dec mon tue wed thu fri "
    "z.b d.h u.a o.ä bzw ggf evtl inkl vgl nr abb abs bd hrsg tel p.ex c.-à-d mme mlle n° ej p.ej sra srta dña núm pág uds dott sig"
)
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())


def boundaries(text: str, start: int, end: int, headings: Sequence[Heading]) -> list[Boundary]:
    """Where text[start:end] may be cut, in order, `start` itself first. White space belongs to what stands before it.

    headings: those that begin in the range. Linear in the range; depends on nothing outside it.
    """
    found = dict(_in_lines(text, start, end))
    for heading in headings:
        if start < heading.start < end:
            found[heading.start] = Strength.HEADING + max(0, 6 - heading.level)
    found[start] = max(found.get(start, 0), Strength.PARAGRAPH)
    ordered = [Boundary(position, found[position]) for position in sorted(found)]
    result: list[Boundary] = []
    for boundary, following in zip(ordered, [*ordered[1:], Boundary(end, 0)], strict=True):
        result.append(boundary)
        if following.position - boundary.position > LONG_CHARS:
            result.extend(_between_words(text, boundary.position, following.position))
    return result


def fingerprint(text: str, position: int) -> int:
    """32 bits of what follows the position: equal wherever the same text stands, so that cuts chosen by it move with the text."""
    return zlib.crc32(text[position : position + 48].encode("utf-8", "surrogatepass"))


def priority(text: str, position: int) -> int:
    """48 bits that say which of two boundaries goes first: the largest hash of two words in a row around it, then what follows it.

    Most edits next to a boundary leave that pair of words alone, and with it every cut that follows from it.
    """
    around = text[max(0, position - 80) : position + 80].encode("utf-8", "surrogatepass")
    hashes = [zlib.crc32(word) for word in _WORD.findall(around)[1:-1]]
    top = max([(one * 31 + two) & 0xFFFFFFFF for one, two in pairwise(hashes)], default=0)
    return top << 16 | fingerprint(text, position) >> 16


def _in_lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    before, gap, structured_before, ended = "", False, False, False
    for match in _LINE.finditer(text, start, end):
        line = match.group()
        if line.isspace():
            gap = True
            continue
        structured = _STRUCTURED.search(line) is not None
        if before:
            if gap:
                strength = Strength.PARAGRAPH
            elif structured or structured_before:
                strength = Strength.LINE
            else:
                strength = Strength.SENTENCE if ended else Strength.WRAP
            yield match.start(), strength
        ended = False
        for position in _sentence_ends(line):
            if position < len(line):
                yield match.start() + position, Strength.SENTENCE
            else:
                ended = True
        before, gap, structured_before = line, False, structured


def _sentence_ends(line: str) -> Iterator[int]:
    """Where the next sentence begins, which is the line's length for the last one's end."""
    for match in _END.finditer(line):
        following = match.end()
        while following < len(line) and line[following].isspace():
            following += 1
        if match.group()[0] != "." or _is_full_stop(line, match.start(), following):
            yield following


def _is_full_stop(line: str, stop: int, following: int) -> bool:
    if following < len(line) and line[following].islower():
        return False
    word = _WORD_BEFORE.search(line, max(0, stop - 24), stop)
    if word is None:
        return False  # a quotation mark or a bracket alone
    bare = word.group().lower()
    if bare.isdecimal() and not line[: word.start()].strip():
        return False  # a list's "3. "
    initial = len(bare) == 1 and bare.isalpha() and following < len(line)
    return not initial and bare not in _ABBREVIATIONS


def _between_words(text: str, start: int, end: int) -> Iterator[Boundary]:
    """About every eighth word, chosen by the word and not by counting; every 100 characters where there are no words."""
    last = start
    for match in _WORDS.finditer(text, start, end):
        position = match.end()
        if position >= end:
            return
        if text[position - 1] not in _BREAKS:
            yield Boundary(position, Strength.INSIDE)
            last = position
        elif zlib.crc32(match.group().encode("utf-8", "surrogatepass")) % 8 == 0 or position - last >= LONG_CHARS:
            yield Boundary(position, Strength.WORD)
            last = position
