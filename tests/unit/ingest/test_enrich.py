"""With an LLM: searchable first, its entities after; paid once; and a model that fails costs nothing but its entities."""

from __future__ import annotations

import json

import pytest

from localmind.model import PERSONAL, JobStatus, SourceStatus

TEXT = "The Kestrel turbine was built by Ada Brunel in Portsmouth. It drives the northern pump.\n"
FOUND = {
    "entities": [
        {"name": "Kestrel", "type": "product", "description": "a turbine"},
        {"name": "Ada Brunel", "type": "person", "description": "built the Kestrel"},
    ],
    "relations": [{"source": "Ada Brunel", "target": "Kestrel", "type": "built", "description": "Ada Brunel built the Kestrel"}],
}


@pytest.fixture
def settings(settings, llm_server):
    return settings.model_copy(update={"llm_model": "scripted", "llm_base_url": llm_server.base_url, "job_attempts": 1})


def entities(desk) -> dict[str, str]:
    return {entity.name: entity.type for entity in desk.mind.graph.entities(PERSONAL).items}


def test_the_models_entities_join_the_keyphrases(desk, llm_server):
    llm_server.reply(json.dumps(FOUND))

    accepted = desk.put(TEXT)

    assert {"Kestrel": "product", "Ada Brunel": "person"}.items() <= entities(desk).items()
    assert {"Portsmouth", "northern pump"} <= entities(desk).keys()
    assert desk.mind.sources.get(PERSONAL, accepted.source_id).status is SourceStatus.READY
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()


def test_the_same_text_is_never_paid_for_twice(desk, llm_server):
    llm_server.reply(json.dumps(FOUND))
    accepted = desk.put(TEXT)
    asked, before = len(llm_server.requests), entities(desk)

    desk.end_of(desk.mind.sources.reingest(PERSONAL, accepted.source_id))
    desk.mind.maintenance.rebuild()

    assert len(llm_server.requests) == asked
    assert entities(desk) == before
    assert before["Kestrel"] == "product"


def test_an_answer_that_is_no_json_leaves_the_keyphrases_and_the_job_says_so(desk, llm_server):
    llm_server.reply("I would rather talk about the weather.")

    accepted = desk.put(TEXT)

    job = desk.end_of(accepted)
    assert job.status is JobStatus.SUCCEEDED
    assert job.error is not None
    assert "1 of 1" in job.error["message"]
    assert "Ada Brunel" in entities(desk)
    assert desk.mind.sources.get(PERSONAL, accepted.source_id).status is SourceStatus.PARTIAL


def test_a_delete_takes_the_cached_extraction_with_it(desk, llm_server):
    llm_server.reply(json.dumps(FOUND))
    accepted = desk.put(TEXT)

    desk.end_of(desk.mind.sources.delete(PERSONAL, accepted.source_id))

    assert not desk.mind.catalog.extractions.has_any(PERSONAL)
    assert entities(desk) == {}
