"""Fixtures that more than one suite uses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from localmind.embedding.onnx import LocalEmbedder
from tests.llm_server import LLMServer
from tests.stack_servers import stack as stack


@pytest.fixture
def llm_server() -> Iterator[LLMServer]:
    """A scripted model server that speaks the OpenAI protocol; see tests/llm_server.py."""
    with LLMServer() as server:
        yield server


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """The embedding model's files, built once a machine and shared by every test process."""
    folder = Path(tempfile.gettempdir()) / "localmind-test-models"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / ".lock"):
        embedder = LocalEmbedder(folder)
        embedder.open()
        embedder.close()
    return folder


@pytest.fixture(scope="session")
def embedder(model_cache: Path) -> Iterator[LocalEmbedder]:
    """The bundled embedding model, open."""
    embedder = LocalEmbedder(model_cache)
    embedder.open()
    yield embedder
    embedder.close()
