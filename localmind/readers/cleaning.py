"""Text without what parsers leave in it. Offsets of a document count in text that went through here."""

from __future__ import annotations

import re
import unicodedata

_NEWLINES = (0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029)
_SPACES = (0xA0, 0x2007, 0x202F)
_INVISIBLE = (0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF, 0xFFFE, 0xFFFF)
_CONTROLS = (*range(0x09), *range(0x0E, 0x1C), 0x1F, *range(0x7F, 0x85), *range(0x86, 0xA0))
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}

_TABLE: dict[int, str | None] = {
    **dict.fromkeys(_NEWLINES, "\n"),
    **dict.fromkeys(_SPACES, " "),
    **dict.fromkeys(_INVISIBLE + _CONTROLS, None),
    **_LIGATURES,
}
_UNCLEAN = re.compile("[" + "".join(re.escape(chr(code)) for code in _TABLE) + "]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SOFT_HYPHEN_AT_LINE_END = re.compile("\xad[ \t]*\r?\n[ \t]*")
# The look behind keeps it linear: without it, every space of a long run would be tried as a beginning.
_SPACE_AT_LINE_END = re.compile(r"(?<![ \t])[ \t]+(?=\n)")
_MANY_BLANK_LINES = re.compile(r"\n{3,}")
_WHITESPACE = re.compile(r"\s+")

MAX_HEADING_CHARS = 200


def clean(text: str) -> str:
    """`text` in NFC with \\n as the only line end, at most one blank line in a row, no controls, no invisible marks.

    Halves of a split surrogate pair are joined, lone ones go. U+FFFE (where pdfium saw a hyphen at a line's end) goes, so that
    the word is whole again. Ligatures become letters and no-break spaces spaces, so that a search for the plain word finds it.
    """
    text = clean_characters(text)
    if "\n" in text:
        if " \n" in text or "\t\n" in text:
            text = _SPACE_AT_LINE_END.sub("", text)
        if "\n\n\n" in text:
            text = _MANY_BLANK_LINES.sub("\n\n", text)
    return text.strip("\n").rstrip()


def clean_characters(text: str) -> str:
    """The part of `clean` that looks at characters alone: blank lines and spaces stay."""
    if text.isascii():
        if "\r" in text:
            text = text.replace("\r\n", "\n")
    else:
        if _SURROGATE.search(text):
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
        text = _SOFT_HYPHEN_AT_LINE_END.sub("", text).replace("\r\n", "\n")
        if not unicodedata.is_normalized("NFC", text):
            text = unicodedata.normalize("NFC", text)
    return text.translate(_TABLE) if _UNCLEAN.search(text) else text


def one_line(text: str) -> str:
    """Cleaned and on one line, for titles, headings and table cells."""
    return _WHITESPACE.sub(" ", clean_characters(text)).strip()


def as_heading(text: str) -> str:
    """A heading's words, cut where a mistaken style made a heading of a whole paragraph."""
    line = one_line(text)
    return line if len(line) <= MAX_HEADING_CHARS else line[: MAX_HEADING_CHARS - 1].rstrip() + "…"
