"""Entity resolution in the composed product: a document in, and the names it defines are one."""

from __future__ import annotations

import time

import pytest

from localmind.model import PERSONAL
from localmind.wiring import LocalMind
from tests.unit.ingest.conftest import Desk

DEFINES = "The Message Queue (MQ) of the Bergen Works keeps letters. Each Message Queue is emptied by Ada Lindqvist at noon."
NAMES = "MQ was built for Tor Hansen. Tor Hansen says that MQ never rests, and that MQ is made of brass."


def wait(mind: LocalMind, *, timeout_s: float = 30) -> None:
    """Until every name is seen to."""
    deadline = time.monotonic() + timeout_s
    while mind.store.naming.aliases.unsettled(PERSONAL, limit=1):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def meant(mind: LocalMind, *names: str) -> set[str]:
    return {entity.name for entity in mind.graph.link(PERSONAL, names).values()}


def test_an_abbreviation_and_what_it_stands_for_are_one_whichever_document_comes_first(desk: Desk) -> None:
    desk.put(NAMES, name="names.md")
    desk.put(DEFINES, name="defines.md")
    wait(desk.mind)
    assert len(meant(desk.mind, "MQ", "Message Queue")) == 1
    desk.put(NAMES.replace("brass", "iron"), name="more.md")
    wait(desk.mind)
    entity = desk.mind.graph.link(PERSONAL, ["MQ"])["MQ"]
    assert entity.mentions == 3
    assert "defines" in desk.found("MQ", "graph")


def test_a_merge_holds_over_a_restart_and_a_rebuild_and_goes_with_its_document(desk: Desk) -> None:
    desk.put(NAMES, name="names.md")
    accepted = desk.put(DEFINES, name="defines.md")
    wait(desk.mind)
    desk.restart()
    assert len(meant(desk.mind, "MQ", "Message Queue")) == 1
    desk.mind.maintenance.rebuild()
    wait(desk.mind)
    assert len(meant(desk.mind, "MQ", "Message Queue")) == 1
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()
    desk.end_of(desk.mind.sources.delete(PERSONAL, accepted.source_id))
    wait(desk.mind)
    assert meant(desk.mind, "MQ", "Message Queue") == {"MQ"}
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()


def test_a_new_version_takes_back_what_only_the_old_one_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localmind.ingest.tidy.LOOK_S", 0.1)
    desk.put(NAMES, name="names.md", uri="note:names")
    desk.put(DEFINES, name="defines.md", uri="note:defines")
    wait(desk.mind)
    desk.put(DEFINES.replace(" (MQ)", ""), name="defines.md", uri="note:defines")
    wait(desk.mind)
    assert len(meant(desk.mind, "MQ", "Message Queue")) == 2


def test_merges_move_with_everything_else(desk: Desk) -> None:
    from localmind.operations.moving import TABLES

    assert {"alias", "apart", "spelling", "definition", "unsettled"} <= {table.name for table in TABLES}
