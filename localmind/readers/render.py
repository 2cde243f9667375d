"""A PDF page as a picture, and where a quote stands on it.

pdfium takes hostile files badly (some kB can cost minutes and gigabytes), so each call is a short-lived child process with limits on
time and memory. Pictures are cached in memory and not on disk, so that a deleted source leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple

from localmind.errors import Broken, ReaderLimit
from localmind.readers import isolation

MAX_WIDTH = 1600
MAX_HEIGHT = 8000
MAX_PIXELS = 6_000_000
"""An A4 page at 1,600 pixels width has 3.6 million; more is for pages that are long rolls."""
MAX_PAGE_CHARS = 200_000
MAX_PNG_BYTES = 25_000_000
MAX_QUOTE_CHARS = 20_000


class Box(NamedTuple):
    """A rectangle on a page, as fractions of the page's width and height, from its top left corner."""

    left: float
    top: float
    width: float
    height: float


class PageImages:
    """Renders pages of PDF files. Safe to share between threads; at most `at_once` children run."""

    def __init__(self, *, timeout_s: float = 10, memory_mb: int = 768, cache_bytes: int = 24_000_000, at_once: int = 2) -> None:
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(at_once)

    def image(self, pdf: Path, number: int, *, key: str) -> bytes:
        """Page `number` (from 1) as PNG. key: names the file's content, so that a new version is a new picture.

        Raises Broken (not a PDF, no such page) and ReaderLimit.
        """
        with self._lock:
            if (png := self._cache.get((key, number))) is not None:
                self._cache.move_to_end((key, number))
                return png
        png = self._child("image", pdf, number)
        if not png.startswith(b"\x89PNG") or len(png) > MAX_PNG_BYTES:
            raise ReaderLimit("This page is too complex to be shown.", hint="Open the original file instead.", page=number)
        with self._lock:
            self._cache[key, number] = png
            while sum(map(len, self._cache.values())) > self._cache_bytes and len(self._cache) > 1:
                self._cache.popitem(last=False)
        return png

    def locate(self, pdf: Path, number: int, quote: str) -> tuple[Box, ...]:
        """The rectangles that cover the quote's lines on page `number`, in reading order; empty when it is not found there.

        The quote may begin on the page before or end on the next one: what stands on this page is found.
        Raises Broken and ReaderLimit like `image`.
        """
        found = json.loads(self._child("locate", pdf, number, quote[:MAX_QUOTE_CHARS]))
        return tuple(Box(*map(float, box)) for box in found)

    def _child(self, task: str, pdf: Path, number: int, stdin: str = "") -> bytes:
        command = [sys.executable, "-I", "-m", "localmind.readers.render", task, str(pdf.resolve()), str(number), str(self._memory_mb)]
        with self._slots:
            try:
                done = subprocess.run(  # noqa: S603 (our own module; the arguments are a path and numbers)
                    [*command, str(int(self._timeout_s) + 1)],
                    input=stdin.encode("utf-8", "replace"),
                    capture_output=True,
                    timeout=self._timeout_s,
                    check=False,
                    env={name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ},  # no secrets
                )
            except subprocess.TimeoutExpired:
                raise ReaderLimit("This page took too long to draw.", hint="Open the original file instead.", page=number) from None
        if done.returncode == 0:
            return done.stdout
        if done.returncode == NOT_READABLE:
            raise Broken("This page can't be drawn: the file is damaged or has no such page.", hint="Open the original file.", page=number)
        raise ReaderLimit("This page is too complex to be shown.", hint="Open the original file instead.", page=number)


# --- The child process -----------------------------------------------------------------------------------------------

NOT_READABLE = 3


def _main(arguments: list[str], stdin: IO[bytes], stdout: IO[bytes]) -> int:
    task, path, number, memory_mb, cpu_s = arguments
    _limit(int(memory_mb), int(cpu_s))
    isolation.cut_off()
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
        if not 1 <= int(number) <= len(document):
            return NOT_READABLE
        page = document[int(number) - 1]
        stdout.write(_png(page) if task == "image" else json.dumps(_boxes(page, stdin.read().decode("utf-8"))).encode())
    except (pypdfium2.PdfiumError, OSError):
        return NOT_READABLE
    stdout.flush()
    return 0


def _limit(memory_mb: int, cpu_s: int) -> None:
    """macOS ignores RLIMIT_AS; there the time limit alone bounds the child."""
    import resource

    for limit, value in ((resource.RLIMIT_AS, memory_mb * 1_000_000), (resource.RLIMIT_CPU, cpu_s), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _png(page: Any) -> bytes:
    import io

    width, height = (max(side, 0.01) for side in page.get_size())
    scale = min(MAX_WIDTH / width, MAX_HEIGHT / height, (MAX_PIXELS / (width * height)) ** 0.5)
    picture = page.render(scale=scale, may_draw_forms=False).to_pil()
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def _boxes(page: Any, quote: str) -> list[Box]:
    import pypdfium2.raw as pdfium

    textpage = page.get_textpage()
    # One by one, since the text as a whole leaves characters out and counts in UTF-16: its places are not those of the rectangles.
    count = min(textpage.count_chars(), MAX_PAGE_CHARS)
    letters, places = letters_of(map(_character, (pdfium.FPDFText_GetUnicode(textpage, k) for k in range(count))))
    boxes = []
    for start, end in find_quote(letters, letters_of(quote)[0]):
        first, last = places[start], places[end - 1]
        boxes += [_on_screen(page, textpage.get_rect(k)) for k in range(textpage.count_rects(first, last - first + 1))]
    return [box for box in boxes if box.width > 0 and box.height > 0]


def _character(code: int) -> str:
    return chr(code) if code < 0x110000 else "\ufffd"


def letters_of(text: Iterable[str]) -> tuple[str, list[int]]:
    """The text's letters and digits alone, in lower case, and the place of each in the text.

    Cleaning joins hyphenated words and lines, and fonts have ligatures: none of that is left here.
    """
    import unicodedata

    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for letter in unicodedata.normalize("NFKC", character).casefold():
            if letter.isalnum():
                letters.append(letter)
                places.append(place)
    return "".join(letters), places


def find_quote(page: str, quote: str, *, piece: int = 24) -> list[tuple[int, int]]:
    """Where the quote stands on the page, as half-open ranges in order; both are letters and digits alone.

    A quote that is not there as a whole (a page break, or a header line in its middle) is looked up in pieces, and the pieces found are
    joined where they touch. Pieces have to follow each other, so that a phrase repeated elsewhere is not marked.
    """
    if not quote:
        return []
    if (whole := page.find(quote)) >= 0:
        return [(whole, whole + len(quote))]
    ranges: list[tuple[int, int]] = []
    after = 0
    for k in range(0, max(len(quote) - piece // 2, 1), piece):
        part = quote[k : k + piece]
        if len(part) < piece // 2 or (at := page.find(part, after)) < 0:
            continue
        after = at + len(part)
        if ranges and at == ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], after)
        else:
            ranges.append((at, after))
    return ranges


def _on_screen(page: Any, rectangle: tuple[float, float, float, float]) -> Box:
    """From the PDF's points, counted from the bottom left before cropping and rotation, to fractions of what is drawn."""
    import ctypes

    import pypdfium2.raw as pdfium

    unit = 100_000
    corners = []
    left, bottom, right, top = rectangle
    for x, y in ((left, bottom), (right, top)):
        device_x, device_y = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDF_PageToDevice(page, 0, 0, unit, unit, 0, x, y, device_x, device_y)
        corners.append((min(max(device_x.value / unit, 0), 1), min(max(device_y.value / unit, 0), 1)))
    (x1, y1), (x2, y2) = corners
    return Box(min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1))


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer))
