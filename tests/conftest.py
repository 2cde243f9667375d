"""Fixtures that more than one suite uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.llm_server import LLMServer


@pytest.fixture
def llm_server() -> Iterator[LLMServer]:
    """A scripted model server that speaks the OpenAI protocol; see tests/llm_server.py."""
    with LLMServer() as server:
        yield server
