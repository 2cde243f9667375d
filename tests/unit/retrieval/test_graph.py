"""What counts how much of what a query names."""

from __future__ import annotations

from localmind.model import Entity, EntityId
from localmind.retrieval.graph import named_weights


def entity(id_: str, name: str | None = None, mentions: int = 1) -> Entity:
    return Entity(EntityId(id_), name or id_, "concept", "", mentions)


def test_a_name_of_more_words_counts_more_and_one_without_a_capital_less() -> None:
    weights = named_weights({"Ada": entity("ada"), "Bank of England": entity("bank"), "song": entity("song")}, 10)
    assert weights[EntityId("bank")] > weights[EntityId("ada")] > weights[EntityId("song")] > 0


def test_a_rare_name_counts_more() -> None:
    weights = named_weights({"Ada": entity("ada", mentions=2), "Europe": entity("europe", mentions=90)}, 100)
    assert weights[EntityId("ada")] > 2 * weights[EntityId("europe")]


def test_a_name_inside_a_longer_one_that_is_known_is_left_out() -> None:
    linked = {"Bank of England": entity("bank"), "England": entity("england"), "Bank": entity("b"), "Land": entity("land")}
    assert set(named_weights(linked, 1)) == {"bank", "land"}


def test_in_a_query_without_capitals_those_of_the_graph_tell_names_from_words() -> None:
    weights = named_weights({"ada": entity("ada", "Ada"), "song": entity("song", "song")}, 1)
    assert weights[EntityId("ada")] == 10 * weights[EntityId("song")]


def test_names_in_a_script_without_capitals_count_in_full() -> None:
    assert named_weights({"東京": entity("tokyo", "東京")}, 1) == named_weights({"Ada": entity("tokyo", "Ada")}, 1)


def test_a_query_that_names_nothing_known_has_no_weights() -> None:
    assert named_weights({}, 0) == {}
