"""What only a real S3 server shows: where files lie, buckets, long files, going away and coming back."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import obstore
import pytest
from obstore.store import S3Store

from localmind.blobs.s3 import PIECE_BYTES
from localmind.errors import ConfigurationError, NotFound, StoreUnavailable
from localmind.ids import random_id
from localmind.model import BlobKey, TenantId
from tests.s3_server import blobs_of
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.stack

ANN = TenantId("ann")
CONTENT = b"some bytes"
KEY = BlobKey(hashlib.sha256(CONTENT).hexdigest())


def bare(stack: Mapping[str, str], bucket: str = "") -> S3Store:
    """Looks behind the adapter's back."""
    return S3Store(
        bucket or stack["MINIO_BUCKET"],
        endpoint=stack["MINIO_ENDPOINT"],
        access_key_id=stack["MINIO_ACCESS_KEY"],
        secret_access_key=stack["MINIO_SECRET_KEY"],
        region="us-east-1",
        client_options={"allow_http": True},
    )


@pytest.fixture
def bucket(stack: Mapping[str, str]) -> Iterator[str]:
    """The name of one that is not there yet."""
    name = f"test-{random_id()}"
    yield name
    store = bare(stack, name)
    for batch in obstore.list(store):
        obstore.delete(store, [found["path"] for found in batch])
    httpx.delete(obstore.sign(store, "DELETE", "", timedelta(minutes=1)))


def test_a_bucket_that_is_missing_is_made_and_taken_again(stack: Mapping[str, str], bucket: str) -> None:
    for _ in range(2):
        blobs = blobs_of(stack, bucket=bucket, prefix="")
        blobs.open()
        blobs.put(ANN, CONTENT)
        blobs.close()
    objects = [found["path"] for batch in obstore.list(bare(stack, bucket)) for found in batch]
    assert objects == [f"ann/{KEY[:2]}/{KEY[2:]}"]


def test_the_same_content_is_sent_once(stack: Mapping[str, str], bucket: str) -> None:
    blobs = blobs_of(stack, bucket=bucket, prefix="")
    blobs.open()
    blobs.put(ANN, CONTENT)
    path = f"ann/{KEY[:2]}/{KEY[2:]}"
    obstore.put(bare(stack, bucket), path, b"a mark that a second upload would remove")
    blobs.put(ANN, io.BytesIO(CONTENT))
    assert blobs.read(ANN, KEY).startswith(b"a mark")
    blobs.close()


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_content_about_the_size_of_a_piece(stack: Mapping[str, str], bucket: str, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    blobs = blobs_of(stack, bucket=bucket)
    blobs.open()
    key, stored = blobs.put(ANN, io.BytesIO(content[:size]))
    assert stored == size
    assert key == hashlib.sha256(content[:size]).hexdigest()
    with blobs.local_file(ANN, key) as path:
        assert path.read_bytes() == content[:size]
    assert not path.exists()
    blobs.close()


LONG = """
import io, resource, sys
from localmind.blobs.s3 import S3Blobs

class Zeros(io.RawIOBase):
    left = 200_000_000
    def readable(self):
        return True
    def readinto(self, buffer):
        count = min(len(buffer), self.left)
        self.left -= count
        return count

blobs = S3Blobs(*sys.argv[1:])
blobs.open()
blobs.put("warm", b"x" * 9_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
key, size = blobs.put("ann", Zeros())
with blobs.local_file("ann", key) as path:
    assert path.stat().st_size == size == 200_000_000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_long_file_does_not_have_to_fit_in_memory(stack: Mapping[str, str], bucket: str) -> None:
    arguments = [stack["MINIO_ENDPOINT"], bucket, stack["MINIO_ACCESS_KEY"], stack["MINIO_SECRET_KEY"]]
    grown_mib = int(subprocess.run([sys.executable, "-c", LONG, *arguments], check=True, capture_output=True, text=True).stdout)
    assert grown_mib < 100


def test_a_wrong_key_is_told_as_a_setting(stack: Mapping[str, str]) -> None:
    blobs = blobs_of(stack, secret="wrong")
    with pytest.raises(ConfigurationError) as caught:
        blobs.open()
    assert "MINIO_SECRET_KEY" in caught.value.hint


def test_a_server_that_goes_away_is_told_soon_and_used_again_when_it_is_back(stack: Mapping[str, str], bucket: str) -> None:
    address = urlsplit(stack["MINIO_ENDPOINT"])
    assert address.hostname and address.port
    with TcpProxy(address.hostname, address.port) as door:
        blobs = blobs_of({**stack, "MINIO_ENDPOINT": f"http://127.0.0.1:{door.port}"}, bucket=bucket, timeout_s=2)
        blobs.open()
        blobs.put(ANN, CONTENT)
        door.shut()
        for call in (
            blobs.open,
            lambda: blobs.put(ANN, b"other"),
            lambda: blobs.read(ANN, KEY),
            lambda: blobs.exists(ANN, KEY),
            lambda: blobs.delete(ANN, KEY),
            lambda: list(blobs.keys(ANN)),
            blobs.tenants,
        ):
            begin = time.monotonic()
            with pytest.raises(StoreUnavailable) as caught:
                call()
            assert caught.value.data["service"] == "minio"
            assert time.monotonic() - begin < 3
        door.open()
        assert blobs.read(ANN, KEY) == CONTENT
        door.hush()
        begin = time.monotonic()
        with pytest.raises(StoreUnavailable):
            blobs.exists(ANN, KEY)
        assert time.monotonic() - begin < 8
        blobs.close()


def test_a_bucket_that_went_away_is_not_taken_for_a_missing_file(stack: Mapping[str, str], bucket: str) -> None:
    blobs = blobs_of(stack, bucket=bucket)
    with pytest.raises(StoreUnavailable):
        list(blobs.keys(ANN))
    blobs.open()
    with pytest.raises(NotFound):
        blobs.read(ANN, KEY)
    blobs.close()
