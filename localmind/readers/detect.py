"""What a file is, told from its content. A name decides only between kinds of text that look alike."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from localmind.errors import Encrypted, NoText, UnsupportedType
from localmind.readers import formats
from localmind.readers.containers import Zip, open_zip
from localmind.readers.encoding import decode_head

HEAD_BYTES = 262_144
"""Enough to see the first conversation's `mapping` behind the fields that may stand before it."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"II*\x00", "a TIFF picture"),
    (0, b"MM\x00*", "a TIFF picture"),
    (0, b"BM", "a BMP picture"),
    (8, b"WEBP", "a WebP picture"),
    (8, b"WAVE", "a WAV sound file"),
    (8, b"AVI ", "an AVI video"),
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftypM4A", "an M4A sound file"),
    (4, b"ftyp", "an MP4 video"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (0, b"ID3", "an MP3 sound file"),
    (0, b"\xff\xfb", "an MP3 sound file"),
    (0, b"OggS", "an Ogg sound file"),
    (0, b"fLaC", "a FLAC sound file"),
    (0, b"MZ", "a Windows program"),
    (0, b"\x7fELF", "a Linux program"),
    (0, b"\xca\xfe\xba\xbe", "a macOS program or Java class"),
    (0, b"\xcf\xfa\xed\xfe", "a macOS program"),
    (0, b"\x00asm", "a WebAssembly program"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"(\xb5/\xfd", "a Zstandard archive"),
    (0, b"7z\xbc\xaf'\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS picture"),
    (60, b"BOOKMOBI", "a Mobipocket or Kindle book"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"wOFF", "a font"),
    (0, b"\x00\x01\x00\x00\x00", "a font"),
    (0, b"OTTO", "a font"),
    (0, b"!BDN", "an Outlook mailbox"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_WAY_OUT = {
    "an RTF document": "Save it as DOCX or PDF.",
    "a Mobipocket or Kindle book": "Convert it to EPUB.",
    "a DjVu document": "Convert it to PDF.",
    "a PostScript file": "Convert it to PDF.",
}

_OPEN_DOCUMENTS = {formats.ODT: formats.ODT, formats.ODS: formats.ODS, formats.EPUB: formats.EPUB}
_EXPORT_MEMBER = re.compile(r"(?:[^/]+/)?conversations(?:-\d+)?\.json")
_EXPORT_JSON = re.compile(
    r'\s*(?:\[|\{(?:(?!"mapping").){0,4000}?"conversations"\s*:\s*\[)\s*\{.*?"mapping"\s*:\s*(?:\{|null)',
    re.DOTALL,
)
_CONVERSATION_JSON = re.compile(r'\s*\{.*?"mapping"\s*:\s*\{\s*(?:\}|"[^"]{1,100}"\s*:\s*\{)', re.DOTALL)
_CONVERSATION_FIELDS = re.compile(r'"(?:current_node|conversation_id|create_time)"\s*:')
_HTML = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_HTML_TAGS = re.compile(r"</?(?:p|div|h[1-6]|ul|ol|li|table|tr|td|br|span|a|section|article|pre)\b[^<>]*>", re.IGNORECASE)
_MAIL_HEADER = re.compile(r"^([A-Za-z][A-Za-z0-9-]*):(?: |\t|$)")
_MAIL_NAMES = frozenset(
    ("from", "to", "cc", "subject", "date", "message-id", "received", "return-path", "mime-version", "delivered-to", "content-type")
)
# Detection runs outside the sandbox: no pattern here may take more than linear time on any text.
_MARKDOWN = (
    re.compile(r"^#{1,6} \S", re.MULTILINE),
    re.compile(r"^(?:```|~~~)", re.MULTILINE),
    re.compile(r"\[[^\]\[\n]{1,200}\]\([^)\s]{1,500}\)"),
    re.compile(r"^\|?(?: *:?-{3,}:? *\|)+", re.MULTILINE),
    re.compile(r"(?<!\*)\*\*[^*\n]{1,200}\*\*(?!\*)"),
    re.compile(r"^[^\n]+\n(?:={3,}|-{3,}) *$", re.MULTILINE),
)
_NAMED = {
    ".md": formats.MARKDOWN,
    ".markdown": formats.MARKDOWN,
    ".mdx": formats.MARKDOWN,
    ".html": formats.HTML,
    ".htm": formats.HTML,
    ".xhtml": formats.HTML,
    ".csv": formats.CSV,
    ".tsv": formats.CSV,
    ".json": formats.JSON,
    ".jsonl": formats.JSON,
    ".ndjson": formats.JSON,
    ".ipynb": formats.JSON,
    ".txt": formats.TEXT,
    ".log": formats.TEXT,
}


def detect(path: Path, filename: str) -> str:
    """A media type of `formats`.

    Raises UnsupportedType (says what the file is), Encrypted, Broken (a zip without its directory), NoText (an empty file).
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.strip(b"\x00 \t\r\n\xef\xbb\xbf\xfe\xff"):
        raise NoText("The file is empty.", hint="Check that it is the right file and that it was copied to its end.")
    if b"%PDF-" in head[:1024]:
        return formats.PDF
    if head.startswith(_ZIP):
        with open_zip(path) as archive:
            return _zip_kind(archive)
    if head.startswith(_OLE):
        return _ole_kind(path)
    for offset, signature, name in _SIGNATURES:
        if head.startswith(signature, offset) and not (len(signature) == 2 and _looks_like_text(head)):
            raise unsupported(name, _WAY_OUT.get(name, ""))
    text = decode_head(head)
    if text is None:
        raise unsupported("a binary file of a kind unknown here")
    return text_kind(text, filename)


def text_kind(text: str, filename: str) -> str:
    """The kind of a text, seen at its beginning."""
    text = text.lstrip("\ufeff")
    first = text.lstrip()[:1]
    if first in ("{", "["):
        if (kind := _json_kind(text)) is not None:
            return kind
    elif first == "<" and _HTML.match(_without_prolog(text)):
        return formats.HTML
    if _is_mail(text):
        return formats.EML
    named = _NAMED.get(PurePath(filename.lower()).suffix)
    if named is not None and _possible(named, text):
        return named
    if first == "<" and len(_HTML_TAGS.findall(text[:65_536])) >= 3 and not text.lstrip().startswith("<?xml"):
        return formats.HTML
    if sum(1 for mark in _MARKDOWN if mark.search(text[:65_536])) >= 2:
        return formats.MARKDOWN
    from localmind.readers.delimited import find_dialect

    return formats.CSV if find_dialect(text, strict=True) is not None else formats.TEXT


def unsupported(what: str, way_out: str = "") -> UnsupportedType:
    return UnsupportedType(f"The file is {what}, which can't be read.", hint=f"{way_out} {formats.WHAT_IS_READ}".strip())


def _looks_like_text(head: bytes) -> bool:
    """Signatures of two letters also begin words ("BMW", "MZ-80")."""
    return b"\x00" not in head[:4096] and decode_head(head[:4096]) is not None


def _zip_kind(archive: Zip) -> str:
    names = archive.names
    if "mimetype" in archive and archive.size("mimetype") < 200:
        declared = archive.read("mimetype").decode("ascii", "replace").strip()
        if declared in _OPEN_DOCUMENTS:
            return declared
        if declared.startswith("application/vnd.oasis.opendocument"):
            raise unsupported(f"an OpenDocument file of the kind {declared.rpartition('.')[2]!r}", "Save it as PDF.")
    if "META-INF/container.xml" in archive:
        return formats.EPUB
    if "[Content_Types].xml" in archive:
        for folder, kind in (("word/", formats.DOCX), ("ppt/", formats.PPTX), ("xl/", formats.XLSX)):
            if any(name.startswith(folder) for name in names):
                return kind
    if any(_EXPORT_MEMBER.fullmatch(name) for name in names):
        return formats.CHATGPT_ZIP
    raise unsupported("a ZIP archive of none of the kinds that are read", "Unpack it and put in the files inside.")


def _ole_kind(path: Path) -> str:
    """Old Office files, and new ones with a password, which Office wraps in the old container. Stream names are UTF-16."""
    with path.open("rb") as file:
        data = file.read(8_000_000)
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise Encrypted("The document is protected by a password.", hint="Open it, remove the password, save it, and put it in again.")
    if "Workbook".encode("utf-16-le") in data:
        return formats.XLS
    if "WordDocument".encode("utf-16-le") in data:
        raise unsupported("a Word document of before 2007 (.doc)", "Save it as DOCX.")
    if "PowerPoint Document".encode("utf-16-le") in data:
        raise unsupported("a PowerPoint file of before 2007 (.ppt)", "Save it as PPTX.")
    if "__substg1.0_".encode("utf-16-le") in data:
        raise unsupported("an Outlook message (.msg)", "Save it as EML.")
    raise unsupported("an old Office file")


def _json_kind(text: str) -> str | None:
    if _CONVERSATION_FIELDS.search(text):
        if _EXPORT_JSON.match(text):
            return formats.CHATGPT_JSON
        if _CONVERSATION_JSON.match(text):
            return formats.CONVERSATION
    from localmind.readers.json_text import begins_json

    return formats.JSON if begins_json(text) else None


def _without_prolog(text: str) -> str:
    """The text from the first tag that is neither comment nor XML declaration."""
    at = 0
    while True:
        while text[at : at + 1].isspace():
            at += 1
        if text.startswith("<!--", at):
            end, width = text.find("-->", at), 3
        elif text.startswith("<?", at):
            end, width = text.find("?>", at), 2
        else:
            return text[at:]
        if end < 0:
            return ""
        at = end + width


def _is_mail(text: str) -> bool:
    """Header lines from the first line on, two of them with names that every mail has."""
    known: set[str] = set()
    for line in text[:16_384].split("\n")[:60]:
        line = line.rstrip("\r")
        if not line:
            break
        if line[0] in " \t" and known:
            continue
        header = _MAIL_HEADER.match(line)
        if header is None:
            if line.startswith("From ") and not known:
                continue
            return False
        known.add(header[1].lower())
    return len(known & _MAIL_NAMES) >= 3 and bool(known & {"from", "received", "message-id"})


def _possible(kind: str, text: str) -> bool:
    """Whether a text can be what its name says: a picture's name on a text decides nothing, a wrong .json falls back to text."""
    if kind == formats.JSON:
        return text.lstrip()[:1] in ("{", "[")
    if kind == formats.HTML:
        return _HTML_TAGS.search(text) is not None or "<" in text
    if kind == formats.CSV:
        from localmind.readers.delimited import find_dialect

        return find_dialect(text, strict=False) is not None
    return True
