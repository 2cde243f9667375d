"""The audit's chain: nothing is changed, taken out or put in unseen, and a person can be erased all the same."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from localmind.accounts.acting import acting
from localmind.accounts.model import Principal, Role, UserId
from localmind.catalog.audit import Event, note
from localmind.catalog.audit_chain import BEGINNING, Link, flaws, hash_of
from localmind.catalog.audit_tables import audit_chain, audit_event
from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database
from localmind.catalog.retention import Rules
from localmind.chat.conversations import Conversations
from localmind.errors import StoreUnavailable
from localmind.model import Message, SourceId, TenantId
from localmind.operations.audit import Audit
from localmind.privacy.erasure import erase_person
from tests.postgresql_server import catalog_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures

ONE, OTHER = TenantId("one"), TenantId("other")
ANN = UserId("ann")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.stack)])
def catalog(request: pytest.FixtureRequest) -> Iterator[Catalog]:
    database = Database(request.getfixturevalue("catalog_url" if request.param == "sqlite" else "postgresql_url"))
    yield Catalog(database)
    database.close()


@pytest.fixture
def chain(catalog: Catalog) -> Catalog:
    """Six events of a tenant, and one of another."""
    with acting(address="203.0.113.7", request_id="r1"):
        for number in range(6):
            catalog.audit.record(Event.DOCUMENT_INGESTED, ONE, user_id=ANN, sources=[f"s{number}"])
        catalog.audit.record(Event.LOGIN, OTHER, user_id=ANN)
    return catalog


def tampered(catalog: Catalog, statement: str) -> list[tuple[int, str]]:
    with catalog.database.write() as connection:
        connection.execute(sa.text(statement))
    return [(flaw.seq, flaw.what) for flaw in catalog.audit.verify(ONE).flaws]


def test_an_untouched_chain_holds_in_each_tenant_apart(chain: Catalog) -> None:
    one, other = (chain.audit.verify(tenant) for tenant in (ONE, OTHER))
    assert (one.flaws, one.rows, one.end.seq) == ((), 6, 6)
    assert (other.flaws, other.rows, other.end.seq) == ((), 1, 1)


@pytest.mark.parametrize(
    "change",
    [
        "at = at - 1",
        "event = 'login'",
        "actor = 'x'",
        "details = '{}'",
        "key_id = 'k'",
        "request_id = NULL",
        "space = 's'",
        "subject = 'b'",
    ],
)
def test_a_changed_row_is_found(chain: Catalog, change: str) -> None:
    assert tampered(chain, f"UPDATE audit_event SET {change} WHERE tenant = 'one' AND seq = 3") == [(3, "was changed")]


@pytest.mark.parametrize("seq", [1, 3, 6])
def test_a_removed_row_is_found(chain: Catalog, seq: int) -> None:
    assert tampered(chain, f"DELETE FROM audit_event WHERE tenant = 'one' AND seq = {seq}") == [(seq, "was removed")]


def test_several_removed_rows_are_found(chain: Catalog) -> None:
    assert tampered(chain, "DELETE FROM audit_event WHERE tenant = 'one' AND seq BETWEEN 2 AND 4") == [(2, "was removed, and all up to 4")]
    assert [flaw.seq for flaw in chain.audit.verify(OTHER).flaws] == []


def test_a_row_that_is_put_in_is_found(chain: Catalog) -> None:
    put_in = "INSERT INTO audit_event SELECT tenant, 7, at, event, actor, subject, key_id, space, request_id, details, personal, seal,"
    assert tampered(chain, f"{put_in} previous, hash FROM audit_event WHERE tenant = 'one' AND seq = 6") == [
        (7, "was put in after the end of the chain")
    ]


def test_a_row_that_takes_anothers_place_with_a_hash_of_its_own_is_found(chain: Catalog) -> None:
    with chain.database.write() as connection:
        row = dict(connection.execute(sa.select(audit_event).where(audit_event.c.tenant == ONE, audit_event.c.seq == 3)).mappings().one())
        row["details"] = {"sources": ["other"]}
        row["hash"] = hash_of(row, row["previous"])
        connection.execute(sa.update(audit_event).where(audit_event.c.tenant == ONE, audit_event.c.seq == 3).values(row))

    assert [flaw.seq for flaw in chain.audit.verify(ONE).flaws] == [4]


@pytest.mark.parametrize("personal", ["NULL", '\'{"address": "198.51.100.1"}\''])
def test_another_address_is_found(chain: Catalog, personal: str) -> None:
    found = tampered(chain, f"UPDATE audit_event SET personal = {personal} WHERE tenant = 'one' AND seq = 2")
    assert [seq for seq, _ in found] == [2]


def test_an_end_that_was_cut_off_and_forgotten_is_found_by_the_log_alone_but_not_half_of_it(chain: Catalog) -> None:
    assert tampered(chain, "UPDATE audit_chain SET seq = 5 WHERE tenant = 'one'") != []


def test_retention_leaves_a_chain_that_holds_and_says_what_is_gone(chain: Catalog) -> None:
    rows = [entry.at for entry in reversed(chain.audit.page(ONE).items)]
    assert chain.audit.trim(ONE, before=rows[3]) == 3
    verdict = chain.audit.verify(ONE)
    assert (verdict.flaws, verdict.begins, verdict.rows) == ((), 4, 4)
    assert chain.audit.trim(ONE, before=rows[3]) == 0
    newest = chain.audit.page(ONE).items[0]
    assert (newest.event, newest.details["what"], newest.details["through"]) == ("maintenance", "audit_trimmed", 3)

    assert chain.audit.trim(ONE, before=rows[-1] + 3600) == 4  # all, the word of the first time too
    assert chain.audit.verify(ONE).flaws == ()


def test_a_beginning_that_was_cut_off_by_hand_is_found(chain: Catalog) -> None:
    with chain.database.write() as connection:
        last = connection.execute(sa.select(audit_event.c.hash).where(audit_event.c.tenant == ONE, audit_event.c.seq == 2)).scalar_one()
        connection.execute(sa.update(audit_chain).where(audit_chain.c.tenant == ONE).values(anchor_seq=2, anchor_hash=last))
    assert [seq for seq, _ in tampered(chain, "DELETE FROM audit_event WHERE tenant = 'one' AND seq <= 2")] == [3]


def test_an_erased_person_is_nobody_and_the_chain_holds(chain: Catalog, tmp_path: Path) -> None:
    before = chain.audit.page(ONE).items[0]
    assert (before.user_id, before.personal) == (ANN, {"address": "203.0.113.7"})

    chain.audit.forget_person(ONE, ANN)

    after = chain.audit.page(ONE).items[0]
    assert (after.user_id, after.personal, after.actor, after.hash) == (None, None, before.actor, before.hash)
    assert chain.audit.verify(ONE).flaws == ()
    assert chain.audit.page(OTHER).items[0].user_id == ANN


def test_what_is_not_committed_is_not_written_down(chain: Catalog) -> None:
    with pytest.raises(RuntimeError, match="no"), chain.database.write():
        chain.audit.record(Event.DOCUMENT_DELETED, ONE, sources=["s1"])
        raise RuntimeError("no")
    assert chain.audit.verify(ONE).end.seq == 6


def test_events_are_filtered_and_paged(chain: Catalog) -> None:
    chain.audit.record(Event.MAINTENANCE, ONE, what="rebuild")
    assert [entry.seq for entry in chain.audit.page(ONE, event="maintenance").items] == [7]
    assert [entry.seq for entry in chain.audit.page(ONE, user_id=ANN, limit=2).items] == [6, 5]
    first = chain.audit.page(ONE, limit=4)
    assert [entry.seq for entry in chain.audit.page(ONE, limit=4, cursor=first.next_cursor).items] == [3, 2, 1]
    assert chain.audit.page(ONE, until=first.items[-1].at).items[0].seq == 3


def test_writers_beside_each_other_make_one_chain(catalog: Catalog) -> None:
    def write() -> None:
        for _ in range(10):
            catalog.audit.record(Event.CHAT, ONE)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = catalog.audit.verify(ONE)
    assert (verdict.rows, verdict.flaws) == (40, ())


# --- the queue


def test_a_query_is_kept_as_the_setting_says(catalog: Catalog) -> None:
    for queries in ("plain", "hashed", "off"):
        audit = Audit(catalog, queries=queries)
        audit.searched(ONE, "salaries", mode="text", hits=1, sources=[SourceId("a"), SourceId("a")])
        audit.searched(ONE, "salaries", mode="text", hits=1)
        audit.flush()
    off, _, hashed, again, plain, _ = catalog.audit.page(ONE).items
    assert (off.personal, "query" in off.details) == (None, False)
    assert hashed.details["query"] == again.details["query"] != "salaries"
    assert (plain.personal, "query" in plain.details) == ({"query": "salaries"}, False)
    assert again.details["sources"] == ["a"]
    assert catalog.audit.verify(ONE).flaws == ()


def test_what_waits_is_written_at_the_stop_and_after_an_outage(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = Audit(catalog, queries="off")
    append = catalog.audit.append
    outage = iter([True])

    def away_once(notes: list) -> None:  # type: ignore[type-arg]
        if next(outage, False):
            raise StoreUnavailable("away", service="catalog")
        append(notes)

    monkeypatch.setattr(catalog.audit, "append", away_once)
    audit.searched(ONE, "soup", mode="text", hits=1)
    with pytest.raises(StoreUnavailable):
        audit.flush()
    audit.start()
    audit.close()
    assert catalog.audit.verify(ONE).rows == 1


def test_more_than_can_wait_is_counted(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localmind.operations.audit.MOST_WAITING", 2)
    audit = Audit(catalog, queries="off")
    for _ in range(5):
        audit.searched(TenantId("personal"), "soup", mode="text", hits=1)
    audit.flush()
    events = catalog.audit.page(TenantId("personal")).items
    assert [entry.event for entry in events] == ["maintenance", "search_performed", "search_performed"]
    assert events[0].details == {"what": "audit_lost", "events": 3}


# --- what the catalog holds on a person


def test_what_is_held_on_a_person_is_read_and_forgotten_in_all_spaces_of_the_tenant(catalog: Catalog) -> None:
    catalog.accounts.ensure_tenant(ONE, "One")
    catalog.accounts.add(ANN, email="ann@example.org", name="Ann", password_hash="x")
    catalog.accounts.join(ONE, ANN, Role.OWNER)
    catalog.spaces.add(ONE, TenantId("second"), name="Second", restricted=False)
    conversations = Conversations(catalog.database)
    said = [Message("user", "Salaries?", datetime.now(UTC)), Message("assistant", "None.", datetime.now(UTC))]
    others = conversations.record(ONE, None, "Of others", said)
    with acting(principal=Principal(ONE, ANN, Role.OWNER)):
        for space in (ONE, TenantId("second"), OTHER):
            conversations.record(space, None, "Salaries?", said)
        conversations.record(ONE, others, "And hers?", said)
    assert catalog.retention.consented(ANN, "v1") and not catalog.retention.consented(ANN, "v1")

    facts = catalog.people.facts(ONE, ANN)
    assert (facts["account"]["email"], facts["membership"]["role"], len(facts["consents"])) == ("ann@example.org", "owner", 1)
    told = list(catalog.people.conversations(ONE, ANN))
    assert sorted((one["began"], len(one["messages"])) for one in told) == [(False, 2), (True, 2), (True, 2)]
    assert list(catalog.people.documents(ONE, ANN)) == []

    erase_person(catalog, ONE, ANN, "ann@example.org", documents=False)

    assert list(catalog.people.conversations(ONE, ANN)) == []
    assert len(conversations.get(ONE, others).messages) == 2
    assert len(conversations.list(OTHER).items) == 1  # of another tenant
    assert catalog.people.facts(ONE, ANN)["account"] is None and catalog.people.facts(ONE, ANN)["consents"] == []
    assert [(one.user_id, one.is_over) for one in catalog.people.erasures(linger_s=60)] == [(ANN, False)]
    assert catalog.people.erasures(linger_s=-60)[0].is_over


def test_rules_are_kept_and_old_conversations_go(catalog: Catalog) -> None:
    conversations = Conversations(catalog.database)
    conversations.record(ONE, None, "Salaries?", [Message("user", "Salaries?", datetime.now(UTC))])
    catalog.retention.put(ONE, Rules(audit_days=1))
    catalog.retention.put(ONE, Rules(conversations_days=2))
    assert [(tenant, kept.rules) for tenant, kept in catalog.retention.all()] == [(ONE, Rules(conversations_days=2))]
    assert catalog.retention.old_documents(ONE, "used_at", before=time.time(), after=SourceId("")) == []
    assert [catalog.retention.drop_conversations(ONE, before=time.time() + shift) for shift in (-60, 60, 60)] == [0, 1, 0]
    assert conversations.list(ONE).items == ()


# --- the chain alone


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=8), st.data())
def test_any_row_less_or_moved_breaks_a_chain(events: list[str], data: st.DataObject) -> None:
    rows: list[dict[str, object]] = []
    end = BEGINNING
    for seq, event in enumerate(events, 1):
        row = {
            "tenant": "t",
            "seq": seq,
            "at": 1.5,
            "event": event,
            "actor": "p",
            "subject": None,
            "key_id": None,
            "space": None,
            "request_id": None,
            "details": {},
            "personal": None,
            "seal": None,
            "previous": end.hash,
        }
        rows.append({**row, "hash": hash_of(row, end.hash)})
        end = Link(seq, str(rows[-1]["hash"]))
    assert list(flaws(rows, {"p": "s"}, after=BEGINNING, end=end)) == []
    gone = data.draw(st.integers(0, len(rows) - 1))
    assert list(flaws(rows[:gone] + rows[gone + 1 :], {"p": "s"}, after=BEGINNING, end=end))
    for one, other in itertools.pairwise(range(len(rows))):
        swapped = [*rows]
        swapped[one] = {**rows[other], "seq": rows[one]["seq"]}
        assert list(flaws(swapped, {"p": "s"}, after=BEGINNING, end=end))


def test_a_note_says_who_acts_and_from_where() -> None:
    with acting(address="203.0.113.7", request_id="r1"):
        said = note(Event.CHAT, ONE)
    assert (said.personal, said.request_id, said.user_id) == ({"address": "203.0.113.7"}, "r1", None)
    assert note(Event.CHAT, ONE).personal == {}
