from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localmind.model import Document
from localmind.readers import formats
from localmind.readers.detect import detect
from localmind.readers.formats import Reading
from localmind.readers.sandbox import Readers
from localmind.settings import Settings


@pytest.fixture
def read() -> Callable[..., Document]:
    """Reads a file in this process, by its content, as a reader's process does."""

    def read(path: Path, *, filename: str | None = None, **options: object) -> Document:
        name = filename if filename is not None else path.name
        media_type = detect(path, name)
        module = importlib.import_module(f"localmind.readers.{formats.READER_MODULES[media_type]}")
        options.setdefault("ocr", False)
        document = module.read(Reading(path, name, media_type, lambda done, total: None, time.monotonic() + 60, **options))
        assert_sound(document)
        return document

    return read


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    readers = Readers(Settings(_env_file=None, reader_timeout_s=30, reader_stall_s=10, reader_memory_mb=512))
    readers.open()
    yield readers
    readers.close()


def assert_sound(document: Document) -> None:
    """What holds for every document: offsets within the text, pages in order, headings that stand where they say."""
    assert not set(document.text) & {"\x00", "\r", "\ufffe", "\u00ad"}
    document.text.encode()
    last = 0
    for page in document.pages:
        assert last <= page.start <= page.end <= len(document.text)
        last = page.end
    starts = [heading.start for heading in document.headings]
    assert starts == sorted(starts)
    assert all(0 <= start < len(document.text) for start in starts)
