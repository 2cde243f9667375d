"""Assembles a Document from pieces, so that offsets are right by construction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from localmind.errors import NoText, ReaderLimit
from localmind.model import Document, Heading, Page
from localmind.readers.cleaning import as_heading, clean, one_line
from localmind.readers.formats import MAX_TEXT_CHARS


class DocumentBuilder:
    """Takes blocks in reading order. Every text that comes in is cleaned; blocks are parted by a blank line."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._pages: list[Page] = []

    @property
    def empty(self) -> bool:
        return self._length == 0

    @property
    def has_headings(self) -> bool:
        return bool(self._headings)

    def block(self, text: str, *, separator: str = "\n\n") -> int:
        """Adds a paragraph and says where it begins. A text of nothing but space adds nothing."""
        return self.cleaned_block(clean(text), separator=separator)

    def line(self, text: str) -> int:
        """Adds a line to the block before it."""
        return self.block(text, separator="\n")

    def cleaned_block(self, text: str, *, separator: str = "\n\n") -> int:
        """The same for a text that is clean already."""
        if not text.strip():
            return self._length
        if self._pieces:
            self._append(separator)
        start = self._length
        self._append(text)
        return start

    def heading(self, level: int, text: str) -> None:
        """Adds a heading's line to text and headings."""
        line = one_line(text)
        if line:
            self.mark(level, line, self.block(line))

    def mark(self, level: int, text: str, start: int) -> None:
        """Notes a heading whose words stand in the text already."""
        label = as_heading(text)
        if label:
            self._headings.append(Heading(level=max(1, min(level, 9)), start=start, text=label))

    def page(self, number: int, text: str, headings: Iterable[Heading] = ()) -> None:
        """Adds a page of cleaned text. `headings` start within the page's text."""
        start = self.cleaned_block(text)
        self._pages.append(Page(number=number, start=start, end=self._length))
        self._headings.extend(Heading(level=h.level, start=start + h.start, text=h.text) for h in headings)

    def begin_page(self) -> int:
        """For pages that are built of blocks: the value to hand to `end_page`."""
        return self._length

    def end_page(self, number: int, begun: int) -> None:
        start = min(begun + 2, self._length) if begun else 0
        self._pages.append(Page(number=number, start=start, end=self._length))

    def _append(self, piece: str) -> None:
        self._length += len(piece)
        if self._length > MAX_TEXT_CHARS:
            raise ReaderLimit(f"The file holds more than {MAX_TEXT_CHARS:,} characters of text.", hint="Split it into several files.")
        self._pieces.append(piece)

    def build(
        self,
        media_type: str,
        *,
        title: str | None = None,
        empty_pages: Iterable[int] = (),
        ocr_pages: Iterable[int] = (),
        notes: Iterable[str] = (),
        meta: Mapping[str, str] | None = None,
    ) -> Document:
        """Raises NoText when nothing came in."""
        if self.empty:
            raise NoText("The file holds no text.", hint="Check that it is the right file and that it is not empty.")
        return Document(
            text="".join(self._pieces),
            media_type=media_type,
            title=one_line(title or "") or None,
            pages=tuple(self._pages),
            headings=tuple(sorted(self._headings, key=lambda heading: heading.start)),
            empty_pages=tuple(empty_pages),
            ocr_pages=tuple(ocr_pages),
            notes=tuple(notes),
            meta={key: one_line(value) for key, value in (meta or {}).items() if one_line(value)},
        )
