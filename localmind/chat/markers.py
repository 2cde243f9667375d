"""Finds the [n] of citations in a text that comes in pieces.

`[1]`, `[1, 2]`, `[1-3]`, `[[1]]`, `【1】`, `[^1]` and `[Passage 1]` are markers; what stands in Markdown code is not.
Where a piece ends inside what may become a marker, the scanner waits for the next, so the outcome does not depend on the cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_MARKER_CHARS = 200
MAX_RANGE = 50
"""Numbers that a range [a-b] may stand for; beyond, only its ends count."""

MAX_CODE_CHARS = 400
"""A backtick whose partner is further away is an ordinary character: nothing waits for it longer."""

_WORD = r"(?:(?:passages?|sources?|citations?|refs?|references?|documents?)\s*:?\s*#?)?"
_NUMBERS = rf"\s*{_WORD}\^?\d+(?:\s*(?:[,;&]|and|-|–|—)\s*{_WORD}\^?\d+)*\s*"
_MARKER = re.compile(rf"(?P<space>[ \t]?)(?:\[\[({_NUMBERS})\]\]|\[({_NUMBERS})\]|【({_NUMBERS})(?:†[\w\s,.:-]{{0,60}})?】)", re.IGNORECASE)
_UNFINISHED = re.compile(r"[ \t]?(?:(?:\[\[?|【)[\w\s,;&#:^†–—.-]*\]?)?$")
_RANGE = re.compile(r"(\d+)\s*[-–—]\s*\^?(\d+)")
_STOPS = re.compile(r"[ \t]?[\[【]|`|[ \t]$")
_OPEN = re.compile(r"[\[【][\w\s,;&#:^†–—.-]*$")


class Text(NamedTuple):
    text: str


class Marker(NamedTuple):
    """space: the blanks before it. numbers: as they stand, ranges written out."""

    space: str
    numbers: tuple[int, ...]


class Scanner:
    """feed() what comes, then finish(). Joined, the items are the text."""

    def __init__(self) -> None:
        self._waiting = ""
        self._fenced = False

    def feed(self, piece: str) -> Iterator[Text | Marker]:
        self._waiting += piece
        yield from self._scan(last=False)

    def finish(self) -> Iterator[Text | Marker]:
        yield from self._scan(last=True)

    def _scan(self, *, last: bool) -> Iterator[Text | Marker]:
        while self._waiting:
            found = self._fence_end(last=last) if self._fenced else self._next(last=last)
            if found is None:
                return
            item, length = found
            self._waiting = self._waiting[length:]
            yield item

    def _fence_end(self, *, last: bool) -> tuple[Text, int] | None:
        """Code up to its closing fence, or what is certain to be code."""
        end = self._waiting.find("```")
        if end >= 0:
            self._fenced = False
            return self._text(end + 3)
        certain = len(self._waiting) if last else len(self._waiting.rstrip("`"))
        return self._text(certain) if certain else None

    def _next(self, *, last: bool) -> tuple[Text | Marker, int] | None:
        """The next item and how many characters it takes; None: more has to come first."""
        stop = _STOPS.search(self._waiting)
        if stop is None:
            return self._text(len(self._waiting))
        if stop.start() > 0:
            return self._text(stop.start())
        if stop.group() == "`":
            return self._code(last=last)
        marker = _MARKER.match(self._waiting)
        if marker and marker.end() <= MAX_MARKER_CHARS:
            return Marker(marker["space"], _numbers(marker)), marker.end()
        if not last and len(self._waiting) <= MAX_MARKER_CHARS and _UNFINISHED.match(self._waiting):
            return None
        return self._text(max(1, stop.end()))

    def _code(self, *, last: bool) -> tuple[Text, int] | None:
        """Code in backticks as a whole; the opening of a fence; or backticks that open nothing."""
        length = len(self._waiting) - len(self._waiting.lstrip("`"))
        if length == len(self._waiting) and not last:
            return None
        if length >= 3:
            self._fenced = True
            return self._text(length)
        line = self._waiting.find("\n", length, MAX_CODE_CHARS)
        end = self._waiting.find("`" * length, length, MAX_CODE_CHARS if line < 0 else line)
        if end > 0:
            return self._text(end + length)
        decided = last or line >= 0 or len(self._waiting) >= MAX_CODE_CHARS
        return self._text(length) if decided else None

    def _text(self, length: int) -> tuple[Text, int]:
        return Text(self._waiting[:length]), length


def scan(text: str) -> Iterator[Text | Marker]:
    """The items of a whole text."""
    scanner = Scanner()
    yield from scanner.feed(text)
    yield from scanner.finish()


def without(text: str) -> str:
    """The text without its markers, as an earlier answer stands in a prompt."""
    kept = ""
    for item in scan(text):
        kept += item.text if isinstance(item, Text) else in_place_of_dropped(kept)
    return kept


def disarmed(text: str) -> str:
    """A source's text with its own reference numbers out of the way: those that hang on a word go, others get round brackets."""
    kept = ""
    for item in scan(text):
        if isinstance(item, Text):
            kept += item.text
        elif item.space or not kept[-1:].strip():
            kept += f"{item.space}({', '.join(map(str, item.numbers))})"
        else:
            kept += in_place_of_dropped(kept)
    return kept


def in_place_of_dropped(before: str) -> str:
    """What stands for a dropped marker: nothing, but where `[[7]1]` would close up to `[1]`, a new marker, an ellipsis."""
    return "…" if _OPEN.search(before, max(0, len(before) - MAX_MARKER_CHARS)) else ""


def _numbers(marker: re.Match[str]) -> tuple[int, ...]:
    inner = next(group for group in marker.groups()[1:] if group is not None)
    written_out = _RANGE.sub(lambda match: _range(int(match[1][:9]), int(match[2][:9])), inner)
    return tuple(int(digits[:9]) for digits in re.findall(r"\d+", written_out))


def _range(first: int, end: int) -> str:
    numbers = range(first, end + 1) if 0 <= end - first < MAX_RANGE else (first, end)
    return " ".join(map(str, numbers))
