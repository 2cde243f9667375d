"""What only Anthropic's protocol has: a schema is the input of a tool."""

from __future__ import annotations

import pytest

from localmind.errors import ConfigurationError
from localmind.llm.anthropic import AnthropicLLM
from localmind.llm.port import Turn
from tests.llm_server import MESSAGES, Failure

TURNS = [Turn("system", "Be short."), Turn("user", "Name a colour.")]
SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}


def test_a_schema_is_sent_as_a_tool_whose_input_is_the_answer(connect, llm_server):
    llm_server.reply({"colour": "red"}, path=MESSAGES)

    assert connect(AnthropicLLM, llm_server).complete(TURNS, max_tokens=9, schema=SCHEMA).text == '{"colour": "red"}'

    sent = llm_server.requests[-1].body
    assert sent["tools"][0]["input_schema"] == SCHEMA
    assert sent["tool_choice"] == {"type": "tool", "name": sent["tools"][0]["name"]}
    assert llm_server.requests[-1].system == "Be short."


def test_a_server_without_tools_is_asked_in_words_and_found_out_once(connect, llm_server):
    llm_server.always(
        lambda request: Failure(400, "tools are not supported") if "tools" in request.body else '{"colour": "red"}', path=MESSAGES
    )
    llm = connect(AnthropicLLM, llm_server)

    assert [llm.complete(TURNS, max_tokens=9, schema=SCHEMA).text for _ in range(2)] == ['{"colour": "red"}'] * 2

    assert llm.mode == "text"
    assert len(llm_server.requests) == 3
    assert '"colour"' in llm_server.requests[-1].system


def test_a_refusal_that_has_nothing_to_do_with_tools_is_told(connect, llm_server):
    llm_server.always(Failure(400, "prompt is too long"), path=MESSAGES)

    with pytest.raises(ConfigurationError, match="prompt is too long"):
        connect(AnthropicLLM, llm_server).complete(TURNS, max_tokens=9, schema=SCHEMA)

    assert len(llm_server.requests) == 1
