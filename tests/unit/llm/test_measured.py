"""Calls of an LLM as Prometheus counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localmind.errors import LLMUnavailable
from localmind.llm.measured import MeasuredLLM
from localmind.llm.metering import Prices
from localmind.llm.openai import OpenAILLM
from localmind.llm.port import Turn
from localmind.operations import metrics
from tests.llm_server import Failure, LLMServer

TURNS = [Turn("user", "What is the capital of France?")]


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def llm(connect: Callable[..., Any], llm_server: LLMServer, request: pytest.FixtureRequest) -> MeasuredLLM:
    """A model's name of its own for each test: counters only grow."""
    return MeasuredLLM(connect(OpenAILLM, llm_server, model=request.node.name, attempts=1), Prices(prompt=1_000_000, completion=0))


def test_an_answer_counts_its_tokens_and_their_price(llm: MeasuredLLM, llm_server: LLMServer) -> None:
    llm_server.reply("Paris.")
    usage = llm.complete(TURNS, max_tokens=20).usage
    assert usage.prompt_tokens > 0
    assert value("llm_requests_total", model=llm.model) == value("llm_request_duration_seconds_count", model=llm.model) == 1
    assert value("llm_tokens_total", model=llm.model, kind="prompt") == usage.prompt_tokens == value("llm_cost_total", model=llm.model)
    assert value("llm_tokens_total", model=llm.model, kind="completion") == usage.completion_tokens


def test_an_error_is_counted_by_its_kind(llm: MeasuredLLM, llm_server: LLMServer) -> None:
    llm_server.reply(Failure(500))
    with pytest.raises(LLMUnavailable):
        llm.complete(TURNS, max_tokens=20)
    assert value("llm_requests_total", model=llm.model) == 1
    assert value("llm_errors_total", model=llm.model, error_type="llm_unavailable") == 1
    assert value("llm_tokens_total", model=llm.model, kind="prompt") == 0


def test_a_stream_that_is_cut_off_was_not_free(llm: MeasuredLLM, llm_server: LLMServer) -> None:
    llm_server.reply("Paris is the capital of France.")
    pieces = llm.stream(TURNS, max_tokens=20)
    next(iter(pieces))
    pieces.close()  # type: ignore[attr-defined]
    assert value("llm_requests_total", model=llm.model) == 1
    assert value("llm_tokens_total", model=llm.model, kind="prompt") > 0
    assert value("llm_errors_total", model=llm.model, error_type="llm_unavailable") == 0
