"""A long text cut for reading: one window of it, as headings and paragraphs, with the cited range marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from localmind.model import Document, Heading

WINDOW_CHARS = 16_000
"""About five pages: enough to read on, and few enough elements for a phone."""

BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


class Run(NamedTuple):
    """A piece of a paragraph that is cited as a whole, or not at all."""

    text: str
    is_cited: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or a heading with its level from 1. All runs joined are the block's text."""

    runs: tuple[Run, ...]
    level: int = 0


class Window(NamedTuple):
    """A part of the text, half open, that begins and ends between paragraphs where there are any."""

    start: int
    end: int


def window_at(text: str, place: int, *, chars: int = WINDOW_CHARS) -> Window:
    """The window that holds `place`, with some text before it to read on from. Beyond the text: the last window."""
    place = max(0, min(place, len(text) - 1))
    begin = max(0, place - chars // 8)
    start = _paragraph_before(text, begin, reach=chars // 8)
    return Window(start, _paragraph_before(text, min(start + chars, len(text)), reach=chars // 4))


def window_before(text: str, window: Window, *, chars: int = WINDOW_CHARS) -> Window | None:
    """The window that ends where this one begins; None at the text's begin."""
    if window.start <= 0:
        return None
    return Window(_paragraph_before(text, max(0, window.start - chars), reach=chars // 4), window.start)


def window_after(text: str, window: Window, *, chars: int = WINDOW_CHARS) -> Window | None:
    """The window that begins where this one ends; None at the text's end."""
    if window.end >= len(text):
        return None
    return Window(window.end, _paragraph_before(text, min(window.end + chars, len(text)), reach=chars // 4))


def _paragraph_before(text: str, place: int, *, reach: int) -> int:
    """The last paragraph's begin at or before `place`, at most `reach` characters away; else a line's, else the place itself."""
    if place <= 0 or place >= len(text):
        return max(0, min(place, len(text)))
    for separator in ("\n\n", "\n", " "):
        found = text.rfind(separator, max(0, place - reach), place)
        if found >= 0:
            return found + len(separator)
    return place


def blocks(document: Document, window: Window, cited: Window | None = None) -> list[Block]:
    """What the window shows. A heading that does not stand in the text itself (a message's author) is put above its part."""
    inside = [heading for heading in document.headings if window.start <= heading.start < window.end]
    found: list[Block] = []
    for heading, start, end in _parts(inside, window):
        after = start
        if heading is not None:
            after = _heading_end(document.text, heading, end)
            found.append(Block((Run(heading.text, _overlaps(cited, start, after)),), min(heading.level, 4)))
        found += _paragraphs(document.text, after, end, cited)
    return found


def _heading_end(text: str, heading: Heading, limit: int) -> int:
    """Where the heading's line ends, its marks (`## ...`) included; its start where the text does not say it."""
    line_end = text.find("\n", heading.start, limit)
    line_end = limit if line_end < 0 else line_end
    stands_there = text[heading.start : line_end].strip("#* \t") == heading.text.strip("#* \t")
    return line_end if stands_there else heading.start


def _parts(headings: Sequence[Heading], window: Window) -> list[tuple[Heading | None, int, int]]:
    """The window cut at its headings: (the heading it begins with, start, end)."""
    places = [window.start, *(heading.start for heading in headings), window.end]
    return [
        (heading, start, end)
        for heading, start, end in zip([None, *headings], places[:-1], places[1:], strict=True)
        if heading is not None or start < end
    ]


def _paragraphs(text: str, start: int, end: int, cited: Window | None) -> list[Block]:
    found = []
    while start < end:
        gap = BLANK_LINES.search(text, start, end)
        stop = gap.start() if gap else end
        if text[start:stop].strip():
            found.append(Block(tuple(_runs(text, start, stop, cited))))
        start = gap.end() if gap else end
    return found


def _runs(text: str, start: int, end: int, cited: Window | None) -> list[Run]:
    if not _overlaps(cited, start, end) or cited is None:
        return [Run(text[start:end], False)]
    first, last = max(start, cited.start), min(end, cited.end)
    runs = [Run(text[start:first], False), Run(text[first:last], True), Run(text[last:end], False)]
    return [run for run in runs if run.text]


def _overlaps(cited: Window | None, start: int, end: int) -> bool:
    return cited is not None and start < cited.end and cited.start < end
