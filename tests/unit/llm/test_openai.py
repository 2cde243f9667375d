"""What only the OpenAI protocol has: parameters that servers differ in."""

from __future__ import annotations

import json

import pytest

from localmind.errors import ConfigurationError
from localmind.llm.openai import OpenAILLM
from localmind.llm.port import Turn
from localmind.model import Usage
from tests.llm_server import Failure, Page

TURNS = [Turn("user", "Name a colour.")]
SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}


def test_a_schema_is_sent_as_response_format(connect, llm_server):
    llm_server.reply({"colour": "red"})

    assert connect(OpenAILLM, llm_server).complete(TURNS, max_tokens=9, schema=SCHEMA).text == '{"colour": "red"}'

    sent = llm_server.requests[-1].body
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    assert sent["temperature"] == 0


@pytest.mark.parametrize("taken", ["json_object", None])
def test_a_server_without_schemas_gets_a_plainer_format_and_is_asked_for_it_at_once_later(taken, connect, llm_server):
    def server(request):
        wanted = request.body.get("response_format", {}).get("type")
        return {"colour": "red"} if wanted == taken else Failure(400, f"response_format {wanted} is not supported")

    llm_server.always(server)
    llm = connect(OpenAILLM, llm_server)
    llm.complete(TURNS, max_tokens=9, schema=SCHEMA)
    first = len(llm_server.requests)

    assert llm.complete(TURNS, max_tokens=9, schema=SCHEMA).text == '{"colour": "red"}'
    assert len(llm_server.requests) == first + 1


def test_models_that_reason_get_their_own_parameters(connect, llm_server):
    def server(request):
        if "max_tokens" in request.body:
            return Failure(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "temperature" in request.body:
            return Failure(400, "Unsupported value: 'temperature' does not support 0 with this model.")
        return "red"

    llm_server.always(server)

    assert connect(OpenAILLM, llm_server).complete(TURNS, max_tokens=9, schema=SCHEMA).text == "red"
    assert llm_server.requests[-1].body["max_completion_tokens"] == 9
    assert llm_server.requests[-1].body["response_format"]["type"] == "json_schema"


def test_a_server_without_usage_in_streams_streams_all_the_same(connect, llm_server):
    llm_server.always(lambda request: Failure(400, "unknown field stream_options") if "stream_options" in request.body else "red")

    assert list(connect(OpenAILLM, llm_server).stream(TURNS, max_tokens=9)) == ["red", Usage()]


def test_what_no_concession_mends_is_told_in_the_servers_first_words(connect, llm_server):
    llm_server.reply(Failure(400, "the first reason"))
    llm_server.always(Failure(400, "a later reason"))

    with pytest.raises(ConfigurationError, match="the first reason"):
        connect(OpenAILLM, llm_server).complete(TURNS, max_tokens=9, schema=SCHEMA)


def test_credit_that_is_used_up_is_not_waited_for(connect, llm_server):
    llm_server.always(Failure(429, "You exceeded your current quota", "insufficient_quota"))

    with pytest.raises(ConfigurationError, match="credit"):
        connect(OpenAILLM, llm_server).complete(TURNS, max_tokens=9)

    assert len(llm_server.requests) == 1


def test_without_an_endpoint_the_setting_is_named(connect):
    with pytest.raises(ConfigurationError, match="LLM_BASE_URL"):
        connect(OpenAILLM, "").complete(TURNS, max_tokens=9)


def test_the_environment_adds_nothing_to_a_request(connect, llm_server, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")

    connect(OpenAILLM, llm_server, api_key="").complete(TURNS, max_tokens=9)

    assert not {"org-1", "proj-1", "Bearer sk-environment"} & set(llm_server.requests[-1].headers.values())


def test_a_server_that_takes_a_schema_only_as_a_tool_is_asked_so_at_once_later(connect, llm_server):
    llm_server.always(lambda request: Failure(400, "no response_format") if "response_format" in request.body else {"colour": "red"})
    llm = connect(OpenAILLM, llm_server)

    assert [llm.complete(TURNS, max_tokens=9, schema=SCHEMA).text for _ in range(2)] == ['{"colour": "red"}'] * 2

    assert llm.mode == "tool"
    assert len(llm_server.requests) == 3
    sent = llm_server.requests[-1].body
    assert sent["tools"][0]["function"]["parameters"] == SCHEMA
    assert sent["tool_choice"]["function"]["name"] == sent["tools"][0]["function"]["name"]


def test_a_server_that_only_writes_text_is_found_out_once(connect, llm_server):
    def server(request):
        return Failure(400, "unknown field") if {"response_format", "tools"} & set(request.body) else 'Here: {"colour": "red"}'

    llm_server.always(server)
    llm = connect(OpenAILLM, llm_server)

    assert [llm.complete(TURNS, max_tokens=9, schema=SCHEMA).text for _ in range(2)] == ['Here: {"colour": "red"}'] * 2

    assert llm.mode == "text"
    assert len(llm_server.requests) == 5


def test_a_tool_that_was_called_with_an_object_instead_of_its_text_is_read(connect, llm_server):
    called = {"choices": [{"message": {"role": "assistant", "tool_calls": [{"function": {"name": "answer", "arguments": {"a": 1}}}]}}]}
    llm_server.reply(Page(json.dumps(called)))

    assert connect(OpenAILLM, llm_server).complete(TURNS, max_tokens=9, schema=SCHEMA).text == '{"a": 1}'
