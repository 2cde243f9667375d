"""Communities keep their ids while the graph grows, and around a change only what changed is touched."""

from __future__ import annotations

from itertools import combinations

from localmind.communities.finding import Edges, Partition, Place, anew, around
from localmind.communities.port import Link
from localmind.model import CommunityId, EntityId, TenantId

TENANT = TenantId("acme")


def ids(letter: str, count: int) -> list[EntityId]:
    return [EntityId(f"{letter}{n}") for n in range(count)]


def tied(members: list[EntityId], weight: float = 1.0) -> list[Link]:
    return [Link(one, other, weight) for one, other in combinations(members, 2)]


def found_anew(members: list[EntityId], links: list[Link], before: Partition | None = None) -> Partition:
    edges = Edges(dict.fromkeys(members, 2))
    edges.add(links)
    return anew(TENANT, edges, before or Partition())


SOUP, PUMP = ids("s", 6), ids("p", 5)
BASE = found_anew([*SOUP, *PUMP], tied(SOUP) + tied(PUMP))


def test_every_entity_is_in_the_community_of_its_like() -> None:
    assert len(BASE.tree) == 2
    assert {BASE.finest[one] for one in SOUP} != {BASE.finest[one] for one in PUMP}
    assert all(len({BASE.finest[one] for one in group}) == 1 for group in (SOUP, PUMP))


def test_a_community_that_is_much_the_same_keeps_its_id() -> None:
    more = [*SOUP, EntityId("s9")]
    again = found_anew([*more, *PUMP], tied(more) + tied(PUMP), BASE)

    assert again.tree == BASE.tree
    assert again.finest[EntityId("s9")] == BASE.finest[SOUP[0]]


def test_a_community_that_is_another_gets_another_id() -> None:
    mixed = [*SOUP[:3], *PUMP[:3]]
    again = found_anew(mixed, tied(mixed), BASE)

    assert len(again.tree) == 1
    assert not again.tree.keys() & BASE.tree.keys()


def grown(new: list[EntityId], links: list[Link], *, gone: list[EntityId] | None = None, hub: EntityId | None = None) -> Partition:
    mentions = dict.fromkeys([*SOUP, *PUMP, *new], 2) | ({hub: 200} if hub else {})
    return around(TENANT, BASE, dict.fromkeys(new, 2), gone or [], [links[:1], links[1:]], mentions)


def test_a_new_entity_joins_the_community_that_it_is_tied_to_most() -> None:
    leek = EntityId("leek")
    found = grown([leek], [Link(leek, SOUP[0], 2.0), Link(leek, SOUP[1], 1.0), Link(PUMP[0], leek, 1.0)])

    assert found.finest[leek] == BASE.finest[SOUP[0]]
    assert {one: found.finest[one] for one in BASE.finest} == BASE.finest


def test_what_is_named_everywhere_draws_a_new_entity_less() -> None:
    leek = EntityId("leek")
    links = [Link(leek, SOUP[0], 1.0), Link(PUMP[0], leek, 2.0)]

    assert grown([leek], links).finest[leek] == BASE.finest[PUMP[0]]
    assert grown([leek], links, hub=PUMP[0]).finest[leek] == BASE.finest[SOUP[0]]


def test_new_entities_among_themselves_are_a_community_of_their_own() -> None:
    lease = ids("l", 4)
    found = grown(lease, [*tied(lease), Link(lease[0], SOUP[0], 1.0)])

    own = {found.finest[one] for one in lease}
    assert len(own) == 1
    assert found.tree.keys() - BASE.tree.keys() == own
    assert found.tree[own.pop()] == Place(0, None)  # type: ignore[arg-type]


def test_a_new_entity_that_is_tied_to_nothing_is_in_none() -> None:
    assert grown([EntityId("lonely")], []).finest[EntityId("lonely")] is None


def test_what_is_gone_leaves_its_community_and_one_without_members_goes() -> None:
    found = grown([], [], gone=[*PUMP[:3], SOUP[0]])

    assert list(found.tree) == [BASE.finest[SOUP[1]]]
    assert found.finest[PUMP[4]] is None
    assert SOUP[0] not in found.finest


def test_what_is_left_of_a_finer_community_belongs_to_the_one_around() -> None:
    coarse, fine = CommunityId("coarse"), CommunityId("fine")
    before = Partition({**dict.fromkeys(SOUP, fine), **dict.fromkeys(PUMP, coarse)}, {coarse: Place(0, None), fine: Place(1, coarse)})
    found = around(TENANT, before, {}, SOUP[:4], [], {})

    assert found.tree == {coarse: Place(0, None)}
    assert set(found.finest.values()) == {coarse}
