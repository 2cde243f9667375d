"""What is LanceDB's own: its files, its index, its errors, looked at behind the adapter's back."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localmind.errors import CorruptIndex, DiskFull, StoreUnavailable
from localmind.model import PERSONAL, ChunkId, ChunkKey, Filter, SourceId
from localmind.vectors import _lance
from localmind.vectors.lancedb import LanceVectors

DIM = 32
NO_TIME = timedelta(milliseconds=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "vectors"


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[..., LanceVectors]]:
    stores: list[LanceVectors] = []

    def open_store(**options: Any) -> LanceVectors:
        store = LanceVectors(folder, model="m", dim=DIM, **options)
        stores.append(store)
        store.open()
        return store

    yield open_store
    for store in stores:
        store.close()


@pytest.fixture
def small_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lance, "INDEX_FROM", 1000)
    monkeypatch.setattr(_lance, "PENDING_ROWS", 50)


def random_units(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def keys(start: int, stop: int) -> list[ChunkKey]:
    return [ChunkKey(ChunkId(f"c{n:05}"), SourceId(f"s{n // 10}")) for n in range(start, stop)]


def fill(store: LanceVectors, count: int, *, each: int = 500) -> np.ndarray:
    vectors = random_units(count)
    for start in range(0, count, each):
        stop = min(count, start + each)
        store.append(PERSONAL, keys(start, stop), vectors[start:stop])
    return vectors


def nearest(store: LanceVectors, query: np.ndarray, where: Filter | None = None) -> list[str]:
    return [hit.chunk_id for hit in store.search(PERSONAL, query, limit=10, where=where)]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def table_behind_its_back(folder: Path, tenant: str = PERSONAL) -> Any:
    import lancedb

    return lancedb.connect(folder).open_table(tenant)


def test_importing_the_adapter_loads_no_engine() -> None:
    code = "import sys, localmind.vectors.lancedb; print({'lancedb', 'pyarrow', 'numpy'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_closed_store_says_so(folder: Path) -> None:
    (folder / "personal.lance").mkdir(parents=True)
    with pytest.raises(StoreUnavailable):
        LanceVectors(folder, model="m", dim=DIM).count(PERSONAL)


def test_each_tenant_has_a_table_of_its_own(opened: Callable[..., LanceVectors], folder: Path) -> None:
    store = opened()
    fill(store, 20)
    store.append("other", keys(20, 21), random_units(1))  # type: ignore[arg-type]
    assert table_behind_its_back(folder).count_rows() == 20
    assert table_behind_its_back(folder, "other").to_arrow().column("id").to_pylist() == ["c00020"]


def test_dropping_removes_the_tenants_files(opened: Callable[..., LanceVectors], folder: Path) -> None:
    store = opened()
    fill(store, 20)
    store.drop(PERSONAL)
    assert [path.name for path in folder.iterdir()] == ["model.json"]


def test_a_drop_that_was_killed_is_finished_at_the_next_start(opened: Callable[..., LanceVectors], folder: Path) -> None:
    (folder / ".personal.dropped" / "data").mkdir(parents=True)
    assert opened().tenants() == []
    assert not (folder / ".personal.dropped").exists()


# --- the index


@pytest.mark.usefixtures("small_index")
def test_the_index_finds_what_an_exact_search_finds(opened: Callable[..., LanceVectors], folder: Path) -> None:
    store = opened()
    vectors = fill(store, 3000)
    store.optimize(PERSONAL)
    assert {index.name for index in table_behind_its_back(folder).list_indices()} == {"vector_idx", "id_idx", "source_id_idx"}
    queries = random_units(50, seed=1)
    exact = [{f"c{n:05}" for n in np.argsort(-(vectors @ query))[:10]} for query in queries]
    recall = sum(len(best & set(nearest(store, query))) for best, query in zip(exact, queries, strict=True)) / 500
    assert recall >= 0.95


@pytest.mark.usefixtures("small_index")
def test_scores_of_the_index_are_exact_cosines(opened: Callable[..., LanceVectors]) -> None:
    store = opened()
    vectors = fill(store, 2000)
    store.optimize(PERSONAL)
    query = random_units(1, seed=2)[0]
    for hit in store.search(PERSONAL, query, limit=10):
        assert hit.score == pytest.approx(float(vectors[int(hit.chunk_id[1:])] @ query), abs=1e-5)


@pytest.mark.usefixtures("small_index")
def test_rows_beside_the_index_are_found_and_deleted_ones_are_not(opened: Callable[..., LanceVectors]) -> None:
    store = opened()
    fill(store, 1500)
    store.optimize(PERSONAL)
    late = random_units(2, seed=3)
    store.append(PERSONAL, keys(90000, 90002), late)
    assert nearest(store, late[0])[0] == "c90000"
    store.delete(PERSONAL, [ChunkId("c90000")])
    assert "c90000" not in nearest(store, late[0])
    store.write(PERSONAL, keys(7, 8), late[1:])  # one that the index has, elsewhere
    assert nearest(store, late[1])[:2] == ["c00007", "c90001"]


@pytest.mark.usefixtures("small_index")
def test_a_filter_finds_all_of_a_far_away_source(opened: Callable[..., LanceVectors]) -> None:
    store = opened()
    vectors = fill(store, 3000)
    store.optimize(PERSONAL)
    assert sorted(nearest(store, -vectors[42], Filter(frozenset([SourceId("s4")])))) == [f"c{n:05}" for n in range(40, 50)]


@pytest.mark.usefixtures("small_index")
def test_an_index_that_has_grown_in_pieces_is_made_anew(opened: Callable[..., LanceVectors], folder: Path) -> None:
    store = opened()
    fill(store, 1000)
    store.optimize(PERSONAL)
    segments = []
    for n in range(_lance.MAX_SEGMENTS + 1):
        store.append(PERSONAL, keys(10_000 + n * 100, 10_100 + n * 100), random_units(100, seed=n))
        store.optimize(PERSONAL)
        segments.append(table_behind_its_back(folder).index_stats("vector_idx").num_indices)
    assert max(segments) <= _lance.MAX_SEGMENTS + 1
    assert segments[-1] < max(segments)


# --- upkeep


def test_optimize_joins_the_pieces_and_drops_what_they_replace(opened: Callable[..., LanceVectors], folder: Path) -> None:
    store = opened(keep_versions=NO_TIME)
    fill(store, 4000, each=40)
    store.delete_sources(PERSONAL, [SourceId(f"s{n}") for n in range(100)])
    store.optimize(PERSONAL)
    assert len(list((folder / "personal.lance" / "data").iterdir())) == 1
    assert len(list((folder / "personal.lance" / "_versions").iterdir())) <= 2
    assert size(folder) < 2 * 3000 * DIM * 4


def test_optimize_does_nothing_for_a_few_writes(opened: Callable[..., LanceVectors], folder: Path) -> None:
    store = opened()
    fill(store, 100)
    store.optimize(PERSONAL)
    store.append(PERSONAL, keys(200, 201), random_units(1))
    before = size(folder)
    store.optimize(PERSONAL)
    assert size(folder) == before


def wait_until_clean(store: LanceVectors, folder: Path) -> None:
    deadline = time.monotonic() + 10
    while len(list((folder / "personal.lance" / "_versions").glob("*.manifest"))) > 1:
        assert time.monotonic() < deadline, "old versions stay"
        store.optimize(PERSONAL)


def test_old_versions_stay_for_a_while_and_go_at_a_later_optimize(opened: Callable[..., LanceVectors], folder: Path) -> None:
    store = opened(keep_versions=timedelta(seconds=0.5))
    fill(store, 400, each=10)
    store.optimize(PERSONAL)
    assert len(list((folder / "personal.lance" / "_versions").glob("*.manifest"))) > 1
    wait_until_clean(store, folder)
    assert store.count(PERSONAL) == 400


def test_optimize_removes_what_a_killed_writer_left(opened: Callable[..., LanceVectors], folder: Path) -> None:
    store = opened()
    fill(store, 100)
    stray = folder / "personal.lance" / "data" / "0123456789abcdef.lance"
    stray.write_bytes(b"half a file")
    store.optimize(PERSONAL)
    assert not stray.exists()


def test_a_read_whose_files_went_away_under_it_runs_once_more() -> None:
    class DirectEngine:
        def run(self, work: Callable[[], str]) -> str:
            return work()

    def query() -> Callable[[], str]:
        attempts.append(None)
        return lambda: "found" if len(attempts) > 1 else failing()

    def failing() -> str:
        raise RuntimeError("lance error: Not found: data/1.lance")

    attempts: list[None] = []
    table = _lance.Table(DirectEngine(), handle=None)  # type: ignore[arg-type]
    assert table.read(query) == "found"  # type: ignore[arg-type]


def test_keys_can_be_read_slowly_while_everything_changes(opened: Callable[..., LanceVectors]) -> None:
    store = opened(keep_versions=NO_TIME)
    fill(store, 20_000, each=100)
    listing = store.keys(PERSONAL)
    seen = list(next(listing))
    store.delete_sources(PERSONAL, [SourceId(f"s{n}") for n in range(1900)])
    store.optimize(PERSONAL)
    seen += [key for batch in listing for key in batch]
    assert sorted(seen) == keys(0, 20_000)


@pytest.mark.usefixtures("small_index")
def test_searches_never_fail_while_the_table_is_rewritten(opened: Callable[..., LanceVectors]) -> None:
    store = opened(keep_versions=NO_TIME)
    vectors = fill(store, 1200)
    over = threading.Event()
    failures: list[BaseException] = []

    def search() -> None:
        n = 0
        while not over.is_set():
            n += 1
            try:
                assert nearest(store, vectors[n % 1000])[0] == f"c{n % 1000:05}"
                assert len(store.get(PERSONAL, [ChunkId("c00001")])) == 1
            except BaseException as error:
                failures.append(error)

    reader = threading.Thread(target=search)
    reader.start()
    for n in range(8):
        store.append(PERSONAL, keys(20_000 + n * 60, 20_060 + n * 60), random_units(60, seed=9 + n))
        store.delete(PERSONAL, [key.chunk_id for key in keys(1000 + n * 20, 1020 + n * 20)])
        store.optimize(PERSONAL)
    over.set()
    reader.join()
    assert failures == []


# --- damage


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("pattern", ["_versions/*.manifest", "data/*.lance", "_indices/*/*"])
@pytest.mark.usefixtures("small_index")
def test_a_damaged_file_is_named_with_the_way_out_and_the_way_out_works(
    opened: Callable[..., LanceVectors], folder: Path, pattern: str
) -> None:
    store = opened()
    vectors = fill(store, 1000)
    store.optimize(PERSONAL)
    store.close()
    for path in (folder / "personal.lance").glob(pattern):
        halve(path)
    store = opened()
    with pytest.raises(CorruptIndex) as caught:
        nearest(store, vectors[0])
    assert "localmind rebuild" in caught.value.hint
    assert store.tenants() == [PERSONAL]
    store.drop(PERSONAL)
    fill(store, 10)
    assert nearest(store, vectors[0])[0] == "c00000"


def test_a_damaged_model_file_is_named_and_dropping_mends_it(opened: Callable[..., LanceVectors], folder: Path) -> None:
    store = opened()
    fill(store, 10)
    store.close()
    halve(folder / "model.json")
    with pytest.raises(CorruptIndex):
        store.open()
    for tenant in store.tenants():
        store.drop(tenant)
    store.open()
    assert store.count(PERSONAL) == 0


@pytest.fixture
def nearly_full_disk() -> Iterator[None]:
    """No file may grow past 20 kB: the write fails in the middle as it does where the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_and_leaves_the_store_as_it_was(opened: Callable[..., LanceVectors], request: pytest.FixtureRequest) -> None:
    store = opened()
    vectors = fill(store, 10)
    request.getfixturevalue("nearly_full_disk")
    with pytest.raises(DiskFull):
        store.append(PERSONAL, keys(10, 1010), random_units(1000))
    assert store.count(PERSONAL) == 10
    assert nearest(store, vectors[3])[0] == "c00003"
    store.append(PERSONAL, keys(10, 11), random_units(1))
    assert store.count(PERSONAL) == 11
