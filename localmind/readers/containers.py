"""Zip files from strangers: opened only when what they unfold to is bounded."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from localmind.errors import Broken, Encrypted, ReaderLimit

MAX_ENTRIES = 20_000
MAX_MEMBER_BYTES = 400_000_000
MAX_TOTAL_BYTES = 2_000_000_000
MAX_RATIO = 200
RATIO_FREE_BYTES = 20_000_000
"""Below this a high ratio is harmless: a spreadsheet of equal rows shrinks by more than 200."""

_END_OF_DIRECTORY = b"PK\x05\x06"
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, OSError, NotImplementedError, ValueError, KeyError)


class Zip:
    """A zip whose members are read within limits. Names are compared as they stand: nothing is ever written to disk."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._infos = {info.filename: info for info in archive.infolist()}
        self._left = MAX_TOTAL_BYTES

    @property
    def names(self) -> list[str]:
        return list(self._infos)

    def size(self, name: str) -> int:
        """Unpacked size as the directory claims it."""
        return self._infos[name].file_size

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def read(self, name: str, *, limit: int = MAX_MEMBER_BYTES) -> bytes:
        """A member's bytes. Raises Broken when it is missing or damaged, Encrypted, ReaderLimit when it is larger than `limit`."""
        with self.open(name) as member, damage_is_broken(name):
            data = member.read(limit + 1)
        if len(data) > limit:
            raise too_large(name)
        return data

    @contextmanager
    def open(self, name: str, *, limit: int = MAX_MEMBER_BYTES) -> Iterator[IO[bytes]]:
        """A member as a stream. What it claims to unfold to is checked first; zipfile stops at the claimed size."""
        info = self._infos.get(name)
        if info is None:
            raise Broken(f"The file lacks {name}.", hint="It may be damaged: save it again in the program that made it.")
        if info.flag_bits & 0x1:
            raise Encrypted("The file is encrypted.", hint="Remove the password and put it in again.")
        if info.file_size > limit or (info.file_size > RATIO_FREE_BYTES and info.file_size > MAX_RATIO * max(info.compress_size, 1)):
            raise too_large(name)
        self._count(info.file_size)  # again for each time it is opened: that is what it costs
        with damage_is_broken(name):
            member = self._archive.open(info)
        with member:
            yield member

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ReaderLimit(f"The file unfolds to more than {MAX_TOTAL_BYTES:,} bytes.", hint="Split it into several files.")


def too_large(name: str) -> ReaderLimit:
    return ReaderLimit(
        f"{name} inside the file unfolds to more than a document should (limit {MAX_MEMBER_BYTES:,} bytes, ratio {MAX_RATIO}).",
        hint="If it is no decompression bomb, split it into several files.",
    )


@contextmanager
def damage_is_broken(name: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise Broken(
            f"{name} inside the file is damaged.", hint="Save it again in the program that made it, or download it again."
        ) from error


@contextmanager
def open_zip(path: Path) -> Iterator[Zip]:
    """Raises Broken when the zip has no readable directory, ReaderLimit when it has more than MAX_ENTRIES members."""
    _check_directory(path)
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise _no_directory() from error
    with archive:
        yield Zip(archive)


def _check_directory(path: Path) -> None:
    """Looks at the directory's claimed size before zipfile makes an object of every entry."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 65_557))
        tail = file.read()
    at = tail.rfind(_END_OF_DIRECTORY)
    if at < 0 or len(tail) - at < 22:
        raise _no_directory()
    entries, directory_bytes = struct.unpack_from("<HI", tail, at + 10)
    # 0xFFFF means that the real number is in the zip64 record: 65,535 are too many already. An entry takes 46 bytes at least.
    if entries > MAX_ENTRIES or (directory_bytes != 0xFFFFFFFF and directory_bytes > MAX_ENTRIES * 400):
        raise ReaderLimit(f"The file holds more than {MAX_ENTRIES:,} files.", hint="Unpack it and put in the files that matter.")


def _no_directory() -> Broken:
    return Broken("The file is cut off or damaged: its table of contents is missing.", hint="Download or save it again.")
