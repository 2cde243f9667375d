"""The walk by hand-made graphs and by its properties."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.graph.port import Edge
from localmind.model import ABOUT, ChunkId, EntityId
from localmind.retrieval.walk import DAMPING, REASONS, Walked, rarity, walk

chunk_ids = st.sampled_from([ChunkId(f"c{n}") for n in range(6)])
entity_ids = st.sampled_from([EntityId(f"e{n}") for n in range(6)])
weights = st.floats(0.01, 20)
mentions = st.lists(st.builds(Edge, chunk_ids, entity_ids, weights), max_size=20)


def edges(*pairs: tuple[str, str] | tuple[str, str, float]) -> list[Edge]:
    return [Edge(ChunkId(pair[0]), EntityId(pair[1]), pair[2] if len(pair) == 3 else 1.0) for pair in pairs]


def walked(
    near: Mapping[str, float], named: Mapping[str, float], mentions: list[Edge], rarities: Mapping[str, float] | None = None
) -> Walked:
    known = rarities or {mention.entity_id: 1.0 for mention in mentions}
    return walk(
        {ChunkId(k): v for k, v in near.items()},
        {EntityId(k): v for k, v in named.items()},
        mentions,
        {EntityId(k): v for k, v in known.items()},
    )


def order(found: Walked) -> list[str]:
    return sorted(found.scores, key=lambda id_: (-found.scores[id_], id_))


def test_two_hops_lead_to_what_no_list_has() -> None:
    found = walked({"film": 1.0}, {"Film": 1.0}, edges(("film", "Film"), ("film", "Director"), ("life", "Director"), ("other", "Studio")))
    assert order(found) == ["film", "life", "other"]
    assert found.scores[ChunkId("other")] == 0
    assert found.because[ChunkId("life")] == ("Director",)


def test_a_chunk_about_an_entity_is_led_to_before_one_that_mentions_it() -> None:
    found = walked({"film": 1.0}, {}, edges(("film", "Director"), ("life", "Director", ABOUT), ("passing", "Director", ABOUT - 0.1)))
    assert found.scores[ChunkId("life")] > 2 * found.scores[ChunkId("passing")]


def test_an_entity_that_something_tells_of_is_followed_before_others() -> None:
    found = walked(
        {"a": 1.0}, {}, edges(("a", "Told"), ("a", "Untold"), ("b", "Told", ABOUT), ("c", "Told"), ("d", "Untold"), ("e", "Untold"))
    )
    assert found.scores[ChunkId("b")] > found.scores[ChunkId("d")]


def test_rare_entities_lead_further() -> None:
    found = walked({"a": 1.0}, {}, edges(("a", "Rare"), ("a", "Common"), ("b", "Rare"), ("c", "Common")), {"Rare": 5.0, "Common": 0.5})
    assert found.scores[ChunkId("b")] > 5 * found.scores[ChunkId("c")]
    assert rarity(1, 1000) > rarity(10, 1000) > rarity(1000, 1000) > 0


def test_without_edges_the_scores_are_the_shares_of_the_chunks() -> None:
    found = walked({"a": 3.0, "b": 1.0}, {"Unknown": 1.0}, [], {"Unknown": 1.0})
    assert found.scores[ChunkId("a")] == pytest.approx(3 * found.scores[ChunkId("b")])
    assert found.through == found.because == {}
    assert walk({}, {}, [], {}) == ({}, {}, {})


def test_names_alone_lead_to_chunks() -> None:
    assert order(walked({}, {"Ada": 1.0}, edges(("a", "Ada"), ("b", "Ada", ABOUT)))) == ["b", "a"]


def test_what_a_chunk_gets_back_from_its_own_entities_does_not_count_as_the_graphs() -> None:
    found = walked({"a": 1.0, "b": 1.0, "c": 1.0}, {}, edges(("a", "Own"), ("b", "Shared"), ("c", "Shared")))
    assert found.through.keys() == {"b", "c"}


def test_entities_without_rarity_are_no_part_of_it() -> None:
    found = walked({"a": 1.0}, {}, edges(("a", "Ada"), ("b", "Ada")), {"Zuse": 1.0})
    assert found.scores.keys() == {"a"}


def test_only_the_main_reasons_are_given_the_strongest_first() -> None:
    many = edges(*(("a", f"e{n}") for n in range(9)), *(("b", f"e{n}", 1.0 + n) for n in range(9)))
    found = walked({"a": 1.0}, {}, many, {f"e{n}": 1.0 + n / 10 for n in range(9)})
    assert list(found.because[ChunkId("b")]) == [f"e{n}" for n in range(8, 8 - REASONS, -1)]


@given(st.dictionaries(chunk_ids, weights, min_size=1), st.dictionaries(entity_ids, weights), mentions)
def test_any_graph_gives_shares(near: dict[ChunkId, float], named: dict[EntityId, float], some: list[Edge]) -> None:
    rarities = {EntityId(f"e{n}"): 1.0 + n for n in range(6)}
    found = walk(near, named, some, rarities)
    assert all(score >= 0 for score in found.scores.values())
    # What begins at an entity that leads nowhere is lost; everything else stays in the walk.
    assert sum(found.scores.values()) <= 1 + 1e-9
    assert found.through.keys() <= found.scores.keys()
    assert found.because.keys() == found.through.keys()


def test_a_chain_is_walked_as_solved_by_algebra() -> None:
    found = walked({"a": 1.0}, {}, edges(("a", "X"), ("b", "X")))
    step = np.array([[0, 0, 0.5], [0, 0, 0.5], [1, 1, 0]])  # a, b, X
    exact = np.linalg.solve(np.eye(3) - DAMPING * step, (1 - DAMPING) * np.array([1.0, 0, 0]))
    assert found.scores[ChunkId("a")] == pytest.approx(exact[0], abs=0.03)
    assert found.scores[ChunkId("b")] == pytest.approx(exact[1], abs=0.03)
