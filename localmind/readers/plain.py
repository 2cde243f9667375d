"""Plain text. Its paragraphs are what blank lines part."""

from __future__ import annotations

from localmind.model import Document
from localmind.readers import formats
from localmind.readers.building import DocumentBuilder
from localmind.readers.encoding import decode
from localmind.readers.formats import Reading


def read(reading: Reading) -> Document:
    """Raises NoText."""
    text, encoding = decode(reading.path.read_bytes())
    builder = DocumentBuilder()
    builder.block(text)
    return builder.build(formats.TEXT, meta={"encoding": encoding})
