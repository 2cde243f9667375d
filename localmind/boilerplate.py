"""What stands on pages and says nothing: page numbers, repeated headers and footers, tables of contents with dot leaders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from localmind.model import Document

_NUMBER = re.compile(r"\W*(?:page|seite|página|pagina|p\.)?\W*(?:\d+|[ivxlc]+)(?:\W*(?:of|von|de|di|/)?\W*\d+)?\W*", re.IGNORECASE)
_LEADER = re.compile(r"(?:\.\s?){4,}\s*(?:\d+|[ivxlc]+)?\s*$|…{2,}\s*\d*\s*$")
_DIGITS = re.compile(r"\d+")

EDGE_LINES = 2
"""Lines at a page's top and bottom that may be headers and footers."""

EDGE_CHARS = 400
"""Where those lines are looked for. Pages that have no more than this prove nothing: a batch of invoices is not boilerplate."""

REPEATED = 3
"""Pages from which on such a line counts as repeated, its numbers not compared."""


class Boilerplate:
    """Tells a document's boilerplate from its text. Takes one pass over the pages' edges."""

    def __init__(self, document: Document) -> None:
        self._paged = bool(document.pages)
        full = [page for page in document.pages if page.end - page.start > EDGE_CHARS]
        edges = Counter(line for page in full for line in set(_edges(document.text, page.start, page.end)))
        self._repeated = frozenset(line for line, pages in edges.items() if pages >= REPEATED)

    def fills(self, text: str) -> bool:
        """Whether there is nothing else in this piece."""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        leaders = sum(_LEADER.search(line) is not None for line in lines)
        if leaders >= 3 and leaders >= 0.6 * len(lines):
            return True
        return all(self._is_noise(line) for line in lines)

    def _is_noise(self, line: str) -> bool:
        if not any(character.isalnum() for character in line):
            return True
        return self._paged and (_NUMBER.fullmatch(line) is not None or _normal(line) in self._repeated)


def _edges(text: str, start: int, end: int) -> Iterator[str]:
    """The first and last lines of a page that hold anything, normalised; a page's middle is not read."""
    for piece, chosen in (
        (text[start : start + EDGE_CHARS], slice(None, EDGE_LINES)),
        (text[max(start, end - EDGE_CHARS) : end], slice(-EDGE_LINES, None)),
    ):
        for line in [line for line in piece.splitlines() if line.strip()][chosen]:
            yield _normal(line)


def _normal(line: str) -> str:
    return _DIGITS.sub("#", " ".join(line.split()))
