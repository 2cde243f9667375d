"""What every adapter of the blobs port promises. A new adapter is a new parameter of `blobs`."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localmind.blobs.local import LocalBlobs
from localmind.blobs.port import Blobs
from localmind.errors import InvalidInput, NotFound, TooLarge
from localmind.model import BlobKey, TenantId
from tests.s3_server import blobs_of

ANN, BOB = TenantId("ann"), TenantId("bob")
CONTENT = b"some bytes\x00\xff" * 1000
KEY = BlobKey(hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.stack)])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    store = LocalBlobs(tmp_path / "blobs") if request.param == "local" else blobs_of(request.getfixturevalue("stack"))
    store.open()
    yield store
    for tenant in store.tenants():
        for key in store.keys(tenant):
            store.delete(tenant, key)
    store.close()


class Unseekable(io.RawIOBase):
    """A stream that can only be read once, forwards, in small pieces: an upload."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._rest.readinto(memoryview(buffer)[:100])


def test_what_was_put_is_read_again(blobs: Blobs) -> None:
    assert blobs.put(ANN, CONTENT) == (KEY, len(CONTENT))
    assert blobs.read(ANN, KEY) == CONTENT
    assert blobs.exists(ANN, KEY)


def test_a_stream_gives_the_same_key_as_its_bytes(blobs: Blobs) -> None:
    assert blobs.put(ANN, Unseekable(CONTENT)) == (KEY, len(CONTENT))  # type: ignore[arg-type]
    assert blobs.read(ANN, KEY) == CONTENT


def test_large_content(blobs: Blobs) -> None:
    content = bytes(range(256)) * 20_000
    key, size = blobs.put(ANN, io.BytesIO(content))
    assert size == len(content)
    assert blobs.read(ANN, key) == content


def test_nothing_is_content_too(blobs: Blobs) -> None:
    key, size = blobs.put(ANN, b"")
    assert size == 0
    assert blobs.read(ANN, key) == b""


def test_putting_again_is_harmless(blobs: Blobs) -> None:
    assert blobs.put(ANN, CONTENT) == blobs.put(ANN, io.BytesIO(CONTENT))
    assert list(blobs.keys(ANN)) == [KEY]


def test_a_local_file_has_the_content(blobs: Blobs) -> None:
    blobs.put(ANN, CONTENT)
    with blobs.local_file(ANN, KEY) as path:
        assert path.read_bytes() == CONTENT


def test_content_up_to_the_limit_is_taken(blobs: Blobs) -> None:
    assert blobs.put(ANN, CONTENT, max_bytes=len(CONTENT)) == (KEY, len(CONTENT))


@pytest.mark.parametrize("limit", [len(CONTENT) - 1, 0])
def test_content_past_the_limit_is_refused_and_leaves_nothing(blobs: Blobs, limit: int) -> None:
    for data in (CONTENT, io.BytesIO(CONTENT)):
        with pytest.raises(TooLarge):
            blobs.put(ANN, data, max_bytes=limit)
    assert list(blobs.keys(ANN)) == []
    assert blobs.tenants() == []


def test_a_stream_is_not_read_on_past_the_limit(blobs: Blobs) -> None:
    long = io.BytesIO(CONTENT * 1000)
    with pytest.raises(TooLarge):
        blobs.put(ANN, long, max_bytes=10)
    assert long.tell() < len(CONTENT * 1000)


def test_a_stream_that_breaks_leaves_nothing(blobs: Blobs) -> None:
    class Broken(Unseekable):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            raise ConnectionResetError("the client is gone")

    with pytest.raises(ConnectionResetError):
        blobs.put(ANN, Broken(b""))  # type: ignore[arg-type]
    assert blobs.tenants() == []


def test_what_is_not_there_is_not_found(blobs: Blobs) -> None:
    assert not blobs.exists(ANN, KEY)
    with pytest.raises(NotFound):
        blobs.read(ANN, KEY)
    with pytest.raises(NotFound), blobs.local_file(ANN, KEY):
        pass


def test_delete(blobs: Blobs) -> None:
    blobs.put(ANN, CONTENT)
    blobs.delete(ANN, KEY)
    blobs.delete(ANN, KEY)
    assert not blobs.exists(ANN, KEY)
    assert list(blobs.keys(ANN)) == []
    assert blobs.tenants() == []


def test_deleted_content_can_come_back(blobs: Blobs) -> None:
    blobs.put(ANN, CONTENT)
    blobs.delete(ANN, KEY)
    blobs.put(ANN, CONTENT)
    assert blobs.read(ANN, KEY) == CONTENT


def test_another_tenant_sees_nothing(blobs: Blobs) -> None:
    blobs.put(ANN, CONTENT)
    assert not blobs.exists(BOB, KEY)
    assert list(blobs.keys(BOB)) == []
    with pytest.raises(NotFound):
        blobs.read(BOB, KEY)
    blobs.delete(BOB, KEY)
    assert blobs.exists(ANN, KEY)


def test_the_same_content_of_two_tenants_is_two_blobs(blobs: Blobs) -> None:
    blobs.put(ANN, CONTENT)
    blobs.put(BOB, CONTENT)
    blobs.delete(ANN, KEY)
    assert blobs.read(BOB, KEY) == CONTENT
    assert blobs.tenants() == [BOB]


def test_keys_and_tenants(blobs: Blobs) -> None:
    assert blobs.tenants() == []
    put = {blobs.put(ANN, str(n).encode())[0] for n in range(20)}
    blobs.put(BOB, CONTENT)
    assert set(blobs.keys(ANN)) == put
    assert sorted(blobs.tenants()) == [ANN, BOB]


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "ab/../../x", KEY.upper(), KEY[:-1], KEY + "0", KEY[:-1] + "\n"])
def test_what_is_no_key_is_not_found(blobs: Blobs, key: str) -> None:
    blobs.put(ANN, CONTENT)
    with pytest.raises(NotFound):
        blobs.read(ANN, BlobKey(key))
    with pytest.raises(NotFound):
        blobs.exists(ANN, BlobKey(key))


@pytest.mark.parametrize("tenant", ["", "..", "a/b", "Ann", ".incoming"])
def test_what_is_no_tenant_is_refused(blobs: Blobs, tenant: str) -> None:
    with pytest.raises(InvalidInput):
        blobs.put(TenantId(tenant), CONTENT)
    with pytest.raises(InvalidInput):
        list(blobs.keys(TenantId(tenant)))


def test_the_same_content_from_many_threads_is_one_blob(blobs: Blobs) -> None:
    results: list[tuple[BlobKey, int]] = []
    threads = [threading.Thread(target=lambda: results.append(blobs.put(ANN, CONTENT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [(KEY, len(CONTENT))] * 8
    assert blobs.read(ANN, KEY) == CONTENT
