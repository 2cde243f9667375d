"""Blobs in a folder: `folder/<tenant>/ab/cdef...`, written beside and renamed, so that a file that is there is whole."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from localmind.errors import DiskFull, InvalidInput, NotFound, StoreUnavailable, TooLarge
from localmind.ids import is_id
from localmind.model import BlobKey, TenantId

PIECE_BYTES = 1 << 20
KEY = re.compile(r"[0-9a-f]{64}")
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LocalBlobs:
    """Blobs for one machine, or for several that share a folder with POSIX locks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / ".incoming"  # no tenant's name: ids have no dot

    def open(self) -> None:
        """Makes the folder and removes what writers that died have left."""
        with _translated():
            self._incoming.mkdir(parents=True, exist_ok=True)
            for leftover in self._incoming.iterdir():
                _remove_unless_in_use(leftover)

    def close(self) -> None:
        """Nothing is held between calls."""

    def put(self, tenant: TenantId, data: bytes | BinaryIO, *, max_bytes: int | None = None) -> tuple[BlobKey, int]:
        home = self._home(tenant)
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        with self._temporary() as incoming:
            digest, size = hashlib.sha256(), 0
            while piece := stream.read(PIECE_BYTES):  # its errors are the caller's, not the store's
                size += len(piece)
                if max_bytes is not None and size > max_bytes:
                    raise TooLarge(
                        f"The file is larger than {max_bytes / 1e6:g} MB.", hint="Split it, or raise MAX_UPLOAD_MB.", max_bytes=max_bytes
                    )
                digest.update(piece)
                with _translated():
                    _write_all(incoming.file, piece)
            key = BlobKey(digest.hexdigest())
            with _translated():
                _keep(incoming, home / key[:2] / key[2:])
            return key, size

    def read(self, tenant: TenantId, key: BlobKey) -> bytes:
        with _translated(key):
            return self._path(tenant, key).read_bytes()

    @contextmanager
    def local_file(self, tenant: TenantId, key: BlobKey) -> Iterator[Path]:
        path = self._path(tenant, key)
        if not path.is_file():
            raise _missing(key)
        yield path

    def exists(self, tenant: TenantId, key: BlobKey) -> bool:
        return self._path(tenant, key).is_file()

    def delete(self, tenant: TenantId, key: BlobKey) -> None:
        path = self._path(tenant, key)
        with _translated():
            path.unlink(missing_ok=True)

    def keys(self, tenant: TenantId) -> Iterator[BlobKey]:
        with _translated():
            for group in _folders(self._home(tenant)):
                for file in group.iterdir():
                    if KEY.fullmatch(name := group.name + file.name):
                        yield BlobKey(name)

    def tenants(self) -> list[TenantId]:
        """Tenants that have blobs, sorted."""
        found = sorted(TenantId(home.name) for home in _folders(self._folder) if is_id(home.name))
        return [tenant for tenant in found if next(self.keys(tenant), None) is not None]

    def _home(self, tenant: TenantId) -> Path:
        if not is_id(tenant):
            raise InvalidInput(f"{tenant!r} is no tenant's id.", hint="Ids are made of a-z, 0-9, _ and -.")
        return self._folder / tenant

    def _path(self, tenant: TenantId, key: BlobKey) -> Path:
        if not KEY.fullmatch(key):  # also what keeps ../ out
            raise _missing(key)
        return self._home(tenant) / key[:2] / key[2:]

    @contextmanager
    def _temporary(self) -> Iterator[_Incoming]:
        """A file of the same file system, locked while it is written, gone afterwards unless it was renamed."""
        with _translated():
            self._incoming.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._incoming)
        with FileIO(handle, "wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield _Incoming(Path(name), file)
            finally:
                Path(name).unlink(missing_ok=True)


class _Incoming(NamedTuple):
    path: Path
    file: FileIO


def _write_all(file: FileIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def _keep(incoming: _Incoming, target: Path) -> None:
    """Give the file its name, in an order that a power cut can interrupt anywhere. The same content is kept once."""
    if target.exists():
        return
    os.fsync(incoming.file.fileno())
    _make_durable_folder(target.parent)
    incoming.path.replace(target)
    _sync_folder(target.parent)


def _remove_unless_in_use(leftover: Path) -> None:
    try:
        with leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink(missing_ok=True)
    except (BlockingIOError, FileNotFoundError):
        return  # its writer is alive, or has just finished


def _make_durable_folder(folder: Path) -> None:
    """Creates the folder so that a power cut can't take it back."""
    if folder.is_dir():
        return
    _make_durable_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (entry for entry in folder.iterdir() if entry.is_dir())


def _missing(key: str) -> NotFound:
    return NotFound(f"There is no file {key[:80]!r}.", hint="It was deleted, or never stored.")


@contextmanager
def _translated(key: str | None = None) -> Iterator[None]:
    """Turns the system's errors into ours."""
    try:
        yield
    except OSError as error:
        if key is not None and isinstance(error, FileNotFoundError):
            raise _missing(key) from error
        if error.errno in NO_ROOM:
            raise DiskFull("The file can't be stored: the disk is full.", hint="Free some space under DATA_DIR.") from error
        raise StoreUnavailable(f"The folder of files does not answer: {error.strerror}.", service="blobs") from error
