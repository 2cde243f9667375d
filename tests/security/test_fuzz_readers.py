"""Damaged files of every format, for FUZZ_SECONDS: each is a document or a clear error, and nothing happens outside the child process.

A run prints its seed; FUZZ_SEED repeats it. A file that breaks the promise is kept, and its path told.
"""

from __future__ import annotations

import io
import os
import random
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from localmind.errors import LocalMindError
from localmind.readers.render import PageImages
from localmind.readers.sandbox import Readers
from localmind.settings import Settings
from tests.security.seeds import all_seeds

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("FUZZ_SEED", time.time_ns() % 2**32))

DETECT_S = 2.0
"""Longest time that telling a file's type may take: that is done in the service's own process."""

NUMBERS = (b"0", b"-1", b"255", b"65536", b"2147483647", b"4294967296", b"99999999999999999999", b"1e309", b"NaN")
BYTES = (
    b"\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"<",
    b"&",
    b'"',
    b"]]>",
    b"<!--",
    b"{",
    b"[" * 200,
    b"\xed\xa0\x80",
    b"%s%n",
    b"../../",
)


def damaged(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """A file with one to eight changes, of bytes or of a zip's members."""
    if data.startswith(b"PK") and chance.random() < 0.7:
        return inside_zip(data, other, chance)
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(changed) + 1)
        length = min(chance.choice((1, 2, 4, 16, 256)), len(changed) - at)
        match chance.randrange(8):
            case 0 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = changed[at : at + length] * chance.choice((1, 2, 50))
            case 3:
                changed[at : at + length] = chance.randbytes(length)
            case 4:
                changed[at : at + length] = chance.choice(BYTES)
            case 5:
                changed[at : at + length] = chance.choice(NUMBERS)
            case 6:
                start = chance.randrange(len(other))
                changed[at:at] = other[start : start + chance.choice((4, 64, 1024))]
            case _:
                del changed[max(at, 1) :]
        if not changed:
            changed += b"x"
    return bytes(changed)


def inside_zip(data: bytes, other: bytes, chance: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        chosen = chance.choice(names)
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as changed:
            for name in names:
                content = archive.read(name)
                if name == chosen:
                    if chance.random() < 0.1:
                        continue
                    content = damaged(content or b"x", other, chance) if not content.startswith(b"PK") else content
                changed.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.timeout(SECONDS + 300)
def test_damaged_files_are_documents_or_clear_errors(capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    seeds = all_seeds()
    ends: Counter[str] = Counter()
    folder = Path(tempfile.mkdtemp(prefix="localmind-fuzz-"))
    path = folder / "file"
    readers = Readers(Settings(_env_file=None, reader_timeout_s=20, reader_stall_s=10, reader_memory_mb=512, ocr="off"))
    images = PageImages(timeout_s=20)
    readers.open()
    until = time.monotonic() + SECONDS
    try:
        while time.monotonic() < until:
            name = chance.choice(list(seeds))
            path.write_bytes(damaged(seeds[name], seeds[chance.choice(list(seeds))], chance))
            ends[one(readers, path, name)] += 1
            if name.endswith(".pdf") and chance.random() < 0.05:
                ends[f"drawn: {drawn(images, path)}"] += 1
    except BaseException as error:
        error.add_note(f"FUZZ_SEED={SEED}; the file is kept as {path} (it was called {name})")
        raise
    finally:
        readers.close()
    path.unlink()
    folder.rmdir()
    with capsys.disabled():
        print(f"\nFUZZ_SEED={SEED}, {SECONDS:g} s, {ends.total():,} files: {dict(ends.most_common())}")
    assert ends["document"] > 0


def one(readers: Readers, path: Path, name: str) -> str:
    """How it ended: "document", or an error's class; a parser's crash in the child is told apart."""
    began = time.monotonic()
    try:
        readers.detect(path, name)
    except LocalMindError:
        pass
    finally:
        assert time.monotonic() - began < DETECT_S, "telling the type took too long"
    try:
        parts = readers.parts(path, filename=name)
        if parts is None:
            text = readers.read(path, filename=name).text
            text.encode()
            return "document"
        for part in parts:
            assert part.title is not None
    except LocalMindError as error:
        assert error.message and (error.hint or error.error_type == "no_text"), "an error has to tell the way out"
        crashed = "crashed" in error.message
        return "crash in the child" if crashed else type(error).__name__
    return "document"


def drawn(images: PageImages, path: Path) -> str:
    try:
        images.image(path, 1, key=str(time.monotonic_ns()))
    except LocalMindError as error:
        return type(error).__name__
    return "picture"
