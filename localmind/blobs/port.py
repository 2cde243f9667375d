"""The port of blobs: original files, by the hash of their content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from localmind.model import BlobKey, TenantId


class Blobs(Protocol):
    """Content-addressed files of a tenant. The key is the content's SHA-256 in hex."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def put(self, tenant: TenantId, data: bytes | BinaryIO, *, max_bytes: int | None = None) -> tuple[BlobKey, int]:
        """Store and return key and size. Durable on return; writing the same content again is harmless.

        Raises TooLarge past max_bytes (nothing is left behind), DiskFull, StoreUnavailable.
        """

    def read(self, tenant: TenantId, key: BlobKey) -> bytes:
        """Raises NotFound."""

    def local_file(self, tenant: TenantId, key: BlobKey) -> AbstractContextManager[Path]:
        """A readable file with the content, for readers in child processes; a temporary copy where the store is remote."""

    def exists(self, tenant: TenantId, key: BlobKey) -> bool: ...

    def delete(self, tenant: TenantId, key: BlobKey) -> None:
        """A key that is not there is ignored."""

    def keys(self, tenant: TenantId) -> Iterator[BlobKey]: ...

    def tenants(self) -> list[TenantId]: ...
