"""What the catalog keeps of communities, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from localmind.catalog.communities import CommunityTable, Member
from localmind.catalog.database import Database
from localmind.errors import BadCursor, NotFound
from localmind.model import CentralEntity, CommunityId, EntityId, Quote, TenantId
from tests.postgresql_server import catalog_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures

ANN, BOB = TenantId("ann"), TenantId("bob")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.stack)])
def table(request: pytest.FixtureRequest) -> Iterator[CommunityTable]:
    url = request.getfixturevalue("catalog_url" if request.param == "sqlite" else "postgresql_url")
    database = Database(url)
    yield CommunityTable(database)
    database.close()


def row(id_: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "level": 0,
        "parent_id": None,
        "size": 3,
        "mentions": 5,
        "title": f"Title of {id_}",
        "summary": "Says.",
        "entities": [["e1", "Leek", 1.0]],
        "sources": [["c1", 0, 4]],
        "made_by": "",
        "drift": 0,
        "vector": b"\0\1\2\3",
        **changes,
    }


def test_what_was_put_is_there_and_put_again_replaced(table: CommunityTable) -> None:
    table.put(ANN, [row("a"), row("b", level=1, parent_id="a")])
    table.put(ANN, [row("a", title="Soup", vector=b"")])
    found = table.get(ANN, CommunityId("a"))

    assert (found.title, found.entities, found.sources) == ("Soup", (CentralEntity(EntityId("e1"), "Leek", 1.0),), (Quote("c1", 0, 4),))  # type: ignore[arg-type]
    assert [(each.community.id, each.has_vector) for each in sorted(table.kept(ANN), key=lambda each: each.community.id)] == [
        ("a", False),
        ("b", True),
    ]
    assert [(each.id, each.parent_id, each.vector) for each in table.vectors(ANN)] == [("b", "a", b"\0\1\2\3")]
    table.forget_vectors(ANN)
    assert table.vectors(ANN) == []


def test_lists_go_by_mentions_page_by_page(table: CommunityTable) -> None:
    table.put(ANN, [row(f"c{n}", mentions=n // 2, level=n % 2) for n in range(9)])
    everything = table.page(ANN, level=None, limit=100, cursor=None)
    paged, cursor = [], None
    while True:
        page = table.page(ANN, level=None, limit=2, cursor=cursor)
        paged += page.items
        cursor = page.next_cursor
        if cursor is None:
            break

    assert [each.id for each in everything.items] == ["c8", "c6", "c7", "c4", "c5", "c2", "c3", "c0", "c1"]
    assert tuple(paged) == everything.items and everything.next_cursor is None
    assert {each.level for each in table.page(ANN, level=1, limit=100, cursor=None).items} == {1}
    with pytest.raises(BadCursor):
        table.page(ANN, level=None, limit=2, cursor="nonsense")


def test_another_tenant_sees_nothing(table: CommunityTable) -> None:
    table.put(ANN, [row("a")])
    table.place(ANN, [Member(EntityId("e1"), CommunityId("a"), 2)])

    assert table.page(BOB, level=None, limit=9, cursor=None).items == ()
    assert (table.kept(BOB), table.vectors(BOB), table.some(BOB, [CommunityId("a")]), list(table.members(BOB))) == ([], [], [], [])
    with pytest.raises(NotFound):
        table.get(BOB, CommunityId("a"))
    table.forget(BOB, [CommunityId("a")])
    table.forget_members(BOB, [EntityId("e1")])
    table.clear(BOB)
    table.forget_vectors(BOB)
    assert table.get(ANN, CommunityId("a")) and len(table.vectors(ANN)) == 1
    assert [member for batch in table.members(ANN) for member in batch] == [("e1", "a", 2)]


def test_members_are_placed_moved_and_forgotten(table: CommunityTable) -> None:
    e1, e2 = EntityId("e1"), EntityId("e2")
    table.place(ANN, [Member(e1, CommunityId("a"), 2), Member(e2, None, 1)])
    table.place(ANN, [Member(e1, CommunityId("b"), 3)])
    assert [member for batch in table.members(ANN) for member in batch] == [("e1", "b", 3), ("e2", None, 1)]

    table.forget_members(ANN, [e1])
    assert [member for batch in table.members(ANN) for member in batch] == [("e2", None, 1)]


def test_one_of_many_takes_a_tenant(table: CommunityTable) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda n: table.take(ANN, f"w{n}", lease_s=60), range(8)))
    assert sum(taken) == 1
    owner = f"w{taken.index(True)}"

    assert table.take(BOB, "other", lease_s=60)
    assert table.take(ANN, owner, lease_s=60)
    table.release(ANN, "somebody else")
    assert not table.take(ANN, "next", lease_s=60)
    table.release(ANN, owner)
    assert table.take(ANN, "next", lease_s=-1)
    assert table.take(ANN, "after its lease", lease_s=60)


def test_a_settled_change_has_another_version(table: CommunityTable) -> None:
    assert (table.version(ANN), table.moved(ANN)) == (0, 0)
    table.take(ANN, "w", lease_s=60)
    table.settle(ANN, moved=7)
    assert (table.version(ANN), table.moved(ANN)) == (1, 7)
    table.take(ANN, "w", lease_s=60)
    assert (table.version(ANN), table.moved(ANN)) == (1, 7)
