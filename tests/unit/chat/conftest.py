from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localmind.catalog.database import Database
from localmind.chat.conversations import Conversations
from localmind.embedding.onnx import LocalEmbedder
from localmind.embedding.port import Embedder
from localmind.model import ChunkId, Hit, Ranks, SourceId

MakeHit = Callable[..., Hit]


@pytest.fixture
def hit() -> MakeHit:
    """A hit of a source of its own; `start` is where its text begins in the source."""

    def make(
        text: str, *, title: str = "Handbook", source: str | None = None, start: int = 0, page: int | None = None, heading: str = ""
    ) -> Hit:
        made[0] += 1
        return Hit(
            chunk_id=ChunkId(f"chunk{made[0]}"),
            source_id=SourceId(source or f"source{made[0]}"),
            title=title,
            text=text,
            start=start,
            end=start + len(text),
            score=1 / made[0],
            ranks=Ranks(),
            page=page,
            heading=heading,
        )

    made = [0]
    return make


@pytest.fixture
def database(catalog_url: str) -> Iterator[Database]:
    opened = Database(catalog_url)
    yield opened
    opened.close()


@pytest.fixture
def conversations(database: Database) -> Conversations:
    return Conversations(database)


@pytest.fixture(scope="session")
def embedder(model_cache: Path) -> Iterator[Embedder]:
    """The bundled model: thresholds are made for it, so a fake would test nothing."""
    opened = LocalEmbedder(model_cache, threads=1)
    yield opened
    opened.close()
