"""HTML as text: the page's own content without menus, with headings, paragraphs, lists and tables where they stand."""

from __future__ import annotations

import re
from typing import Any

from localmind.model import Document
from localmind.readers import formats
from localmind.readers.building import DocumentBuilder
from localmind.readers.cleaning import clean_characters, one_line
from localmind.readers.encoding import decode
from localmind.readers.formats import Reading
from localmind.readers.tables import joined

_CHARSET = re.compile(
    rb"""<(?:meta\b[^>]{0,200}?charset|\?xml\b[^>]{0,200}?encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]{2,40})""", re.IGNORECASE
)
_WHITESPACE = re.compile(r"[ \t\n\r\f]+")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)

_SKIPPED = frozenset(
    ("script", "style", "noscript", "template", "svg", "iframe", "object", "embed", "canvas", "audio", "video", "head")
) | {
    *("nav", "aside", "button", "select", "textarea", "input", "dialog", "menu"),
}
_PAGE_FRAME = frozenset(("header", "footer"))
_SKIPPED_ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "complementary", "dialog", "alert"))
_BLOCKS = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "address", "hr", "figure", "figcaption", "summary")) | {
    *("html", "body", "main", "article", "section", "header", "footer", "hgroup", "div", "center", "form", "fieldset", "legend", "details"),
    *("ul", "ol", "li", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th"),
}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_MAIN_SHARE = 0.25
"""A <main> with less of the page's text than this is not where the content is."""


def read(reading: Reading) -> Document:
    """Raises NoText."""
    builder = DocumentBuilder()
    title = add_html(builder, reading.path.read_bytes())
    return builder.build(formats.HTML, title=title)


def add_html(builder: DocumentBuilder, data: bytes, *, level_offset: int = 0, whole: bool = False) -> str | None:
    """Adds a page's content and returns its title. whole: no search for the main part (a book's chapter, a mail)."""
    from lxml import etree

    text = _decode(data)
    if not text.strip():
        return None
    # The text is UTF-8 now, whatever its own declaration says; without huge_tree, libxml2 bounds depth and the size of a node.
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(text.encode("utf-8", "ignore"), parser)
    except etree.LxmlError:
        root = None
    if root is None:
        return None
    content = root if whole else _main(root)
    _Walk(builder, level_offset, within_main=whole or content is not root).walk(content)
    return _title(root)


def _decode(data: bytes) -> str:
    declared = _CHARSET.search(data[:4096])
    if declared is not None and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        name = declared[1].decode("ascii").lower()
        # Browsers read these as Windows-1252, and so do the pages that are labelled so (WHATWG Encoding Standard, section 4.2).
        name = "cp1252" if name in ("iso-8859-1", "latin1", "us-ascii", "ascii") else name
        try:
            return data.decode(name).replace("\x00", "")
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(data)[0].replace("\x00", "")


def _title(root: Any) -> str | None:
    for path in (".//title", ".//h1"):
        element = root.find(path)
        if element is not None and (words := one_line("".join(element.itertext()))):
            return words
    return None


def _main(root: Any) -> Any:
    """The element that holds the content: <main>, or the only <article>; the whole page where neither has a fair share of the text."""
    candidates = [*root.iter("main"), *root.xpath("//*[@role='main']")][:1]
    if not candidates:
        articles = list(root.iter("article"))
        candidates = articles if len(articles) == 1 else []
    for candidate in candidates:
        if _size(candidate) >= _MAIN_SHARE * _size(root):
            return candidate
    return root


def _size(element: Any) -> int:
    from lxml import etree

    # A tail is the parent's text, so it counts even behind a script.
    return sum(
        (0 if inner.tag in _SKIPPED else len((inner.text or "").strip())) + len((inner.tail or "").strip())
        for inner in element.iter(etree.Element)
    )


class _Walk:
    """One pass over a tree, without recursion. Inline text gathers until a block begins or ends."""

    def __init__(self, builder: DocumentBuilder, level_offset: int, *, within_main: bool) -> None:
        self._builder = builder
        self._level_offset = level_offset
        self._within_main = within_main
        self._inline: list[str] = []
        self._pre = 0
        self._list_depth = 0
        self._bullet = ""
        self._after_item = False
        self._cells: list[str] | None = None
        self._rows: list[str] = []
        self._data_table: Any = None

    def walk(self, root: Any) -> None:
        from lxml import etree

        steps = etree.iterwalk(root, events=("start", "end"))
        for event, element in steps:
            tag = element.tag if isinstance(element.tag, str) else ""
            if event == "start":
                if element is not root and self._is_skipped(tag, element):
                    steps.skip_subtree()
                    continue
                self._start(tag, element)
                self._add(element.text)
            else:
                if not self._is_skipped(tag, element):
                    self._end(tag, element)
                if element is not root:
                    self._add(element.tail)
        self._flush()

    def _is_skipped(self, tag: str, element: Any) -> bool:
        if not tag or tag in _SKIPPED or (tag in _PAGE_FRAME and not self._within_main):
            return True
        if not element.attrib:
            return False
        if element.get("hidden") is not None or element.get("aria-hidden") == "true" or element.get("role") in _SKIPPED_ROLES:
            return True
        style = element.get("style")
        return style is not None and _HIDDEN_STYLE.search(style) is not None

    def _add(self, text: str | None) -> None:
        if text:
            self._inline.append(clean_characters(text) if self._pre else _WHITESPACE.sub(" ", text))

    def _start(self, tag: str, element: Any) -> None:
        if tag == "br":
            self._inline.append("\n")
        if tag not in _BLOCKS:
            return
        if self._data_table is not None:
            self._inline.append(" ")
            if tag == "tr":
                self._cells = []
            return
        self._flush()
        if tag == "pre":
            self._pre += 1
        elif tag in ("ul", "ol"):
            self._list_depth += 1
        elif tag == "li":
            self._bullet = "  " * (self._list_depth - 1) + "- "
        elif tag == "table" and _holds_data(element):
            self._data_table = element

    def _end(self, tag: str, element: Any) -> None:
        if tag not in _BLOCKS:
            return
        if self._data_table is not None:
            self._end_in_table(tag, element)
            return
        if tag in _HEADINGS:
            words = self._take()
            self._builder.heading(_HEADINGS[tag] + self._level_offset, words)
            self._after_item = False
        else:
            self._flush()
        if tag == "pre":
            self._pre = max(0, self._pre - 1)
        elif tag in ("ul", "ol"):
            self._list_depth = max(0, self._list_depth - 1)
            self._after_item = self._after_item and self._list_depth > 0
        elif tag == "li":
            self._bullet = ""

    def _end_in_table(self, tag: str, element: Any) -> None:
        if tag in ("td", "th") and self._cells is not None:
            self._cells.append(self._take())
        elif tag == "tr":
            self._rows.append(joined(self._cells or ()))
            self._cells = None
        elif tag == "caption":
            self._builder.block(self._take())
        elif element is self._data_table:
            self._inline.clear()
            self._builder.block("\n".join(row for row in self._rows if row))
            self._rows.clear()
            self._data_table, self._after_item = None, False
        else:
            self._inline.append(" ")

    def _take(self) -> str:
        text = "".join(self._inline)
        self._inline.clear()
        if self._pre:
            return text.strip("\n")
        return "\n".join(line for line in (_WHITESPACE.sub(" ", line).strip() for line in text.split("\n")) if line)

    def _flush(self) -> None:
        text = self._take()
        if not text.strip():
            return
        # Items of a list stand line under line; other blocks are parted by a blank line.
        is_item = bool(self._bullet)
        self._builder.block(self._bullet + text, separator="\n" if is_item and self._after_item else "\n\n")
        self._bullet = ""
        self._after_item = is_item


def _holds_data(table: Any) -> bool:
    """Whether a table is one, and not a page's scaffold."""
    if table.get("role") in ("presentation", "none"):
        return False
    for inner in table.iter("table", "h1", "h2", "h3", "ul", "ol", "pre"):
        if inner is not table:
            return False
    first_row = table.find(".//tr")
    return first_row is not None and sum(1 for cell in first_row if cell.tag in ("td", "th")) > 1
