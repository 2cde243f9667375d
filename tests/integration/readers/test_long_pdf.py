from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from localmind.readers.sandbox import Readers
from localmind.settings import Settings

MANUAL = Path("/usr/share/R/doc/manual/fullrefman.pdf")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not MANUAL.exists(), reason="Debian's r-doc-pdf is not installed"),
]


def test_a_manual_of_2400_pages_is_read_in_seconds_and_little_memory() -> None:
    readers = Readers(Settings(_env_file=None))
    peak_bytes = 0

    def look() -> bool:
        nonlocal peak_bytes
        peak_bytes = max([peak_bytes, *(child.memory_info().rss for child in psutil.Process(os.getpid()).children())])
        return False

    began = time.monotonic()
    document = readers.read(MANUAL, filename=MANUAL.name, cancelled=look)
    took_s = time.monotonic() - began
    readers.close()
    assert len(document.pages) > 2400
    assert peak_bytes < 150_000_000
    assert took_s < 60, "pdfium alone takes about 2 s; the rest is for busy machines"


def test_its_headings_stand_where_their_words_are() -> None:
    readers = Readers(Settings(_env_file=None))
    document = readers.read(MANUAL, filename=MANUAL.name)
    readers.close()
    letters = [
        ("".join(filter(str.isalnum, heading.text)), "".join(filter(str.isalnum, document.text[heading.start : heading.start + 160])))
        for heading in document.headings
    ]
    assert len(letters) > 1400
    assert sum(here.startswith(title[:20]) or title[:20] in here[:60] for title, here in letters) >= 0.99 * len(letters)
    assert "\ufffe" not in document.text
