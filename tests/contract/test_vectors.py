"""What every adapter of the vectors port promises. A new adapter is a new parameter of `stores`."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from localmind.errors import DimensionMismatch, InvalidInput
from localmind.ids import is_id
from localmind.model import ChunkId, ChunkKey, Filter, SourceId, TenantId
from localmind.vectors.port import Vectors
from tests.hostile import hostile, some
from tests.milvus_server import shared_collection, vectors_of  # noqa: F401 - a fixture

DIM = 8
ANN, BOB = TenantId("ann"), TenantId("bob")

Stores = Callable[..., Vectors]


@pytest.fixture(params=["lancedb", pytest.param("milvus", marks=pytest.mark.stack)])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """Opens the test's store: the same one each time, as after a restart."""
    opened: list[Vectors] = []

    def made(model: str, dim: int) -> Vectors:
        if request.param == "milvus":
            uri = request.getfixturevalue("stack")["MILVUS_URI"]
            return vectors_of(uri, request.getfixturevalue("shared_collection"), model=model, dim=dim)
        from localmind.vectors.lancedb import LanceVectors

        return LanceVectors(tmp_path / "vectors", model=model, dim=dim)

    def open_store(model: str = "some-model", dim: int = DIM, *, reset: bool = False) -> Vectors:
        store = made(model, dim)
        opened.append(store)
        if reset:
            store.reset()
        store.open()
        return store

    yield open_store
    for store in opened:
        store.close()
    if request.param == "milvus":
        for tenant in opened[0].tenants():
            opened[0].drop(tenant)
        opened[0].close()


@pytest.fixture
def store(stores: Stores) -> Vectors:
    return stores()


def unit(*values: float) -> np.ndarray:
    vector = np.zeros(DIM, dtype=np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def keys(*names: str, source: str = "s1") -> list[ChunkKey]:
    return [ChunkKey(ChunkId(name), SourceId(source)) for name in names]


def of(*sources: str) -> Filter:
    return Filter(frozenset(SourceId(source) for source in sources))


def everything(store: Vectors, tenant: TenantId, source: str | None = None) -> list[ChunkKey]:
    return sorted(key for batch in store.keys(tenant, source=SourceId(source) if source else None) for key in batch)


def found(store: Vectors, tenant: TenantId, query: np.ndarray, limit: int = 10, where: Filter | None = None) -> list[str]:
    return [hit.chunk_id for hit in store.search(tenant, query, limit=limit, where=where)]


EAST, NORTH_EAST, NORTH = unit(1, 0), unit(1, 1), unit(0, 1)


@pytest.fixture
def compass(store: Vectors) -> Vectors:
    store.append(ANN, keys("north", "east", "north-east"), np.stack([NORTH, EAST, NORTH_EAST]))
    return store


def test_the_closest_come_first_with_their_cosine(compass: Vectors) -> None:
    hits = compass.search(ANN, EAST, limit=10)
    assert [hit.chunk_id for hit in hits] == ["east", "north-east", "north"]
    assert [hit.score for hit in hits] == pytest.approx([1, 0.5**0.5, 0], abs=1e-6)


def test_an_opposite_scores_minus_one(store: Vectors) -> None:
    store.append(ANN, keys("west"), -EAST[None])
    assert store.search(ANN, EAST, limit=1)[0].score == pytest.approx(-1, abs=1e-6)


def test_a_limit_cuts(compass: Vectors) -> None:
    assert found(compass, ANN, EAST, limit=2) == ["east", "north-east"]


def test_a_limit_of_zero_gives_nothing(compass: Vectors) -> None:
    assert found(compass, ANN, EAST, limit=0) == []


@pytest.mark.parametrize("limit", [1, 3, 20])
def test_ties_are_in_the_order_of_ids_even_across_the_limit(store: Vectors, limit: int) -> None:
    names = [f"c{n:02}" for n in range(30)]
    for start in range(25, -5, -5):  # in several writes, the last names first
        store.append(ANN, keys(*names[start : start + 5]), np.tile(EAST, (5, 1)))
    assert found(store, ANN, EAST, limit=limit) == names[:limit]


def test_a_write_is_seen_at_once(store: Vectors) -> None:
    for n in range(5):
        store.append(ANN, keys(f"c{n}"), unit(1, n)[None])
        assert store.count(ANN) == n + 1
        assert found(store, ANN, unit(1, n), limit=1) == [f"c{n}"]


def test_a_write_is_seen_from_another_thread_at_once(compass: Vectors) -> None:
    compass.search(ANN, EAST, limit=1)
    writer = threading.Thread(target=compass.append, args=(ANN, keys("south"), -NORTH[None]))
    writer.start()
    writer.join()
    assert found(compass, ANN, -NORTH, limit=1) == ["south"]


def test_a_write_survives_a_restart(stores: Stores) -> None:
    first = stores()
    first.append(ANN, keys("east"), EAST[None])
    first.close()
    assert found(stores(), ANN, EAST) == ["east"]


def test_opening_and_closing_twice_is_harmless(stores: Stores) -> None:
    store = stores()
    store.open()
    store.close()
    store.close()


def test_writing_again_replaces_vector_and_source(compass: Vectors) -> None:
    compass.write(ANN, keys("east", "new", source="s2"), np.stack([NORTH, EAST]))
    assert everything(compass, ANN) == sorted(keys("north", "north-east") + keys("east", "new", source="s2"))
    assert compass.get(ANN, [ChunkId("east")])[ChunkId("east")] == pytest.approx(NORTH)


def test_writing_the_same_again_changes_nothing(compass: Vectors) -> None:
    compass.write(ANN, keys("east"), EAST[None])
    assert compass.count(ANN) == 3
    assert found(compass, ANN, EAST) == ["east", "north-east", "north"]


def test_an_id_twice_in_one_write_is_there_once_as_it_came_last(store: Vectors) -> None:
    store.write(ANN, keys("c", "d", "c"), np.stack([EAST, EAST, NORTH]))
    assert everything(store, ANN) == keys("c", "d")
    assert store.get(ANN, [ChunkId("c")])[ChunkId("c")] == pytest.approx(NORTH)


def test_nothing_written_is_nothing_there(store: Vectors) -> None:
    store.append(ANN, [], np.zeros((0, DIM), np.float32))
    store.write(ANN, [], np.zeros((0, DIM), np.float32))
    assert store.tenants() == []


def test_another_tenant_sees_nothing(compass: Vectors) -> None:
    compass.append(BOB, keys("bobs", source="s9"), EAST[None])
    assert found(compass, ANN, EAST) == ["east", "north-east", "north"]
    assert found(compass, BOB, EAST) == ["bobs"]
    assert found(compass, BOB, EAST, where=of("s1")) == []
    assert compass.get(BOB, [ChunkId("east")]) == {}
    assert everything(compass, BOB) == keys("bobs", source="s9")
    assert compass.count(BOB, source=SourceId("s1")) == 0


def test_another_tenants_deletes_change_nothing(compass: Vectors) -> None:
    compass.append(BOB, keys("bobs"), EAST[None])
    compass.delete(BOB, [ChunkId("east")])
    compass.delete_sources(BOB, [SourceId("s1")])
    compass.drop(BOB)
    assert compass.count(ANN) == 3


def test_the_same_id_in_two_tenants_is_two_chunks(compass: Vectors) -> None:
    compass.write(BOB, keys("east"), NORTH[None])
    assert compass.get(ANN, [ChunkId("east")])[ChunkId("east")] == pytest.approx(EAST)
    assert compass.count(ANN) == 3


def test_an_unknown_tenant_has_nothing_and_stays_unknown(store: Vectors) -> None:
    assert store.search(ANN, EAST, limit=5) == []
    assert store.get(ANN, [ChunkId("c")]) == {}
    assert list(store.keys(ANN)) == []
    assert store.count(ANN) == 0
    store.delete(ANN, [ChunkId("c")])
    store.delete_sources(ANN, [SourceId("s")])
    store.optimize(ANN)
    store.drop(ANN)
    assert store.tenants() == []


def test_tenants_are_those_with_vectors(compass: Vectors) -> None:
    compass.append(BOB, keys("bobs"), EAST[None])
    assert sorted(compass.tenants()) == [ANN, BOB]
    compass.delete(BOB, [ChunkId("bobs")])
    assert compass.tenants() == [ANN]


def test_get_leaves_out_what_is_not_there(compass: Vectors) -> None:
    got = compass.get(ANN, [ChunkId("north"), ChunkId("nowhere"), ChunkId("east")])
    assert got.keys() == {"north", "east"}
    assert got[ChunkId("north")].dtype == np.float32
    assert got[ChunkId("north")] == pytest.approx(NORTH)
    assert compass.get(ANN, []) == {}


def test_delete_ignores_what_is_not_there_and_what_is_named_twice(compass: Vectors) -> None:
    compass.delete(ANN, [ChunkId("east"), ChunkId("nowhere"), ChunkId("east")])
    compass.delete(ANN, [ChunkId("east")])
    compass.delete(ANN, [])
    assert everything(compass, ANN) == keys("north", "north-east")
    assert found(compass, ANN, EAST) == ["north-east", "north"]


def test_delete_sources_takes_all_chunks_of_these(compass: Vectors) -> None:
    compass.append(ANN, keys("a", source="s2") + keys("b", source="s3"), np.stack([EAST, EAST]))
    compass.delete_sources(ANN, [SourceId("s1"), SourceId("s3"), SourceId("nowhere")])
    compass.delete_sources(ANN, [])
    assert everything(compass, ANN) == keys("a", source="s2")


def test_a_deleted_chunk_can_come_back(compass: Vectors) -> None:
    compass.delete(ANN, [ChunkId("east")])
    compass.append(ANN, keys("east"), EAST[None])
    assert found(compass, ANN, EAST, limit=1) == ["east"]


def test_many_ids_at_once(store: Vectors) -> None:
    names = [f"c{n:05}" for n in range(2500)]
    store.append(ANN, keys(*names), np.tile(EAST, (2500, 1)))
    assert len(store.get(ANN, [ChunkId(name) for name in names])) == 2500
    store.delete(ANN, [ChunkId(name) for name in names[1:]])
    assert everything(store, ANN) == keys("c00000")


def test_a_filter_restricts_to_its_sources(compass: Vectors) -> None:
    compass.append(ANN, keys("other", source="s2"), EAST[None])
    assert found(compass, ANN, NORTH, where=of("s2")) == ["other"]
    assert found(compass, ANN, EAST, limit=1, where=of("s1", "nowhere")) == ["east"]


def test_an_empty_filter_matches_nothing(compass: Vectors) -> None:
    assert found(compass, ANN, EAST, where=of()) == []


def test_a_filter_of_thousands_works(compass: Vectors) -> None:
    assert found(compass, ANN, EAST, where=of("s1", *(f"x{n}" for n in range(5000)))) == ["east", "north-east", "north"]


def test_keys_and_count_of_one_source(compass: Vectors) -> None:
    compass.append(ANN, keys("other", source="s2"), EAST[None])
    assert everything(compass, ANN, source="s2") == keys("other", source="s2")
    assert compass.count(ANN, source=SourceId("s1")) == 3
    assert compass.count(ANN, source=SourceId("nowhere")) == 0


def test_keys_can_be_deleted_while_they_are_listed(store: Vectors) -> None:
    store.append(ANN, keys(*(f"c{n}" for n in range(50))), np.tile(EAST, (50, 1)))
    for batch in store.keys(ANN):
        store.delete(ANN, [key.chunk_id for key in batch])
    assert store.count(ANN) == 0


def test_optimize_changes_nothing_that_can_be_seen(compass: Vectors) -> None:
    compass.delete(ANN, [ChunkId("north")])
    before = compass.search(ANN, EAST, limit=10)
    compass.optimize(ANN)
    compass.optimize(ANN)
    assert compass.search(ANN, EAST, limit=10) == before
    compass.write(ANN, keys("east"), NORTH[None])
    assert found(compass, ANN, NORTH) == ["east", "north-east"]


def test_a_dropped_tenant_is_forgotten_and_can_begin_again(compass: Vectors) -> None:
    compass.drop(ANN)
    assert compass.tenants() == []
    assert compass.count(ANN) == 0
    compass.append(ANN, keys("new"), EAST[None])
    assert everything(compass, ANN) == keys("new")


@pytest.mark.parametrize(("model", "dim"), [("another-model", DIM), ("some-model", DIM * 2)])
def test_vectors_of_another_model_are_refused_with_the_way_out(stores: Stores, model: str, dim: int) -> None:
    first = stores()
    first.append(ANN, keys("east"), EAST[None])
    first.close()
    with pytest.raises(DimensionMismatch) as caught:
        stores(model, dim)
    assert "localmind reembed" in caught.value.hint
    assert found(stores(), ANN, EAST) == ["east"]


def test_a_reset_makes_room_for_another_model(stores: Stores) -> None:
    first = stores()
    first.append(ANN, keys("east"), EAST[None])
    first.close()
    second = stores("another-model", 2, reset=True)
    assert second.tenants() == []
    second.append(ANN, keys("west"), np.array([[1, 0]], np.float32))
    assert everything(second, ANN) == keys("west")


def test_a_store_without_vectors_takes_another_model(stores: Stores) -> None:
    first = stores()
    first.append(ANN, keys("east"), EAST[None])
    first.delete(ANN, [ChunkId("east")])
    first.close()
    second = stores("another-model", 2)
    second.append(ANN, keys("east"), np.array([[1, 0]], np.float32))
    assert second.search(ANN, np.array([1, 0], np.float32), limit=1)[0].chunk_id == "east"


def test_after_a_mismatch_dropping_the_tenants_is_the_way_out(stores: Stores) -> None:
    first = stores()
    first.append(ANN, keys("east"), EAST[None])
    first.close()
    with pytest.raises(DimensionMismatch):
        stores("another-model")
    for tenant in first.tenants():
        first.drop(tenant)
    assert stores("another-model").tenants() == []


def test_vectors_of_a_wrong_dimension_are_refused(compass: Vectors) -> None:
    wrong = np.ones(DIM + 1, np.float32)
    with pytest.raises(DimensionMismatch):
        compass.append(ANN, keys("c"), wrong[None])
    with pytest.raises(DimensionMismatch):
        compass.write(ANN, keys("c"), wrong[None])
    with pytest.raises(DimensionMismatch):
        compass.search(ANN, wrong, limit=1)
    assert compass.count(ANN) == 3


def test_as_many_vectors_as_keys(store: Vectors) -> None:
    with pytest.raises(InvalidInput):
        store.append(ANN, keys("a", "b"), EAST[None])


EVIL = "x') OR ('1'='1"


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.delete(ANN, [EVIL]),
        lambda store: store.delete_sources(ANN, [EVIL]),
        lambda store: store.get(ANN, [EVIL]),
        lambda store: store.count(ANN, source=EVIL),
        lambda store: list(store.keys(ANN, source=EVIL)),
        lambda store: store.search(ANN, EAST, limit=1, where=of(EVIL)),
        lambda store: store.append(ANN, keys(EVIL), EAST[None]),
        lambda store: store.write(ANN, keys("c", source=EVIL), EAST[None]),
        lambda store: store.count(TenantId("../ann")),
        lambda store: store.drop(TenantId("..")),
    ],
)
def test_what_is_no_id_is_refused(compass: Vectors, call: Callable[[Vectors], object]) -> None:
    with pytest.raises(InvalidInput):
        call(compass)
    assert compass.count(ANN) == 3


def test_readers_and_writers_at_once_lose_nothing(store: Vectors) -> None:
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        return threading.Thread(target=run)

    def write(worker: int) -> None:
        for n in range(15):
            store.append(ANN, keys(f"w{worker}-{n}", source=f"s{worker}"), unit(worker + 1, n)[None])
            store.write(ANN, keys(f"w{worker}-{n}", source=f"s{worker}"), unit(worker + 1, n)[None])
        store.delete(ANN, [ChunkId(f"w{worker}-0")])

    def search() -> None:
        for _ in range(30):
            assert len(store.search(ANN, EAST, limit=5)) <= 5

    def tidy() -> None:
        for _ in range(5):
            store.optimize(ANN)

    threads = [guarded(lambda n=n: write(n)) for n in range(2)] + [guarded(search), guarded(tidy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert everything(store, ANN) == sorted(key for w in range(2) for n in range(1, 15) for key in keys(f"w{w}-{n}", source=f"s{w}"))


# --- random sequences against a plain dict

names = st.sampled_from([f"c{n}" for n in range(6)])
sources = st.sampled_from(["s0", "s1", "s2"])
# Few directions, so that ties are frequent; none is zero.
directions = st.tuples(*[st.sampled_from([0.0, 1.0, -1.0])] * 3).filter(any).map(lambda values: unit(*values))


def model_machine(store: Vectors, tenants: Iterator[TenantId]) -> type[RuleBasedStateMachine]:
    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.tenant = next(tenants)
            self.model: dict[str, tuple[str, np.ndarray]] = {}

        @rule(items=st.lists(st.tuples(names, sources, directions), min_size=1, max_size=4))
        def write(self, items: list[tuple[str, str, np.ndarray]]) -> None:
            store.write(self.tenant, [ChunkKey(ChunkId(c), SourceId(s)) for c, s, _ in items], np.stack([v for *_, v in items]))
            self.model.update({chunk: (source, vector) for chunk, source, vector in items})

        @rule(source=sources, vector=directions)
        def append(self, source: str, vector: np.ndarray) -> None:
            new = next(name for n in itertools.count() if (name := f"n{n}") not in self.model)
            store.append(self.tenant, keys(new, source=source), vector[None])
            self.model[new] = (source, vector)

        @rule(gone=st.lists(names, max_size=3))
        def delete(self, gone: list[str]) -> None:
            store.delete(self.tenant, [ChunkId(name) for name in gone])
            for name in gone:
                self.model.pop(name, None)

        @rule(gone=st.lists(sources, max_size=2))
        def delete_sources(self, gone: list[str]) -> None:
            store.delete_sources(self.tenant, [SourceId(source) for source in gone])
            self.model = {name: item for name, item in self.model.items() if item[0] not in gone}

        @rule()
        def optimize(self) -> None:
            store.optimize(self.tenant)

        @rule(query=directions, limit=st.integers(1, 8), where=st.none() | st.sets(sources))
        def search(self, query: np.ndarray, limit: int, where: set[str] | None) -> None:
            hits = store.search(self.tenant, query, limit=limit, where=None if where is None else of(*where))
            scores = {name: float(vector @ query) for name, (source, vector) in self.model.items() if where is None or source in where}
            expected = sorted(scores, key=lambda name: (-round(scores[name], 5), name))[:limit]
            assert [hit.chunk_id for hit in hits] == expected
            assert [hit.score for hit in hits] == pytest.approx([scores[name] for name in expected], abs=1e-5)

        @invariant()
        def holds_the_same(self) -> None:
            assert everything(store, self.tenant) == sorted(ChunkKey(ChunkId(c), SourceId(s)) for c, (s, _) in self.model.items())

    return Machine


def test_any_sequence_of_calls_agrees_with_a_dict(store: Vectors, request: pytest.FixtureRequest) -> None:
    examples = 5 if request.node.get_closest_marker("stack") else 12  # a server takes 0.3 s a write
    fresh = (TenantId(f"t{n}") for n in itertools.count())
    run_state_machine_as_test(
        model_machine(store, fresh),
        settings=settings(max_examples=examples, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)),
    )


@some
@given(hostile)
def test_no_id_gets_out_of_a_filter(stores: Stores, text: str) -> None:
    """Of another tenant nothing is read or deleted, whatever stands where an id should."""
    store = stores()
    for tenant in (ANN, BOB):
        if not store.count(tenant):
            store.append(tenant, keys("a"), EAST[None])
    with suppress(InvalidInput):
        assert {*found(store, ANN, EAST, where=of(text))} <= ({"a"} if text == "s1" else set())
    if text == "s1":
        return
    for refused in (
        lambda: store.append(ANN, keys(text), EAST[None]) if not is_id(text) else None,
        lambda: store.delete(ANN, [ChunkId(text)]) if text != "a" else None,
        lambda: store.delete_sources(ANN, [SourceId(text)]),
        lambda: list(store.keys(ANN, source=SourceId(text))),
        lambda: store.count(ANN, source=SourceId(text)),
        lambda: store.search(TenantId(text), EAST, limit=5) if text != BOB else None,
        lambda: store.drop(TenantId(text)) if text != BOB else None,
    ):
        with suppress(InvalidInput):
            assert not refused()
    assert everything(store, ANN) == everything(store, BOB) == keys("a")
