"""What can be read: media types, the module that reads each, and how a person calls them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLS = "application/vnd.ms-excel"
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
EPUB = "application/epub+zip"
HTML = "text/html"
MARKDOWN = "text/markdown"
TEXT = "text/plain"
CSV = "text/csv"
JSON = "application/json"
EML = "message/rfc822"
CHATGPT_ZIP = "application/vnd.chatgpt.export+zip"
CHATGPT_JSON = "application/vnd.chatgpt.export+json"
CONVERSATION = "application/vnd.chatgpt.conversation+json"

CONTAINERS = frozenset({CHATGPT_ZIP, CHATGPT_JSON})
"""Files whose parts become sources of their own."""

TEXT_KINDS = frozenset({HTML, MARKDOWN, TEXT, CSV, JSON})
"""Kinds that content alone can't always tell apart: here a name or a server's word decides."""

READER_MODULES = {
    PDF: "pdf",
    DOCX: "docx",
    PPTX: "pptx",
    XLSX: "spreadsheet",
    XLS: "spreadsheet",
    ODS: "spreadsheet",
    ODT: "odt",
    EPUB: "epub",
    HTML: "html",
    MARKDOWN: "markdown",
    TEXT: "plain",
    CSV: "delimited",
    JSON: "json_text",
    EML: "eml",
    CONVERSATION: "chatgpt",
}
"""Media type -> module of this package with `read(reading) -> Document`."""

WHAT_IS_READ = "Local Mind reads PDF, DOCX, PPTX, XLSX, ODT, EPUB, EML, HTML, Markdown, text, CSV, JSON and ChatGPT exports."

MAX_TEXT_CHARS = 100_000_000
"""Most characters of one document. A 100 MB text file fits; what a decompression bomb unfolds does not."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader is given.

    progress: (pages done, all; 0 where that is not known). deadline: time.monotonic() by which OCR has to stop, so that what was
    read by then is kept.
    """

    path: Path
    filename: str
    media_type: str
    progress: Callable[[int, int], None]
    deadline: float
    stall_s: float = 30.0
    ocr: bool = True
    ocr_languages: str = "eng"
