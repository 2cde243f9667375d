"""OpenDocument texts: headings by outline level, lists, tables; deleted text of tracked changes and comments are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localmind.errors import Encrypted
from localmind.model import Document
from localmind.readers import formats, xml
from localmind.readers.building import DocumentBuilder
from localmind.readers.containers import Zip, open_zip
from localmind.readers.formats import Reading
from localmind.readers.tables import joined

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_SKIPPED = frozenset(
    (_TEXT + "tracked-changes", _OFFICE + "annotation", _TEXT + "table-of-content", _TEXT + "note-citation", _TEXT + "sequence-decls")
)


def read(reading: Reading) -> Document:
    """Raises NoText, Broken, Encrypted, ReaderLimit."""
    with open_zip(reading.path) as archive:
        _refuse_encrypted(archive)
        reader = _Reader()
        with archive.open("content.xml") as stream:
            for done, element in enumerate(xml.children_of(stream, _OFFICE + "text", "content.xml"), 1):
                reader.block(element)
                reading.progress(done, 0)
        meta = xml.parse_if_there(archive, "meta.xml")
    title = author = None
    if meta is not None:
        title, author = (next((e.text for e in meta.iter(_DC + name)), None) for name in ("title", "creator"))
    return reader.builder.build(formats.ODT, title=title or reader.title, meta={"author": author or ""})


def _refuse_encrypted(archive: Zip) -> None:
    manifest = xml.parse_if_there(archive, "META-INF/manifest.xml")
    if manifest is not None and next(manifest.iter("{*}encryption-data"), None) is not None:
        raise Encrypted("The document is protected by a password.", hint="Open it, remove the password, save it, and put it in again.")


class _Reader:
    def __init__(self) -> None:
        self.builder = DocumentBuilder()
        self.title: str | None = None
        self._after_item = False

    def block(self, element: Any, depth: int = 0, bullet: str = "") -> None:
        """A heading, paragraph, list or table, or a wrapper around them (sections, indexes)."""
        tag = element.tag
        if tag in _SKIPPED or not isinstance(tag, str):
            return
        if tag == _TEXT + "h":
            level = element.get(_TEXT + "outline-level") or "1"
            self.builder.heading(int(level) if level.isdigit() else 1, _inline(element))
            self._after_item = False
        elif tag == _TEXT + "p":
            self._paragraph(element, bullet)
        elif tag == _TEXT + "list":
            for item in element:
                for index, child in enumerate(item):
                    self.block(child, depth + 1, "  " * depth + ("- " if index == 0 else "  "))
        elif tag == _TABLE + "table":
            self._after_item = False
            self.builder.block("\n".join(_rows(element)))
        else:
            for child in element:
                self.block(child, depth, bullet)

    def _paragraph(self, element: Any, bullet: str) -> None:
        text = _inline(element)
        if not text.strip():
            return
        if self.title is None and element.get(_TEXT + "style-name") == "Title":
            self.title = text
            self.builder.heading(1, text)
        elif bullet:
            self.builder.block(bullet + text, separator="\n" if self._after_item else "\n\n")
        else:
            self.builder.block(text)
        self._after_item = bool(bullet)


def _rows(table: Any) -> Iterator[str]:
    for row in table.iter(_TABLE + "table-row"):
        if next(row.iterancestors(_TABLE + "table")) is table:
            yield joined(
                " ".join(_inline(p) for p in cell.iter(_TEXT + "p", _TEXT + "h")) for cell in row.iterchildren(_TABLE + "table-cell")
            )


def _inline(element: Any) -> str:
    pieces: list[str] = []
    _gather(element, pieces)
    return "".join(pieces)


def _gather(element: Any, pieces: list[str]) -> None:
    """Depth first; libxml2 bounds the depth. White space is collapsed, and kept where the file says so by elements."""
    _add(element.text, pieces)
    for child in element:
        tag = child.tag
        if tag == _TEXT + "s":
            count = child.get(_TEXT + "c") or "1"
            pieces.append(" " * (min(int(count), 100) if count.isdigit() else 1))
        elif tag == _TEXT + "tab":
            pieces.append("\t")
        elif tag == _TEXT + "line-break":
            pieces.append("\n")
        elif tag == _TEXT + "note-body":
            gap = "" if pieces and pieces[-1][-1:].isspace() else " "
            pieces.append(f"{gap}[Note: {' '.join(_inline(child).split())}]")
        elif isinstance(tag, str) and tag not in _SKIPPED:
            _gather(child, pieces)
        _add(child.tail, pieces)


def _add(text: str | None, pieces: list[str]) -> None:
    if text:
        # "a\n b" is one space; a text that is nothing but space may part two words.
        lead = " " if text[0].isspace() else ""
        trail = " " if text[-1].isspace() and text.strip() else ""
        pieces.append(lead + " ".join(text.split()) + trail)
