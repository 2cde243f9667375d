from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localmind.llm.anthropic import AnthropicLLM
from localmind.llm.openai import OpenAILLM
from localmind.llm.patience import Patience


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[OpenAILLM, AnthropicLLM], ids=["openai", "anthropic"])
def adapter(request):
    """Both protocols owe the port the same."""
    return request.param


@pytest.fixture
def path(adapter) -> str:
    """Where the adapter's requests go, for server.reply(path=...)."""
    return "/v1/chat/completions" if adapter is OpenAILLM else "/v1/messages"


@pytest.fixture
def connect(clock) -> Iterator[Callable[..., Any]]:
    """connect(adapter, server, timeout_s=..., attempts=...) gives an LLM that is closed after the test."""
    opened = []

    def make(adapter, server, *, api_key="key-1", model="scripted", timeout_s=5.0, attempts=3):
        patience = Patience(attempts=attempts, clock=clock, wait=clock.wait, jitter=lambda: 1.0)
        llm = adapter(server if isinstance(server, str) else server.base_url, api_key, model, timeout_s=timeout_s, patience=patience)
        opened.append(llm)
        return llm

    yield make
    for llm in opened:
        llm.close()
