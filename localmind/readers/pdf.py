"""PDF through pdfium: pages, paragraphs by the lines' distances, headings from the outline, OCR for pages without text."""

from __future__ import annotations

import ctypes
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import median_low
from typing import Any, NamedTuple

from localmind.errors import Broken, Encrypted, NoText, ReaderLimit
from localmind.model import Document, Heading
from localmind.readers import formats, ocr
from localmind.readers.building import DocumentBuilder
from localmind.readers.cleaning import as_heading, clean, clean_characters
from localmind.readers.formats import Reading

MAX_PAGES = 50_000
MAX_PAGE_CHARS = 2_000_000
MAX_BOOKMARKS = 20_000

_PARAGRAPH_GAP = 1.3
"""Lines further apart than this, in usual line distances of their page, belong to two paragraphs."""
_INDENT_POINTS = 8

_HYPHEN = "\ufffe"
"""Where pdfium saw a hyphen at a line's end, it gives this and no line break."""
_HYPHENATED = re.compile(rf"(\w*){_HYPHEN}(\w*)")
_PUNCTUATION = ".,;:!?()[]{}'\"“”‘’"
_UNREADABLE = re.compile("[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f]")
_CONTROLS = bytes((*range(0x09), *range(0x0E, 0x20)))
_NOT_WORD = re.compile(r"[\W_]+")
_NO_TITLE = re.compile(
    r"(?i)^(untitled|microsoft word|microsoft powerpoint|powerpoint presentation|slide 1|document\d*|about:blank)|\.\w{2,4}$"
)


class _Line(NamedTuple):
    """A line of text. left, baseline: in points from the page's lower left corner, None where pdfium can't tell. rows: the lines on the
    page that it was set in, which are several where words were hyphenated."""

    text: str
    rows: int
    left: float | None
    baseline: float | None


class _Bookmark(NamedTuple):
    level: int
    title: str
    top: float | None


class _PageText(NamedTuple):
    text: str
    headings: tuple[Heading, ...]


def read(reading: Reading) -> Document:
    """Raises Encrypted, Broken, NoText, ReaderLimit."""
    document = _open(reading)
    count = len(document)
    if count == 0:
        raise Broken("The PDF has no pages.", hint="Download or save it again.")
    if count > MAX_PAGES:
        raise ReaderLimit(f"The PDF claims to have {count:,} pages (limit {MAX_PAGES:,}).", hint="Split it into several files.")
    meta = document.get_metadata_dict(skip_empty=True)
    bookmarks = _bookmarks(document)
    pages: list[_PageText] = []
    without_text: list[int] = []
    worth_ocr: list[int] = []
    unreadable = 0
    reader = _PageReader(document)
    for index in range(count):
        page, has_content = reader.read(index, bookmarks.get(index, ()))
        pages.append(page if page is not None else _PageText("", ()))
        unreadable += page is None
        if not pages[-1].text:
            without_text.append(index)
            if has_content:
                worth_ocr.append(index)
        reading.progress(index + 1, count)
    if unreadable == count:
        raise Broken("None of the PDF's pages can be read.", hint="Download or save it again.")
    recognised, problems = _recognise(reading, document, worth_ocr) if worth_ocr else ({}, [])
    document.close()
    empty = [index + 1 for index in without_text if index not in recognised]
    notes = _notes(count, len(empty), len(recognised), unreadable, problems)
    if len(empty) == count:
        raise NoText(_nothing(count, pictures=bool(worth_ocr)), hint=" ".join(problems) or "Put in a version with text.", pages=count)
    builder = DocumentBuilder()
    for index, page in enumerate(pages):
        builder.page(index + 1, recognised.get(index, page.text), page.headings if page.text else ())
    title = meta.get("Title", "")
    return builder.build(
        formats.PDF,
        title=None if _NO_TITLE.search(title.strip()) else title,
        empty_pages=empty,
        ocr_pages=[index + 1 for index in sorted(recognised)],
        notes=notes,
        meta={"author": meta.get("Author", "")},
    )


def _open(reading: Reading) -> Any:
    import pypdfium2
    import pypdfium2.raw as raw

    try:
        return pypdfium2.PdfDocument(reading.path)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise Encrypted(
                "The PDF is protected by a password.", hint="Open it, save it without the password, and put it in again."
            ) from error
        raise Broken("The PDF is damaged or cut off.", hint="Download or save it again.") from error


# --- a page's text


class _PageReader:
    """Reads page after page of one document; knows the compound words it has met, to tell "self-\\nmade" from "exam-\\nple"."""

    def __init__(self, document: Any) -> None:
        import pypdfium2.raw as raw

        self._raw = raw
        self._document = document.raw
        self._compounds: set[str] = set()
        self._x, self._y = ctypes.c_double(), ctypes.c_double()

    def read(self, index: int, bookmarks: Sequence[_Bookmark]) -> tuple[_PageText | None, bool]:
        """(text, whether anything is drawn on the page). None for a page that can't be read; "" without text worth having."""
        raw = self._raw
        page = raw.FPDF_LoadPage(self._document, index)
        if not page:
            return None, False
        try:
            textpage = raw.FPDFText_LoadPage(page)
            if not textpage:
                return None, True
            try:
                lines = self._lines(textpage)
            finally:
                raw.FPDFText_ClosePage(textpage)
            if not lines:
                return _PageText("", ()), raw.FPDFPage_CountObjects(page) > 0
            return _assemble(lines, bookmarks), True
        finally:
            raw.FPDF_ClosePage(page)

    def _lines(self, textpage: Any) -> list[_Line]:
        raw = self._raw
        count = raw.FPDFText_CountChars(textpage)
        if count <= 0:
            return []
        if count > MAX_PAGE_CHARS:
            raise ReaderLimit(f"A page claims to hold {count:,} characters.", hint="Print the PDF anew as a PDF.")
        buffer = (ctypes.c_ushort * (count + 1))()
        written = raw.FPDFText_GetText(textpage, 0, count, buffer)
        text = bytes(buffer)[: 2 * max(written - 1, 0)].decode("utf-16-le", "surrogatepass")
        if not text:
            return []
        # Fonts without a table of characters give marks instead of letters: that is no text, and OCR does better.
        if _is_unreadable(text):
            return []
        if "-" in text:
            self._compounds.update(word.strip(_PUNCTUATION).lower() for word in text.split() if "-" in word)
        lines = []
        at = 0
        is_wide = max(text) > "\uffff"
        for line in text.split("\r\n"):
            words = self._clean_line(line)
            if words:
                lines.append(_Line(words, 1 + line.count(_HYPHEN), *self._place(textpage, at)))
            at += (len(line.encode("utf-16-le", "surrogatepass")) // 2 if is_wide else len(line)) + 2
        return lines

    def _place(self, textpage: Any, at: int) -> tuple[float | None, float | None]:
        index = self._raw.FPDFText_GetCharIndexFromTextIndex(textpage, at)
        if index < 0 or not self._raw.FPDFText_GetCharOrigin(textpage, index, self._x, self._y):
            return None, None
        return self._x.value, self._y.value

    def _clean_line(self, line: str) -> str:
        if _HYPHEN in line:
            line = _HYPHENATED.sub(self._join, line)
        return clean_characters(line).strip()

    def _join(self, match: re.Match[str]) -> str:
        """A word without its hyphen, unless it is a compound: seen whole elsewhere, or its second half is no small letter."""
        left, right = match[1], match[2]
        compound = f"{left}-{right}"
        is_one_word = left[-1:].isalpha() and right[:1].islower() and compound.lower() not in self._compounds
        return left + right if is_one_word else compound


def _is_unreadable(text: str) -> bool:
    """Whether half of the characters or more are marks that stand for none, as a broken font gives them."""
    if text.isascii():  # the pages of most files, at a tenth of the cost
        return 2 * (len(text) - len(text.encode().translate(None, _CONTROLS))) > len(text.strip())
    return 2 * len(_UNREADABLE.findall(text)) > len(text.strip())


def _assemble(lines: Sequence[_Line], bookmarks: Sequence[_Bookmark]) -> _PageText:
    """The page's text, paragraphs parted by a blank line, and the bookmarks' places in it."""
    breaks = _paragraph_breaks(lines)
    pieces: list[str] = []
    starts: list[int] = []
    length = 0
    for index, line in enumerate(lines):
        if index:
            separator = "\n\n" if breaks[index] else "\n"
            pieces.append(separator)
            length += len(separator)
        starts.append(length)
        pieces.append(line.text)
        length += len(line.text)
    headings = []
    previous = 0
    for bookmark in bookmarks:
        previous = _find(bookmark, lines, previous)
        headings.append(Heading(level=bookmark.level, start=starts[previous], text=bookmark.title))
    return _PageText("".join(pieces), tuple(headings))


def _paragraph_breaks(lines: Sequence[_Line]) -> list[bool]:
    """For each line, whether a paragraph begins there."""
    gaps = [
        (before.baseline - line.baseline) / before.rows if before.baseline is not None and line.baseline is not None else 0.0
        for before, line in pairwise(lines)
    ]
    usual_gaps = sorted(gap for gap in gaps if gap > 1)
    # Short pages are mostly gaps between paragraphs, so the usual distance is looked for among the smaller ones.
    usual = usual_gaps[len(usual_gaps) // 4] if usual_gaps else 0.0
    lefts = [round(line.left) for line in lines if line.left is not None]
    margin = median_low(lefts) if lefts else 0
    breaks = [False]
    for (before, line), gap in zip(pairwise(lines), gaps, strict=True):
        ends = before.text[-1] in '.!?:;”"’)'
        if gap < -usual:  # up again: a next column, or a box beside the text
            breaks.append(ends or not line.text[0].islower())
        elif gap > usual * _PARAGRAPH_GAP and usual > 0:
            breaks.append(True)
        else:
            is_indented = line.left is not None and before.left is not None and line.left - margin > _INDENT_POINTS
            breaks.append(ends and is_indented and before.left is not None and abs(before.left - margin) < 2)
    return breaks


# --- the outline


def _bookmarks(document: Any) -> dict[int, list[_Bookmark]]:
    """Page index -> its bookmarks in the outline's order. pypdfium2 goes no bookmark twice, so a circle ends."""
    found: dict[int, list[_Bookmark]] = defaultdict(list)
    for number, bookmark in enumerate(document.get_toc(max_depth=9)):
        if number >= MAX_BOOKMARKS:
            break
        title = as_heading(bookmark.get_title())
        destination = bookmark.get_dest()
        index = destination.get_index() if destination is not None else None
        if not title or index is None or index < 0:
            continue
        mode, position = destination.get_view()
        found[index].append(_Bookmark(level=bookmark.level + 1, title=title, top=_top(mode, position)))
    return found


def _top(mode: int, position: Sequence[float]) -> float | None:
    """How high on the page a destination points (PDF 32000-1, table 151): /XYZ left top zoom, /FitH top, /FitR left bottom right top."""
    where = {1: 1, 3: 0, 5: 3, 7: 0}.get(mode)
    return position[where] if where is not None and len(position) > where else None


def _find(bookmark: _Bookmark, lines: Sequence[_Line], previous: int) -> int:
    """The line where a bookmark's words stand, else the first line below where it points, else the line of the bookmark before."""
    title = _letters(bookmark.title)
    best = None
    for index, line in enumerate(lines):
        words = _letters(line.text)
        if not title or not words or not (title in words[: len(title) + 12] or (len(words) > 8 and title.startswith(words))):
            continue
        is_below = bookmark.top is None or line.baseline is None or line.baseline <= bookmark.top + 2
        if is_below and index >= previous:
            return index
        best = index if best is None else best
    if best is not None and bookmark.top is None:
        return best
    if bookmark.top is not None:
        for index, line in enumerate(lines):
            if line.baseline is not None and line.baseline <= bookmark.top + 2:
                return index
    return best if best is not None else min(previous, len(lines) - 1)


def _letters(text: str) -> str:
    """For comparing: outlines and pages differ in spaces, quotes and dots. Text that is all signs stays as it is."""
    return _NOT_WORD.sub("", text).casefold() or text.strip()


# --- pages without text


def _recognise(reading: Reading, document: Any, indexes: Sequence[int]) -> tuple[dict[int, str], list[str]]:
    """(page index -> text that OCR found, notes)."""
    if not reading.ocr:
        return {}, ["OCR is off (OCR=off)."]
    engine, problem = ocr.find(reading.ocr_languages)
    if engine is None:
        return {}, [problem]
    found: dict[int, str] = {}
    for done, index in enumerate(indexes):
        if ocr.is_too_late(reading):
            return found, [f"OCR stopped before page {index + 1}: the time for one file was used up (READER_TIMEOUT_S)."]
        if text := clean(engine.recognise(document, index, timeout_s=reading.stall_s * 0.8)):
            found[index] = text
        # Counted anew from the first page: progress has to move, and a stalled page has to be seen as stalled.
        reading.progress(done + 1, len(indexes))
    return found, []


def _notes(count: int, empty: int, recognised: int, unreadable: int, problems: Sequence[str]) -> list[str]:
    notes = []
    if empty:
        notes.append(" ".join((f"{empty} of {count} pages have no text.", *problems)))
    if recognised:
        notes.append(f"{recognised} of {count} pages were read by OCR: their text may hold mistakes.")
    if unreadable:
        notes.append(f"{unreadable} of {count} pages are damaged.")
    return notes


def _nothing(count: int, *, pictures: bool) -> str:
    what = "only pictures" if pictures else "nothing"
    return f"The PDF holds no text: its {count} pages hold {what}."
