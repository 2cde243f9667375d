"""What counts how much in the graph list."""

from __future__ import annotations

import pytest

from localmind.graph.port import Neighbor
from localmind.model import Entity, EntityId, Relation
from localmind.retrieval.graph import NEIGHBOR_WEIGHT, NEIGHBORS_USED, named_weights, neighbor_weights


def entity(id_: str) -> Entity:
    return Entity(EntityId(id_), id_, "concept", "", 1)


def test_a_name_of_more_words_counts_more_and_one_without_a_capital_less() -> None:
    weights = named_weights({"Ada": entity("ada"), "Bank of England": entity("bank"), "song": entity("song")})
    assert weights[EntityId("bank")] > weights[EntityId("ada")] > weights[EntityId("song")] > 0


def test_a_name_inside_a_longer_one_that_is_known_is_left_out() -> None:
    linked = {"Bank of England": entity("bank"), "England": entity("england"), "Bank": entity("b"), "Land": entity("land")}
    assert set(named_weights(linked)) == {"bank", "land"}


def test_names_in_a_script_without_capitals_count_in_full() -> None:
    assert named_weights({"東京": entity("tokyo")}) == {"tokyo": 1.0}


def test_neighbors_share_a_fixed_part_by_the_weight_of_their_relations() -> None:
    named = {EntityId("a"): 1.0, EntityId("b"): 3.0}
    near = [
        Neighbor(entity("x"), Relation(EntityId("a"), EntityId("x"), "related", "", 4.0)),
        Neighbor(entity("y"), Relation(EntityId("y"), EntityId("a"), "related", "", 1.0)),
    ]
    weights = neighbor_weights(named, near)
    assert weights[EntityId("x")] == pytest.approx(2 * weights[EntityId("y")])
    assert sum(weights.values()) == pytest.approx(NEIGHBOR_WEIGHT * 4.0)


def test_only_the_closest_neighbors_are_used() -> None:
    near = [Neighbor(entity(f"x{n}"), Relation(EntityId("a"), EntityId(f"x{n}"), "related", "", n + 1.0)) for n in range(20)]
    weights = neighbor_weights({EntityId("a"): 1.0}, near)
    assert set(weights) == {f"x{n}" for n in range(20 - NEIGHBORS_USED, 20)}


def test_without_neighbors_there_are_no_weights() -> None:
    assert neighbor_weights({EntityId("a"): 1.0}, []) == {}
