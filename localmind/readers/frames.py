"""What a reader's process and the service say to each other: length, kind, bytes. Never pickles, since the child has read hostile files."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from localmind.model import Document, Heading, Page, Part

_HEADER = struct.Struct(">cI")
MAX_FRAME_BYTES = 1_000_000_000

REQUEST = b"Q"
PROGRESS = b"P"
DOCUMENT = b"D"
TEXT = b"T"
PART = b"I"
DATA = b"B"
DONE = b"E"
ERROR = b"X"


class Frame(NamedTuple):
    kind: bytes
    body: bytes | bytearray

    @property
    def fields(self) -> dict[str, Any]:
        """The body as JSON. Raises ValueError when it is none: then the child can't be trusted any more."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        return value


def send(descriptor: int, kind: bytes, body: bytes | Mapping[str, Any] = b"") -> None:
    """Writes one frame, all of it. Raises BrokenPipeError when nobody listens any more."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    view = memoryview(_HEADER.pack(kind, len(body)) + body) if len(body) < 65_536 else None
    for piece in (view,) if view is not None else (memoryview(_HEADER.pack(kind, len(body))), memoryview(body)):
        at = 0
        while at < len(piece):
            at += os.write(descriptor, piece[at : at + (1 << 20)])


class FrameReader:
    """Puts frames together from the pieces that a pipe gives."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()

    def take(self) -> Frame | None:
        """A whole frame, or None until more was read. Raises ValueError for a frame beyond all bounds."""
        if len(self._buffer) < _HEADER.size:
            return None
        kind, length = _HEADER.unpack_from(self._buffer)
        if length > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {length} bytes")
        end = _HEADER.size + length
        if len(self._buffer) < end:
            return None
        body = self._buffer[_HEADER.size : end]
        del self._buffer[:end]
        return Frame(kind, body)

    def fill(self) -> bool:
        """Reads what is there, waiting for some. False at the end of the stream."""
        piece = os.read(self._descriptor, 1 << 20)
        self._buffer += piece
        return bool(piece)


def send_document(descriptor: int, document: Document) -> None:
    fields = asdict(document)
    text = fields.pop("text")
    fields["headings"] = [(h.level, h.start, h.text) for h in document.headings]
    fields["pages"] = [(p.number, p.start, p.end) for p in document.pages]
    send(descriptor, TEXT, text.encode("utf-8"))
    send(descriptor, DOCUMENT, fields)


def document_from(text: str, fields: Mapping[str, Any]) -> Document:
    """Raises KeyError, TypeError, ValueError when the fields are not what `send_document` sends."""
    return Document(
        text=text,
        media_type=str(fields["media_type"]),
        title=None if fields["title"] is None else str(fields["title"]),
        pages=tuple(Page(int(number), int(start), int(end)) for number, start, end in fields["pages"]),
        headings=tuple(Heading(int(level), int(start), str(words)) for level, start, words in fields["headings"]),
        empty_pages=tuple(map(int, fields["empty_pages"])),
        ocr_pages=tuple(map(int, fields["ocr_pages"])),
        notes=tuple(map(str, fields["notes"])),
        meta={str(key): str(value) for key, value in fields["meta"].items()},
    )


def send_part(descriptor: int, part: Part) -> None:
    send(descriptor, DATA, part.data)
    send(descriptor, PART, {"uri": part.uri, "title": part.title, "media_type": part.media_type})


def part_from(data: bytes | bytearray, fields: Mapping[str, Any]) -> Part:
    return Part(uri=str(fields["uri"]), title=str(fields["title"]), media_type=str(fields["media_type"]), data=bytes(data))
