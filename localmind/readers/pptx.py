"""PowerPoint files: a slide is a page, its title a heading, with tables and the speaker's notes."""

from __future__ import annotations

from typing import Any

from localmind.errors import NoText
from localmind.model import Document
from localmind.readers import formats, xml
from localmind.readers.building import DocumentBuilder
from localmind.readers.containers import Zip, open_zip
from localmind.readers.formats import Reading
from localmind.readers.tables import joined

_PICTURES_HINT = "Export the slides as PDF: pictures of text can then go through OCR."
_TITLES = frozenset(("title", "ctrTitle"))
_FRAME = frozenset(("sldNum", "dt", "ftr", "hdr"))
_R_ID = (
    "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id",
    "{http://purl.oclc.org/ooxml/officeDocument/relationships}id",
)


def read(reading: Reading) -> Document:
    """Raises NoText, Broken, Encrypted, ReaderLimit."""
    builder = DocumentBuilder()
    empty = []
    with open_zip(reading.path) as archive:
        main = next((part for kind, part in xml.relations(archive, "").values() if kind == "officeDocument"), "ppt/presentation.xml")
        title, meta = xml.core_title(archive)
        slides = _slides(archive, main)
        for number, part in enumerate(slides, 1):
            begun = builder.begin_page()
            _add_slide(builder, archive, part)
            builder.end_page(number, begun)
            if builder.begin_page() == begun:
                empty.append(number)
            reading.progress(number, len(slides))
    if builder.empty:
        raise NoText(f"The {len(slides)} slides hold no text, only pictures.", hint=_PICTURES_HINT)
    notes = [f"{len(empty)} of {len(slides)} slides have no text. {_PICTURES_HINT}"] if empty else []
    title = None if title in (None, "PowerPoint Presentation") else title
    return builder.build(formats.PPTX, title=title, empty_pages=empty, notes=notes, meta=meta)


def _slides(archive: Zip, main: str) -> list[str]:
    """The slides' parts in the order in which they are shown."""
    targets = xml.relations(archive, main)
    parts = []
    for element in xml.parse(archive, main).iter("{*}sldId"):
        relation = next((element.get(name) for name in _R_ID if element.get(name)), "")
        if relation in targets and targets[relation][1] in archive:
            parts.append(targets[relation][1])
    return parts


def _add_slide(builder: DocumentBuilder, archive: Zip, part: str) -> None:
    tree = next(xml.parse(archive, part).iter("{*}spTree"), None)
    if tree is None:
        return
    shapes = [shape for shape in tree.iter("{*}sp", "{*}graphicFrame") if not _is_fallback(shape)]
    # The title first, wherever it stands in the drawing order; the rest in that order, which is how screen readers go.
    for shape in [s for s in shapes if _placeholder(s) in _TITLES]:
        builder.heading(1, " ".join(_text(shape).split()))
    for shape in shapes:
        kind = _placeholder(shape)
        if kind in _TITLES or kind in _FRAME:
            continue
        if shape.tag.endswith("}graphicFrame"):
            for table in shape.iter("{*}tbl"):
                builder.block("\n".join(joined(_text(cell) for cell in row.iter("{*}tc")) for row in table.iter("{*}tr")))
        else:
            builder.block(_text(shape))
    for kind, notes in xml.relations(archive, part).values():
        if kind == "notesSlide" and (root := xml.parse_if_there(archive, notes)) is not None:
            spoken = "\n".join(_text(shape) for shape in root.iter("{*}sp") if _placeholder(shape) == "body")
            if spoken.strip():
                builder.block(f"Notes: {spoken}")


def _is_fallback(shape: Any) -> bool:
    return next(shape.iterancestors("{*}Fallback"), None) is not None


def _placeholder(shape: Any) -> str | None:
    element = next(shape.iter("{*}ph"), None)
    return None if element is None else (element.get("type") or "obj")


def _text(element: Any) -> str:
    """Paragraphs line by line; deeper levels of a list are indented."""
    lines = []
    for paragraph in element.iter("{*}p"):
        pieces = []
        for item in paragraph.iter("{*}t", "{*}br", "{*}pPr"):
            if item.tag.endswith("}pPr"):
                level = item.get("lvl") or "0"
                pieces.append("  " * min(int(level), 8) if level.isdigit() else "")
            else:
                pieces.append("\n" if item.tag.endswith("}br") else item.text or "")
        line = "".join(pieces).rstrip()
        if line.strip():
            lines.append(line)
    return "\n".join(lines)
