"""From a document to a searchable source, and back out of every store."""

from __future__ import annotations

import io
import json

import pytest

from localmind.errors import Conflict, InvalidInput, NotFound, TooLarge
from localmind.ingest.sources import NewText
from localmind.model import PERSONAL, JobStatus, Source, SourceStatus

OTTERS = "# Otters\n\nThe giant otter of Lake Manu hunts piranhas at dawn.\n"
CLOCKS = "# Clocks\n\nThe Prague Orloff clock strikes every hour with twelve apostles.\n"


def manual(paragraphs: int = 300) -> str:
    """A long text whose paragraphs all differ."""
    parts = [
        f"Valve number {n} opens at {n * 7 % 101} bar when pump {n * 13 % 97} feeds tank {n * 17 % 89} of building {n}."
        for n in range(paragraphs)
    ]
    return "\n\n".join(f"{part} {part[::-1]}. It was inspected by crew {n}." for n, part in enumerate(parts))


def until_staged(desk, accepted) -> None:
    """Until some of its vectors are written."""
    for _ in desk.mind.jobs.watch(PERSONAL, accepted.job_id, 60):
        if desk.mind.store.vectors.count(PERSONAL):
            return
    raise AssertionError(accepted)


def source_of(desk, source_id: str) -> Source:
    return desk.mind.sources.get(PERSONAL, source_id)


def test_a_text_becomes_searchable_in_every_mode(desk):
    desk.put(OTTERS, name="otters.md")
    desk.put(CLOCKS, name="clocks.md")

    for mode in ("hybrid", "vector", "text", "graph"):
        assert desk.found("giant otter", mode)[0].lower() == "otters", mode


def test_a_source_says_what_the_stores_hold(desk):
    accepted = desk.put(OTTERS)

    source = source_of(desk, accepted.source_id)

    assert source.status is SourceStatus.READY
    assert source.chunks == source.vectors == 1
    assert source.entities >= 1


def test_a_chunk_is_the_text_between_its_offsets(desk):
    accepted = desk.put(manual(60))

    text = desk.mind.sources.document(PERSONAL, accepted.source_id).text
    chunks = desk.mind.sources.chunks(PERSONAL, accepted.source_id, limit=200).items

    assert len(chunks) > 3
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)


def test_the_same_content_twice_is_one_source(desk):
    first = desk.put(OTTERS, name="a.md")
    again = desk.mind.sources.upload(PERSONAL, filename="b.md", data=io.BytesIO(OTTERS.encode()))

    assert again.duplicate
    assert again.source_id == first.source_id
    assert len(desk.mind.sources.list(PERSONAL).items) == 1


def test_two_readmes_are_two_sources(desk):
    first = desk.put(OTTERS, name="README.md", uri="file:///a/README.md")
    second = desk.put(CLOCKS, name="README.md", uri="file:///b/README.md")

    assert first.source_id != second.source_id


def test_the_same_uri_is_a_new_version_of_the_same_source(desk):
    first = desk.put(OTTERS, name="x.md", uri="file:///x.md")
    second = desk.put(CLOCKS, name="x.md", uri="file:///x.md")

    assert second.source_id == first.source_id
    assert source_of(desk, first.source_id).version == 2
    assert desk.found("giant otter piranhas", "text") == []
    assert desk.found("Prague Orloff", "text") != []


def test_an_edited_paragraph_embeds_at_most_three_chunks_again(desk):
    text = manual(150)
    accepted = desk.put(text, uri="file:///manual.md")
    whole = len(desk.embedded)
    desk.embedded.clear()

    desk.put(text.replace("Valve number 75 opens", "Valve number 75, the brass one, never opens"), uri="file:///manual.md")

    assert whole > 30
    assert 1 <= len(desk.embedded) <= 3
    assert source_of(desk, accepted.source_id).vectors == source_of(desk, accepted.source_id).chunks
    assert desk.mind.maintenance.reconcile(fix=False).count == 0


def test_offsets_move_with_text_inserted_above(desk):
    text = manual(100)
    accepted = desk.put(text, uri="file:///manual.md")

    desk.put("A new first paragraph, about nothing in particular.\n\n" + text, uri="file:///manual.md")

    new = desk.mind.sources.document(PERSONAL, accepted.source_id).text
    chunks = desk.mind.sources.chunks(PERSONAL, accepted.source_id, limit=200).items
    assert all(new[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))


def test_a_delete_leaves_nothing_in_any_store(desk):
    kept = desk.put(CLOCKS)
    doomed = desk.put(manual(80) + OTTERS)

    job = desk.end_of(desk.mind.sources.delete(PERSONAL, doomed.source_id))

    assert job.status is JobStatus.SUCCEEDED
    assert desk.found("giant otter Lake Manu", "text") == []
    with pytest.raises(NotFound):
        source_of(desk, doomed.source_id)
    report = desk.mind.maintenance.reconcile(fix=False)
    assert report.findings == ()
    stats = desk.mind.maintenance.stats(PERSONAL)
    assert (stats.sources, stats.chunks, stats.vectors) == (1, 1, 1)
    assert set(desk.mind.store.blobs.keys(PERSONAL)) == desk.mind.catalog.sources.blob_keys(PERSONAL)
    assert source_of(desk, kept.source_id).status is SourceStatus.READY


def test_deleting_one_of_two_keeps_what_the_other_said(desk):
    desk.put("Marie Curie discovered Polonium in Paris.", name="one.txt")
    both = desk.put("Marie Curie was born in Warsaw.", name="two.txt")
    desk.end_of(desk.mind.sources.delete(PERSONAL, both.source_id))

    names = {entity.name for entity in desk.mind.graph.entities(PERSONAL).items}

    assert "Marie Curie" in names
    assert "Warsaw" not in names


def test_a_deleted_source_can_be_put_in_again(desk):
    accepted = desk.put(OTTERS, uri="file:///o.md")
    desk.end_of(desk.mind.sources.delete(PERSONAL, accepted.source_id))

    again = desk.put(OTTERS, uri="file:///o.md")

    assert again.source_id != accepted.source_id
    assert desk.found("giant otter")


def test_a_file_that_cannot_be_read_fails_with_a_way_out(desk):
    accepted = desk.mind.sources.upload(PERSONAL, filename="broken.pdf", data=io.BytesIO(b"%PDF-1.7 nothing more"))

    job = desk.end_of(accepted)

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error["message"]
    assert job.error["hint"]
    assert source_of(desk, accepted.source_id).status is SourceStatus.FAILED
    assert desk.put(OTTERS)  # and the next one works


def test_a_failed_update_leaves_the_version_before_in_place(desk):
    accepted = desk.put(OTTERS)

    job = desk.end_of(desk.mind.sources.replace(PERSONAL, accepted.source_id, filename="x.pdf", data=io.BytesIO(b"%PDF-1.7 broken")))

    assert job.status is JobStatus.FAILED
    source = source_of(desk, accepted.source_id)
    assert source.version == 1
    assert source.status is SourceStatus.PARTIAL
    assert desk.found("giant otter")


def test_a_failed_job_can_be_retried_and_a_succeeded_one_can_not(desk):
    broken = desk.mind.sources.upload(PERSONAL, filename="broken.pdf", data=io.BytesIO(b"%PDF-1.7 nothing more"))
    desk.end_of(broken)
    assert broken.job_id is not None

    desk.mind.jobs.retry(PERSONAL, broken.job_id)
    assert desk.end_of(broken).status is JobStatus.FAILED

    fine = desk.put(OTTERS)
    assert fine.job_id is not None
    with pytest.raises(Conflict):
        desk.mind.jobs.retry(PERSONAL, fine.job_id)


def test_reingesting_embeds_nothing_again(desk):
    accepted = desk.put(manual(50))
    desk.embedded.clear()

    job = desk.end_of(desk.mind.sources.reingest(PERSONAL, accepted.source_id))

    assert job.status is JobStatus.SUCCEEDED
    assert desk.embedded == []


def test_bulk_texts_answer_in_order_and_know_repetitions(desk):
    texts = [NewText("One", "The first note."), NewText("Two", "The second note."), NewText("One", "The first note.")]

    answers = desk.mind.sources.add_texts(PERSONAL, texts, bulk=True)

    assert [answer.duplicate for answer in answers] == [False, False, True]
    assert answers[0].source_id == answers[2].source_id
    assert all(desk.end_of(answer).status is JobStatus.SUCCEEDED for answer in answers)


def test_bad_input_is_refused_before_anything_is_stored(desk):
    for bad in (NewText("T", "   "), NewText("", "text"), NewText("T", "a\0b"), NewText("T", "half \ud83d"), NewText("T" * 600, "text")):
        with pytest.raises(InvalidInput):
            desk.mind.sources.add_texts(PERSONAL, [NewText("Fine", "Fine text."), bad])
    with pytest.raises(InvalidInput):
        desk.mind.sources.upload(PERSONAL, filename="empty.txt", data=io.BytesIO(b""))
    with pytest.raises(TooLarge):
        desk.mind.sources.upload(PERSONAL, filename="big.txt", data=io.BytesIO(b"x" * (desk.settings.max_upload_bytes + 1)))

    assert desk.mind.sources.list(PERSONAL).items == ()


def test_each_conversation_of_an_export_is_a_source_and_a_newer_export_updates_it(desk):
    def export(last_words: str) -> str:
        def talk(key: str, title: str, question: str, answer: str) -> dict[str, object]:
            def node(name: str, parent: str | None, children: list[str], role: str = "", text: str = "") -> dict[str, object]:
                message = (
                    {"author": {"role": role}, "create_time": 1.7e9, "content": {"content_type": "text", "parts": [text]}} if role else None
                )
                return {"id": name, "message": message, "parent": parent, "children": children}

            mapping = {
                "root": node("root", None, ["q"]),
                "q": node("q", "root", ["a"], "user", question),
                "a": node("a", "q", [], "assistant", answer),
            }
            return {"id": key, "conversation_id": key, "title": title, "create_time": 1.7e9, "current_node": "a", "mapping": mapping}

        return json.dumps(
            [
                talk("c1", "Bicycle chain", "How do I clean the chain?", "Use a rag."),
                talk("c2", "Sourdough", "When do I feed it?", last_words),
            ]
        )

    desk.put(export("At noon."), name="conversations.json")
    for job in desk.mind.jobs.list(PERSONAL).items:
        assert list(desk.mind.jobs.watch(PERSONAL, job.id, 60))[-1].status is JobStatus.SUCCEEDED
    sources = {source.title: source for source in desk.mind.sources.list(PERSONAL).items}
    assert {"Bicycle chain", "Sourdough"} <= sources.keys()

    desk.put(export("At midnight, with warm water."), name="conversations.json")
    for job in desk.mind.jobs.list(PERSONAL).items:
        assert list(desk.mind.jobs.watch(PERSONAL, job.id, 60))[-1].status is JobStatus.SUCCEEDED

    assert source_of(desk, sources["Sourdough"].id).version == 2
    assert source_of(desk, sources["Bicycle chain"].id).version == 1
    assert desk.found("midnight warm water", "text") == ["Sourdough"]


def test_what_was_queued_at_the_end_goes_on_at_the_next_start(desk):
    answers = desk.mind.sources.add_texts(PERSONAL, [NewText(f"Note {n}", f"Note {n} is about subject {n * n}.") for n in range(300)])
    desk.restart()

    ends = [desk.end_of(answer).status for answer in answers]

    assert set(ends) == {JobStatus.SUCCEEDED}
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()
    assert desk.mind.maintenance.stats(PERSONAL).chunks == 300


def test_a_cancelled_job_leaves_nothing_staged(desk, hold):
    gate = hold(1)
    accepted = desk.mind.sources.upload(PERSONAL, filename="long.md", data=io.BytesIO(manual(100).encode()))
    assert accepted.job_id is not None
    until_staged(desk, accepted)
    desk.mind.jobs.cancel(PERSONAL, accepted.job_id)

    job = desk.end_of(accepted)
    gate.open()

    assert job.status is JobStatus.CANCELLED
    assert desk.mind.maintenance.stats(PERSONAL).vectors == 0
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()


def test_a_job_that_a_newer_version_overtook_does_not_bring_the_old_one_back(desk):
    accepted = desk.put(OTTERS, uri="file:///x.md")
    desk.put(CLOCKS, uri="file:///x.md")
    late = desk.mind.catalog.jobs.add(PERSONAL, [("ingest", accepted.source_id, 1, 20)])[0]
    desk.mind.pipeline.wake()

    last = list(desk.mind.jobs.watch(PERSONAL, late, 60))[-1]

    assert last.status is JobStatus.CANCELLED
    assert source_of(desk, accepted.source_id).version == 2
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()
