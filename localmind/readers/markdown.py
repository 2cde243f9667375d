"""Markdown stays as it is written: tables and code read well, and a quote stands in the file. Only front matter is taken out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from localmind.model import Document, Heading
from localmind.readers import formats
from localmind.readers.building import DocumentBuilder
from localmind.readers.cleaning import as_heading, clean
from localmind.readers.encoding import decode
from localmind.readers.formats import Reading

_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n((?:[^\n]*\n){0,200}?)(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_FIELD = re.compile(r"^([A-Za-z][\w-]*):[ \t]*(\S[^\n]*)$", re.MULTILINE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_NO_PARAGRAPH = re.compile(r" {0,3}(?:[#>|]|[-*+] |\d+[.)] |    |\t)")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|!?\[([^\]]*)\]\[[^\]]*\]")
_EMPHASIS = re.compile(r"(\*\*|__|\*|`|~~)(?=\S)([^\n]*?\S)\1")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_MAX_HEADING_LINE = 1000
_ATTRIBUTES = re.compile(r"\s*\{[#.:][^{}]*\}\s*$")


class _Line(NamedTuple):
    start: int
    text: str


def read(reading: Reading) -> Document:
    """Raises NoText."""
    text, encoding = decode(reading.path.read_bytes())
    return from_text(text, encoding=encoding)


def from_text(text: str, *, encoding: str = "utf-8") -> Document:
    """Title: the front matter's, else the first heading of level 1."""
    fields: dict[str, str] = {}
    text = clean(text)
    if (front := _FRONT_MATTER.match(text)) is not None and _FIELD.search(front[1]):
        fields = {key.lower(): value.strip(" \t'\"") for key, value in _FIELD.findall(front[1])}
        text = clean(text[front.end() :])
    builder = DocumentBuilder()
    builder.cleaned_block(text)
    found = list(headings(text))
    for heading in found:
        builder.mark(heading.level, heading.text, heading.start)
    title = fields.get("title") or next((heading.text for heading in found if heading.level == 1), None)
    meta = {"encoding": encoding, "author": fields.get("author", ""), "date": fields.get("date", "")}
    return builder.build(formats.MARKDOWN, title=title, meta=meta)


def headings(text: str) -> Iterator[Heading]:
    """The headings of a cleaned text, in order: `# ...` and underlined ones, those inside fenced code left out."""
    fence = ""
    before: _Line | None = None
    for line in _lines(text):
        if fence:
            if line.text.strip().startswith(fence) and not line.text.strip().strip(fence[0]):
                fence = ""
            continue
        if len(line.text) > _MAX_HEADING_LINE:
            before = None
        elif (opening := _FENCE.match(line.text)) is not None:
            fence, before = opening[1], None
        elif (atx := _ATX.match(line.text)) is not None:
            if words := plain_words(atx[2] or ""):
                yield Heading(level=len(atx[1]), start=line.start, text=words)
            before = None
        elif before is not None and (under := _UNDERLINE.match(line.text)) is not None:
            if words := plain_words(before.text):
                yield Heading(level=1 if under[1][0] == "=" else 2, start=before.start, text=words)
            before = None
        else:
            # Only a paragraph of one line is underlined here: a rule below a paragraph is far more often a separator.
            follows_text = before is not None or not line.text.strip() or _NO_PARAGRAPH.match(line.text) is not None
            before = None if follows_text else line


def plain_words(text: str) -> str:
    """A heading's words without links, emphasis, code marks and tags."""
    text = _ATTRIBUTES.sub("", text)
    text = _LINK.sub(lambda match: match[1] or match[2] or "", text)
    for _ in range(3):
        text = _EMPHASIS.sub(r"\2", text)
    return as_heading(_TAG.sub("", text))


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    while start <= len(text):
        end = text.find("\n", start)
        if end < 0:
            end = len(text)
        yield _Line(start, text[start:end])
        start = end + 1
