"""`localmind doctor` asks the LLM once and says in a line what is wrong and how to mend it."""

from __future__ import annotations

import pytest

from localmind.operations import doctor
from localmind.settings import Settings
from tests.llm_server import MESSAGES, Failure, Hang, LLMServer, Page

FOUND = {"entities": [{"name": "Ada Lovelace", "type": "person", "description": "Wrote notes."}], "relations": []}


def look(server, **changes):
    given = {"llm_model": "scripted", "llm_base_url": server.base_url, "llm_timeout_s": 5, **changes}
    return doctor._llm(Settings(_env_file=None, **given))


def test_a_model_that_answers_is_well_after_one_call(llm_server):
    llm_server.always(FOUND)

    check = look(llm_server)

    assert check.ok and "scripted answers in" in check.detail and "JSON by schema" in check.detail
    assert len(llm_server.requests) == 1


def test_anthropics_protocol_is_asked_too(llm_server):
    llm_server.always(FOUND, path=MESSAGES)

    check = look(llm_server, llm_provider="anthropic")

    assert check.ok and "tool call" in check.detail


@pytest.mark.parametrize(
    ("answer", "detail", "way_out"),
    [
        (Failure(404, "The model `scripted` does not exist", "model_not_found"), "does not know the model 'scripted'", "LLM_MODEL"),
        (Page("<h1>404 page not found</h1>", status=404), "not the address of an LLM's API", "LLM_BASE_URL"),
        (Page(), "does not answer as an LLM server does", "LLM_BASE_URL"),
        ("I like talking.", "not with the JSON", "another model"),
        (Failure(401), "refuses the API key", "LLM_API_KEY"),
        (Failure(429, "You exceeded your current quota", "insufficient_quota"), "no credit left", "credit"),
        (Failure(500, "CUDA out of memory"), "CUDA out of memory", "log"),
    ],
)
def test_what_is_wrong_is_told_in_a_line_with_the_way_out(answer, detail, way_out, llm_server):
    llm_server.always(answer)

    check = look(llm_server)

    assert not check.ok
    assert detail in check.detail and way_out in check.hint
    assert "\n" not in check.detail


def test_a_model_that_is_too_slow_is_told_as_such(llm_server):
    llm_server.always(Hang())

    check = look(llm_server, llm_timeout_s=0.3)

    assert not check.ok and "did not answer within 0.3 s" in check.detail and "LLM_TIMEOUT_S" in check.hint


def test_a_server_that_is_not_there_is_told_as_such():
    with LLMServer() as gone:
        pass

    check = look(gone)

    assert not check.ok and "can't be reached" in check.detail and "LLM_BASE_URL" in check.hint
