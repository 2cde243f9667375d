"""Blobs in an S3 bucket (MinIO, AWS, ...): `<tenant>/ab/cdef...`. A file is hashed on its way to a temporary file, then sent.

Long files travel in pieces, so that a time-out bounds a piece and memory a few of them, whatever the file's size.
"""

from __future__ import annotations

import errno
import hashlib
import io
import re
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from localmind.errors import ConfigurationError, DiskFull, InvalidInput, MissingExtra, NotFound, StoreUnavailable, TooLarge
from localmind.ids import is_id
from localmind.model import BlobKey, TenantId

if TYPE_CHECKING:
    from obstore.store import S3Store

PIECE_BYTES = 8 << 20
"""S3 wants parts of at least 5 MiB; 10,000 of them are the largest object: 80 GiB."""

PIECES_AT_ONCE = 4
READ_BYTES = 1 << 20
CONNECT_S = 5.0
RETRIES = 2
KEY = re.compile(r"[0-9a-f]{64}")
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class S3Blobs:
    """Thread-safe. `prefix` puts everything below it, so that one bucket can serve several."""

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        *,
        region: str = "us-east-1",
        prefix: str = "",
        timeout_s: float = 30.0,
        ca: Path | None = None,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._bucket = bucket
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._ca = ca
        self._lock = threading.Lock()
        self._store: S3Store | None = None

    def open(self) -> None:
        """Makes the bucket where it is missing. Raises ConfigurationError where it may not."""
        import obstore

        try:
            with _translated():
                obstore.list_with_delimiter(self._connected())
        except _BucketMissing:
            self._make_bucket()

    def close(self) -> None:
        """The store's connections go with its last user."""
        with self._lock:
            self._store = None

    def put(self, tenant: TenantId, data: bytes | BinaryIO, *, max_bytes: int | None = None) -> tuple[BlobKey, int]:
        _checked(tenant)
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        with _translated(), tempfile.TemporaryFile() as spool:
            digest, size = hashlib.sha256(), 0
            while piece := _read(stream):
                size += len(piece)
                if max_bytes is not None and size > max_bytes:
                    raise TooLarge(
                        f"The file is larger than {max_bytes / 1e6:g} MB.", hint="Split it, or raise MAX_UPLOAD_MB.", max_bytes=max_bytes
                    )
                digest.update(piece)
                spool.write(piece)
            key = BlobKey(digest.hexdigest())
            if not self.exists(tenant, key):
                spool.seek(0)
                self._send(_path(tenant, key), spool, size)
        return key, size

    def _send(self, path: str, spool: BinaryIO, size: int) -> None:
        import obstore

        if size <= PIECE_BYTES:
            obstore.put(self._connected(), path, spool.read(), use_multipart=False)
        else:
            obstore.put(self._connected(), path, spool, use_multipart=True, chunk_size=PIECE_BYTES, max_concurrency=PIECES_AT_ONCE)

    def read(self, tenant: TenantId, key: BlobKey) -> bytes:
        return b"".join(self._pieces(tenant, key))

    @contextmanager
    def local_file(self, tenant: TenantId, key: BlobKey) -> Iterator[Path]:
        with tempfile.NamedTemporaryFile(prefix="localmind-") as file:
            with _translated():
                for piece in self._pieces(tenant, key):
                    file.write(piece)
                file.flush()
            yield Path(file.name)

    def _pieces(self, tenant: TenantId, key: BlobKey) -> Iterator[bytes]:
        import obstore

        store, path = self._connected(), _path(tenant, key)
        with _translated(key):
            size = obstore.head(store, path)["size"]
            for start in range(0, size, PIECE_BYTES):
                yield bytes(obstore.get_range(store, path, start=start, end=min(size, start + PIECE_BYTES)))

    def exists(self, tenant: TenantId, key: BlobKey) -> bool:
        import obstore

        path = _path(tenant, key)
        try:
            with _translated(key):
                obstore.head(self._connected(), path)
        except NotFound:
            return False
        return True

    def delete(self, tenant: TenantId, key: BlobKey) -> None:
        import obstore

        path = _path(tenant, key)
        try:
            with _translated(key):
                obstore.delete(self._connected(), path)
        except NotFound:
            return  # some servers say so, S3 does not

    def keys(self, tenant: TenantId) -> Iterator[BlobKey]:
        import obstore

        home = f"{_checked(tenant)}/"
        with _translated():
            for batch in obstore.list(self._connected(), prefix=home):
                for found in batch:
                    group, _, rest = found["path"].removeprefix(home).partition("/")
                    if len(group) == 2 and KEY.fullmatch(group + rest):
                        yield BlobKey(group + rest)

    def tenants(self) -> list[TenantId]:
        """Tenants that have blobs, sorted."""
        import obstore

        with _translated():
            found = obstore.list_with_delimiter(self._connected())["common_prefixes"]
        return sorted(TenantId(name) for name in found if is_id(name))

    # --- the bucket

    def _connected(self) -> S3Store:
        with self._lock:
            if self._store is None:
                self._store = self._connect()
            return self._store

    def _connect(self, prefix: str | None = None) -> S3Store:
        """Talks to nobody yet."""
        try:
            from obstore.store import S3Store
        except ImportError as error:
            raise MissingExtra("Files in S3 need obstore.", hint="Run `pip install 'localmind[servers]'`.") from error
        timeout = timedelta(seconds=self._timeout_s)
        connect = timedelta(seconds=min(CONNECT_S, self._timeout_s))
        return S3Store(
            self._bucket,
            prefix=(self._prefix if prefix is None else prefix) or None,
            endpoint=self._endpoint,
            region=self._region,
            access_key_id=self._access_key,
            secret_access_key=self._secret_key,
            virtual_hosted_style_request=False,
            client_options={
                "timeout": timeout,
                "connect_timeout": connect,
                "allow_http": self._endpoint.startswith("http://"),
                **({"root_certificate": self._ca.read_bytes()} if self._ca else {}),
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timeout, "backoff": {"max_backoff": timedelta(seconds=1)}},
        )

    def _make_bucket(self) -> None:
        """obstore can't make a bucket, but it can sign the request that does."""
        import httpx
        import obstore

        with _translated():
            url = obstore.sign(self._connect(prefix=""), "PUT", "", timedelta(minutes=1))
        try:
            answer = httpx.put(url, timeout=self._timeout_s, verify=ssl.create_default_context(cafile=self._ca) if self._ca else True)
        except httpx.HTTPError as error:
            raise _away(str(error)) from error
        if answer.status_code >= 500:
            raise _away(f"status {answer.status_code}")
        if answer.is_error and "BucketAlready" not in answer.text:  # another process made it meanwhile
            raise ConfigurationError(
                f"The bucket {self._bucket} does not exist and can't be made (status {answer.status_code}).",
                hint="Make it, or set MINIO_BUCKET, MINIO_ACCESS_KEY and MINIO_SECRET_KEY right.",
            )


def _path(tenant: TenantId, key: BlobKey) -> str:
    if not KEY.fullmatch(key):
        raise _missing(key)
    return f"{_checked(tenant)}/{key[:2]}/{key[2:]}"


def _checked(tenant: TenantId) -> TenantId:
    if not is_id(tenant):
        raise InvalidInput(f"{tenant!r} is no tenant's id.", hint="Ids are made of a-z, 0-9, _ and -.")
    return tenant


# --- errors


class _BucketMissing(StoreUnavailable): ...


class _Callers(Exception):
    """Carries an error of the caller's stream past the table of the store's."""


def _read(stream: BinaryIO) -> bytes:
    try:
        return stream.read(READ_BYTES)
    except OSError as error:
        raise _Callers from error


def _missing(key: str) -> NotFound:
    return NotFound(f"There is no file {key[:80]!r}.", hint="It was deleted, or never stored.")


def _away(reason: str) -> StoreUnavailable:
    return StoreUnavailable(f"The file store does not answer: {reason[:300]}.", service="minio", hint="Is the server at MINIO_ENDPOINT up?")


@contextmanager
def _translated(key: str | None = None) -> Iterator[None]:
    """Turns obstore's errors, and those of the temporary file, into ours."""
    from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except _Callers as error:
        assert error.__cause__ is not None
        raise error.__cause__ from None
    except (BaseError, FileNotFoundError) as error:
        reason = str(error)  # a list's errors have no class of their own
        if "NoSuchBucket" in reason:
            raise _BucketMissing("The bucket of MINIO_BUCKET is missing.", service="minio", hint="A restart makes it.") from error
        if isinstance(error, (NotFoundError, FileNotFoundError)) and key is not None:
            raise _missing(key) from error
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or "403 Forbidden" in reason:
            raise ConfigurationError(
                "The file store refuses the access key.", hint="Set MINIO_ACCESS_KEY and MINIO_SECRET_KEY, or grant them the bucket."
            ) from error
        raise _away(reason.splitlines()[0].removeprefix("Generic S3 error: ").split(": <?xml")[0]) from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFull("The file can't be spooled: the disk is full.", hint="Free some space in the temporary folder.") from error
        raise _away(str(error)) from error
