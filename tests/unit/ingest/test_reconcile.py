"""What a fault leaves behind is found, and mended from the catalog."""

from __future__ import annotations

import io
import threading

import pytest
import sqlalchemy as sa

from localmind.catalog.tables import entity, mention
from localmind.errors import Conflict
from localmind.model import PERSONAL, ChunkId, ChunkKey, JobStatus, SourceId

TEXTS = {
    "otters.md": "# Otters\n\nThe giant otter of Lake Manu hunts piranhas.\n",
    "clocks.md": "# Clocks\n\nThe Prague Orloff clock shows twelve apostles.\n",
}


def fill(desk) -> list[ChunkId]:
    for name, text in TEXTS.items():
        desk.put(text, name=name)
    return [key for key, _ in desk.mind.catalog.chunks.all_ids(PERSONAL)]


def kinds(desk, *, fix: bool = False) -> set[tuple[str, str]]:
    return {(finding.store, finding.kind) for finding in desk.mind.maintenance.reconcile(fix=fix).findings}


def test_a_sound_base_has_no_findings(desk):
    fill(desk)
    assert kinds(desk) == set()


def test_a_missing_vector_is_embedded_again(desk):
    ids = fill(desk)
    desk.mind.store.vectors.delete(PERSONAL, ids[:1])

    assert kinds(desk) == {("vectors", "missing")}
    assert kinds(desk, fix=True) == {("vectors", "missing")}
    assert kinds(desk) == set()
    assert len(desk.found("giant otter", "vector")) == 2


def test_an_orphan_vector_is_removed(desk):
    ids = fill(desk)
    vectors = desk.mind.store.vectors
    vector = vectors.get(PERSONAL, ids[:1])[ids[0]]
    vectors.write(PERSONAL, [ChunkKey(ChunkId("stray"), SourceId("gone"))], vector.reshape(1, -1))

    assert kinds(desk, fix=True) == {("vectors", "orphan")}
    assert kinds(desk) == set()


def test_what_text_and_graph_lost_comes_back(desk):
    ids = fill(desk)
    with desk.mind.catalog.database.write():
        desk.mind.store.text.delete(PERSONAL, ids[:1])
        desk.mind.store.graph.delete(PERSONAL, ids[:1])

    assert kinds(desk, fix=True) == {("text", "missing"), ("graph", "missing")}
    assert kinds(desk) == set()
    assert desk.found("piranhas", "text") == ["Otters"] or desk.found("piranhas", "text") == ["otters"]


def test_a_blob_that_nothing_needs_is_removed(desk):
    fill(desk)
    desk.mind.store.blobs.put(PERSONAL, b"nobody wants me")

    assert kinds(desk, fix=True) == {("blobs", "orphan")}
    assert kinds(desk) == set()


def test_an_entity_without_a_mention_goes_and_what_was_said_comes_back(desk):
    fill(desk)
    before = entities(desk)
    with desk.mind.catalog.database.write() as connection:
        connection.execute(sa.delete(mention))

    assert ("graph", "entity_miscounted") in kinds(desk)
    kinds(desk, fix=True)
    assert kinds(desk, fix=True) == set() and entities(desk) == before


def test_an_entity_that_was_removed_by_hand_comes_back(desk):
    fill(desk)
    before = entities(desk)
    with desk.mind.catalog.database.write() as connection:
        connection.execute(sa.delete(entity).where(entity.c.name == max(before)))

    assert kinds(desk) == {("graph", "missing")}
    assert kinds(desk, fix=True) == {("graph", "missing")}
    assert kinds(desk) == set() and entities(desk) == before


def entities(desk) -> dict[str, int]:
    return {each.name: each.mentions for each in desk.mind.graph.entities(PERSONAL, limit=200).items}


def test_rebuild_refuses_while_documents_are_ingested(desk, monkeypatch):
    is_begun, may_end = threading.Event(), threading.Event()
    append = desk.mind.store.vectors.append

    def slow(*args):
        is_begun.set()
        may_end.wait(30)
        append(*args)

    monkeypatch.setattr(desk.mind.store.vectors, "append", slow)
    accepted = desk.mind.sources.upload(PERSONAL, filename="note.md", data=io.BytesIO(b"The otter sleeps at noon."))
    assert is_begun.wait(30)
    try:
        with pytest.raises(Conflict, match="being ingested"):
            desk.mind.maintenance.rebuild()
    finally:
        may_end.set()
    assert desk.end_of(accepted).status is JobStatus.SUCCEEDED
    assert desk.mind.maintenance.rebuild().chunks == 1


def test_rebuild_gives_the_same_answers_without_reading_a_file(desk):
    fill(desk)
    before = {mode: desk.found("apostles of the clock", mode) for mode in ("vector", "text", "graph", "hybrid")}
    with desk.mind.catalog.database.read() as connection:
        entities = connection.execute(sa.select(entity.c.key, entity.c.mentions).order_by(entity.c.key)).all()

    report = desk.mind.maintenance.rebuild()

    assert report.chunks == 2
    assert {mode: desk.found("apostles of the clock", mode) for mode in before} == before
    with desk.mind.catalog.database.read() as connection:
        assert connection.execute(sa.select(entity.c.key, entity.c.mentions).order_by(entity.c.key)).all() == entities
    assert kinds(desk) == set()
