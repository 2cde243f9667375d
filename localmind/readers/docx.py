"""Word documents, read from their XML: headings by outline level, lists, tables, notes; deleted text is left out, inserted text kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localmind.model import Document
from localmind.readers import formats, xml
from localmind.readers.building import DocumentBuilder
from localmind.readers.containers import Zip, open_zip
from localmind.readers.formats import Reading
from localmind.readers.tables import joined

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_SKIPPED = frozenset(("del", "moveFrom", "instrText", "delText", "pPr", "rPr", "sdtPr", "tblPr", "tcPr", "trPr"))
_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}


def read(reading: Reading) -> Document:
    """Raises NoText, Broken, Encrypted, ReaderLimit."""
    with open_zip(reading.path) as archive:
        main = next((part for kind, part in xml.relations(archive, "").values() if kind == "officeDocument"), "word/document.xml")
        title, meta = xml.core_title(archive)
        with archive.open(main) as stream:
            strict = _STRICT[1:-1].encode() in stream.read(4096)
        reader = _Reader(archive, main, _STRICT if strict else _W)
        with archive.open(main) as stream:
            for done, element in enumerate(xml.children_of(stream, reader.name("body"), main), 1):
                reader.block(element)
                reading.progress(done, 0)
    return reader.builder.build(formats.DOCX, title=title or reader.title, meta=meta)


class _Reader:
    def __init__(self, archive: Zip, main: str, namespace: str) -> None:
        self._namespace = namespace
        self.builder = DocumentBuilder()
        self.title: str | None = None
        parts = dict(xml.relations(archive, main).values())
        self._levels, self._list_styles = self._styles(xml.parse_if_there(archive, parts.get("styles", "")))
        self._notes = {
            **self._read_notes(xml.parse_if_there(archive, parts.get("footnotes", "")), "footnote"),
            **self._read_notes(xml.parse_if_there(archive, parts.get("endnotes", "")), "endnote"),
        }
        self._after_item = False

    def name(self, local: str) -> str:
        return self._namespace + local

    def block(self, element: Any) -> None:
        """A paragraph, a table, or a wrapper around them (content controls, custom XML)."""
        local = self._local(element)
        if local == "p":
            self._paragraph(element)
        elif local == "tbl":
            self._after_item = False
            self.builder.block("\n".join(self._rows(element)))
        elif local not in _SKIPPED and local != "sectPr":
            for child in element:
                self.block(child)

    def _paragraph(self, element: Any) -> None:
        text = self._text(element)
        if not text.strip():
            return
        level, is_item, indent, style = self._look(element)
        if style == "title" and self.title is None:
            self.title = text
        if level is not None:
            self.builder.heading(level, text)
            is_item = False
        elif is_item:
            self.builder.block("  " * indent + "- " + text.strip(), separator="\n" if self._after_item else "\n\n")
        else:
            self.builder.block(text)
        self._after_item = is_item
        for reference in element.iter(self.name("footnoteReference"), self.name("endnoteReference")):
            kind = self._local(reference).removesuffix("Reference")
            note = self._notes.get((kind, reference.get(self.name("id")) or ""))
            if note:
                self.builder.block(f"[Note: {note}]")

    def _look(self, paragraph: Any) -> tuple[int | None, bool, int, str]:
        """(heading level or None, whether it is a list's item, how deep, the style's name)."""
        properties = paragraph.find(self.name("pPr"))
        if properties is None:
            return None, False, 0, ""
        style_id = self._value(properties.find(self.name("pStyle"))) or ""
        level, style = self._levels.get(style_id, (None, ""))
        own = self._value(properties.find(self.name("outlineLvl")))
        if own is not None and own.isdigit():
            level = int(own) + 1 if int(own) < 9 else None
        numbering = properties.find(self.name("numPr"))
        is_item = style_id in self._list_styles
        indent = 0
        if numbering is not None:
            is_item = self._value(numbering.find(self.name("numId"))) != "0"
            depth = self._value(numbering.find(self.name("ilvl"))) or "0"
            indent = min(int(depth), 8) if depth.isdigit() else 0
        return level, is_item, indent, style

    def _rows(self, table: Any) -> Iterator[str]:
        for row in table.iter(self.name("tr")):
            if next(row.iterancestors(self.name("tbl"))) is table:
                yield joined(self._text(cell) for cell in row.iter(self.name("tc")) if next(cell.iterancestors(self.name("tr"))) is row)

    def _text(self, element: Any) -> str:
        pieces: list[str] = []
        self._gather(element, pieces)
        return "".join(pieces)

    def _gather(self, element: Any, pieces: list[str]) -> None:
        """Depth first. libxml2 bounds the depth of a tree (256), so recursion is safe."""
        for child in element:
            local = self._local(child)
            if local == "t":
                pieces.append(child.text or "")
            elif local in _BREAKS:
                pieces.append(_BREAKS[local])
            elif local not in _SKIPPED and child.tag != _FALLBACK:
                if local in ("p", "tbl", "tc") and pieces and not pieces[-1].endswith("\n"):
                    pieces.append("\n")
                self._gather(child, pieces)

    def _styles(self, root: Any) -> tuple[dict[str, tuple[int | None, str]], set[str]]:
        """(style id -> (heading level or None, name), ids of styles that make list items). A style inherits from what it is based on."""
        found: dict[str, tuple[int | None, str, bool, str]] = {}
        for style in root.iter(self.name("style")) if root is not None else ():
            name = (self._value(style.find(self.name("name"))) or "").lower()
            outline = self._value(style.find(f"{self.name('pPr')}/{self.name('outlineLvl')}"))
            level = int(outline) + 1 if outline is not None and outline.isdigit() and int(outline) < 9 else None
            if name == "title":
                level = 1
            elif level is None and name.startswith("heading ") and name[8:].isdigit():
                level = int(name[8:])
            has_numbers = style.find(f"{self.name('pPr')}/{self.name('numPr')}") is not None
            based_on = self._value(style.find(self.name("basedOn"))) or ""
            found[style.get(self.name("styleId")) or ""] = (level, name, has_numbers, based_on)
        levels: dict[str, tuple[int | None, str]] = {}
        lists = set()
        for style_id, (_, name, _, _) in found.items():
            level, is_list, at = None, False, style_id
            for _ in range(10):
                if at not in found:
                    break
                level = level if level is not None else found[at][0]
                is_list = is_list or found[at][2]
                at = found[at][3]
            levels[style_id] = (level, name)
            if is_list:
                lists.add(style_id)
        return levels, lists

    def _read_notes(self, root: Any, kind: str) -> dict[tuple[str, str], str]:
        if root is None:
            return {}
        return {(kind, note.get(self.name("id")) or ""): " ".join(self._text(note).split()) for note in root.iter(self.name(kind))}

    def _value(self, element: Any) -> str | None:
        if element is None:
            return None
        value = element.get(self.name("val"))
        return None if value is None else str(value)

    @staticmethod
    def _local(element: Any) -> str:
        tag = element.tag
        return tag.rpartition("}")[2] if isinstance(tag, str) else ""
