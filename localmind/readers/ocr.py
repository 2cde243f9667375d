"""Pages as pictures through Tesseract, where it is installed. Runs inside a reader's child process and under its limits."""

from __future__ import annotations

import math
import os
import resource
import shutil
import subprocess
import time
from typing import Any

from localmind.readers.formats import Reading

DPI = 300
"""What Tesseract's models were trained for; less loses small print, more only costs time."""
MAX_PIXELS = 25_000_000
"""A page of A3 at 300 dpi has 17 million; larger ones are rendered more coarsely."""

_INSTALL = "Install Tesseract (Debian: apt install tesseract-ocr; macOS: brew install tesseract) and ingest again."


class Tesseract:
    """An installed Tesseract with the languages to try."""

    def __init__(self, program: str, languages: str) -> None:
        self._program = program
        self._languages = languages

    def recognise(self, document: Any, index: int, *, timeout_s: float) -> str:
        """The text of a page, "" where none is found or the time is up."""
        picture = _render(document, index)
        # --psm 1: find columns and turned pages; one thread, since the readers share the machine.
        command = [self._program, "stdin", "stdout", "-l", self._languages, "--psm", "1", "--dpi", str(DPI)]
        seconds = math.ceil(timeout_s)
        try:
            done = subprocess.run(  # noqa: S603 the program is found by name, the languages are checked by the settings
                command,
                input=picture,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=timeout_s,
                check=False,
                env={**os.environ, "OMP_THREAD_LIMIT": "1"},
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1)),
            )
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def find(languages: str) -> tuple[Tesseract | None, str]:
    """(the engine, ""), or (None, what is missing and how to mend it)."""
    program = shutil.which("tesseract")
    if program is None:
        return None, _INSTALL
    listed = subprocess.run([program, "--list-langs"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    there = set(listed.stdout.split())
    missing = [language for language in languages.split("+") if language not in there]
    if missing:
        packages = " ".join(f"tesseract-ocr-{language.replace('_', '-')}" for language in missing)
        return None, f"Tesseract lacks the language {' and '.join(missing)} (OCR_LANGUAGES): apt install {packages}, and ingest again."
    return Tesseract(program, languages), ""


def is_too_late(reading: Reading) -> bool:
    return time.monotonic() > reading.deadline


def _render(document: Any, index: int) -> bytes:
    """The page as a PGM picture: 8 bits of grey, which needs no encoder."""
    import pypdfium2

    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return b""
    width, height = page.get_size()
    scale = min(DPI / 72, math.sqrt(MAX_PIXELS / max(width * height, 1.0)))
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        data = bytes(bitmap.buffer)
        rows = (
            data
            if bitmap.stride == bitmap.width
            else b"".join(data[start : start + bitmap.width] for start in range(0, bitmap.stride * bitmap.height, bitmap.stride))
        )
        return b"P5 %d %d 255\n" % (bitmap.width, bitmap.height) + rows
    finally:
        bitmap.close()
        page.close()
