"""What only a real Milvus shows: what lies in it, starting at once, going away and coming back."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

import numpy as np
import pytest
from pymilvus import MilvusClient

from localmind.errors import ConfigurationError, InvalidInput, StoreUnavailable
from localmind.ids import random_id
from localmind.model import ChunkId, ChunkKey, Filter, SourceId, TenantId
from localmind.vectors.milvus import MilvusVectors
from tests.milvus_server import DIM, shared_collection, vectors_of  # noqa: F401 - a fixture
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.stack

ANN = TenantId("ann")
EAST = np.eye(DIM, dtype=np.float32)[0]


@pytest.fixture(scope="module")
def uri(stack: Mapping[str, str]) -> str:
    return stack["MILVUS_URI"]


@pytest.fixture(scope="module")
def bare(uri: str) -> Iterator[MilvusClient]:
    """Looks behind the adapter's back."""
    client = MilvusClient(uri, dedicated=True, timeout=5)
    yield client
    client.close()


@pytest.fixture
def collection(bare: MilvusClient) -> Iterator[str]:
    """The name of one that is not there yet."""
    name = f"test_{random_id()}"
    yield name
    bare.drop_collection(name)


@pytest.fixture
def store(uri: str, shared_collection: str) -> Iterator[MilvusVectors]:  # noqa: F811
    vectors = vectors_of(uri, shared_collection)
    vectors.open()
    yield vectors
    for tenant in vectors.tenants():
        vectors.drop(tenant)
    vectors.close()


def keys(*names: str, source: str = "s1") -> list[ChunkKey]:
    return [ChunkKey(ChunkId(name), SourceId(source)) for name in names]


def found(store: MilvusVectors, tenant: TenantId = ANN) -> list[str]:
    return [hit.chunk_id for hit in store.search(tenant, EAST, limit=10)]


# --- what lies in it


def test_the_collection_is_as_documented(store: MilvusVectors, bare: MilvusClient) -> None:
    told = bare.describe_collection(store._collection)
    fields = {field["name"]: field for field in told["fields"]}
    assert list(fields) == ["id", "tenant", "source_id", "vector"]
    assert fields["id"]["is_primary"]
    assert fields["tenant"]["is_partition_key"]
    assert json.loads(told["properties"]["localmind"]) == {"schema": 1, "model": "some-model", "dim": DIM}
    index = bare.describe_index(store._collection, "vector")
    assert (index["index_type"], index["metric_type"]) == ("HNSW", "COSINE")


def test_what_a_killed_worker_wrote_is_there_once_when_the_next_one_writes_it_again(store: MilvusVectors, uri: str) -> None:
    other = vectors_of(uri, store._collection)
    for writer in (store, other, store):
        writer.append(ANN, keys("a", "b"), np.stack([EAST, EAST]))
    assert store.count(ANN) == 2
    assert [key for batch in store.keys(ANN) for key in batch] == keys("a", "b")
    assert found(other) == ["a", "b"]
    other.close()


def test_many_tenants_are_told_each_once(store: MilvusVectors) -> None:
    names = sorted(["a", "a-", "a-b", "a0", "a_b", "ab", "b"])
    for name in names:
        store.append(TenantId(name), keys("c1", "c2"), np.stack([EAST, EAST]))
    assert store.tenants() == names


def test_a_limit_beyond_what_the_server_gives_is_cut(store: MilvusVectors) -> None:
    store.append(ANN, keys("a"), EAST[None])
    assert [hit.chunk_id for hit in store.search(ANN, EAST, limit=100_000)] == ["a"]


EVIL = ['x" or id != "', "x' or 'a' == 'a", "ann/c", 'ann" or tenant != "ann', "a\\", "", "x" * 65, "Ann", "a\n"]


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_but_an_id_gets_into_a_filter(store: MilvusVectors, evil: str) -> None:
    store.append(ANN, keys("a"), EAST[None])
    tenant, source, chunk = TenantId(evil), SourceId(evil), ChunkId(evil)
    calls: list[Callable[[], object]] = [
        lambda: store.search(tenant, EAST, limit=1),
        lambda: store.search(ANN, EAST, limit=1, where=Filter(frozenset([source, SourceId("s1")]))),
        lambda: store.get(tenant, [ChunkId("a")]),
        lambda: store.get(ANN, [chunk]),
        lambda: store.count(tenant),
        lambda: store.count(ANN, source=source),
        lambda: list(store.keys(tenant)),
        lambda: list(store.keys(ANN, source=source)),
        lambda: store.delete(tenant, [ChunkId("a")]),
        lambda: store.delete(ANN, [chunk]),
        lambda: store.delete_sources(tenant, [SourceId("s1")]),
        lambda: store.delete_sources(ANN, [source]),
        lambda: store.drop(tenant),
        lambda: store.write(tenant, keys("a"), EAST[None]),
        lambda: store.write(ANN, keys(evil), EAST[None]),
        lambda: store.append(ANN, keys("a", source=evil), EAST[None]),
    ]
    for call in calls:
        with pytest.raises(InvalidInput):
            call()
    assert store.count(ANN) == 1


# --- several processes, other versions, other people's collections


def _open_and_write(uri: str, collection: str, model: str, tenant: str) -> None:
    vectors = vectors_of(uri, collection, model=model)
    vectors.open()
    vectors.append(TenantId(tenant), keys("a"), EAST[None])
    vectors.close()


def _at_once(uri: str, collection: str, model: str) -> list[int | None]:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open_and_write, args=(uri, collection, model, f"t{n}")) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def test_processes_that_start_at_once_share_one_collection(uri: str, collection: str) -> None:
    assert _at_once(uri, collection, "some-model") == [0, 0, 0]
    vectors = vectors_of(uri, collection)
    assert vectors.tenants() == ["t0", "t1", "t2"]
    vectors.close()


def test_processes_that_start_at_once_with_another_model_lose_nothing(uri: str, collection: str) -> None:
    before = vectors_of(uri, collection, model="before", dim=3)
    before.open()
    assert _at_once(uri, collection, "after") == [0, 0, 0]
    assert before.tenants() == ["t0", "t1", "t2"]
    before.close()


def test_a_newer_version_s_collection_is_refused(uri: str, collection: str, bare: MilvusClient) -> None:
    _make(bare, collection, {"localmind": json.dumps({"schema": 99, "model": "some-model", "dim": DIM})})
    with pytest.raises(ConfigurationError, match="newer version"):
        vectors_of(uri, collection).open()


def test_somebody_else_s_collection_is_left_alone(uri: str, collection: str, bare: MilvusClient) -> None:
    _make(bare, collection, {})
    vectors = vectors_of(uri, collection)
    with pytest.raises(ConfigurationError, match="not made by"):
        vectors.open()
    with pytest.raises(ConfigurationError):
        vectors.write(ANN, keys("a"), EAST[None])
    assert bare.has_collection(collection)


def _make(bare: MilvusClient, name: str, properties: dict[str, str]) -> None:
    from pymilvus import DataType

    schema = bare.create_schema(auto_id=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=10)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    bare.create_collection(name, schema=schema, properties=properties)


def test_a_collection_that_is_gone_is_made_anew(uri: str, collection: str, bare: MilvusClient) -> None:
    vectors = vectors_of(uri, collection)
    vectors.open()
    vectors.append(ANN, keys("a"), EAST[None])
    bare.drop_collection(collection)
    _eventually(lambda: found(vectors) == [])
    vectors.append(ANN, keys("b"), EAST[None])
    assert found(vectors) == ["b"]
    vectors.close()


def test_a_collection_that_was_released_is_loaded_again(uri: str, collection: str, bare: MilvusClient) -> None:
    vectors = vectors_of(uri, collection)
    vectors.open()
    vectors.append(ANN, keys("a"), EAST[None])
    bare.release_collection(collection)
    _eventually(lambda: found(vectors) == ["a"])
    bare.release_collection(collection)
    assert vectors.count(ANN) == 1
    bare.release_collection(collection)
    assert vectors.tenants() == [ANN]
    vectors.close()


# --- going away and coming back


@pytest.fixture
def door(uri: str) -> Iterator[TcpProxy]:
    address = urlsplit(uri)
    assert address.hostname and address.port
    with TcpProxy(address.hostname, address.port) as proxy:
        yield proxy


@pytest.fixture
def behind(door: TcpProxy, store: MilvusVectors) -> Iterator[MilvusVectors]:
    """The same store through a door that can be shut."""
    vectors = vectors_of(f"http://127.0.0.1:{door.port}", store._collection, timeout_s=2)
    yield vectors
    vectors.close()


def test_a_server_that_goes_away_is_told_at_once_and_used_again_when_it_is_back(
    door: TcpProxy, behind: MilvusVectors, capfd: pytest.CaptureFixture[str]
) -> None:
    behind.append(ANN, keys("a"), EAST[None])
    door.shut()
    begin = time.monotonic()
    for _ in range(50):
        with pytest.raises(StoreUnavailable) as caught:
            found(behind)
        assert caught.value.data["service"] == "milvus"
    assert time.monotonic() - begin < 2
    with pytest.raises(StoreUnavailable):
        behind.append(ANN, keys("b"), EAST[None])
    door.open()
    _eventually(lambda: found(behind) == ["a"])
    behind.append(ANN, keys("b"), EAST[None])
    assert found(behind) == ["a", "b"]
    assert capfd.readouterr() == ("", "")


def test_a_server_that_is_away_at_the_start_is_used_once_it_is_there(door: TcpProxy, behind: MilvusVectors) -> None:
    door.shut()
    with pytest.raises(StoreUnavailable):
        behind.open()
    door.open()
    _eventually(lambda: found(behind) == [])


def test_a_server_that_hangs_holds_nobody_for_long(door: TcpProxy, behind: MilvusVectors) -> None:
    """However many ask at once, and those who come later are told at once."""
    behind.append(ANN, keys("a"), EAST[None])
    door.hush()
    waits: list[float] = []

    def search() -> None:
        begin = time.monotonic()
        with pytest.raises(StoreUnavailable):
            found(behind)
        waits.append(time.monotonic() - begin)

    threads = [threading.Thread(target=search) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(waits) < 4
    search()
    assert waits[-1] < 0.1
    door.shut()
    door.open()
    _eventually(lambda: found(behind) == ["a"])


def _eventually(holds: Callable[[], bool], within_s: float = 15) -> None:
    """A server that is back is asked again once a second."""
    end = time.monotonic() + within_s
    while True:
        try:
            assert holds()
        except StoreUnavailable:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return
