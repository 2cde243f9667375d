"""The composed product on a fresh data directory, with what the ingest tests ask of it."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from localmind.model import PERSONAL, Accepted, Job, JobStatus
from localmind.settings import Settings
from localmind.wiring import LocalMind, build


class Desk:
    """A product with short words for what tests do to it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.mind: LocalMind = build(settings)
        self.embedded: list[str] = []
        embed = self.mind.embedder.embed_documents

        def counting(texts: list[str]) -> object:
            self.embedded.extend(texts)
            return embed(texts)

        self.mind.pipeline._embedder = _Counting(self.mind.embedder, counting)  # type: ignore[assignment]

    def end_of(self, accepted: Accepted, timeout_s: float = 60) -> Job:
        assert accepted.job_id is not None
        return list(self.mind.jobs.watch(PERSONAL, accepted.job_id, timeout_s))[-1]

    def put(self, text: str, *, name: str = "note.md", uri: str | None = None) -> Accepted:
        accepted = self.mind.sources.upload(PERSONAL, filename=name, data=io.BytesIO(text.encode()), uri=uri)
        job = self.end_of(accepted)
        assert job.status is JobStatus.SUCCEEDED, job.error
        return accepted

    def found(self, query: str, mode: str = "hybrid") -> list[str]:
        """Titles of the hits, best first."""
        from localmind.model import Mode

        return [hit.title for hit in self.mind.search.search(PERSONAL, query, mode=Mode(mode)).hits]

    def restart(self) -> None:
        self.mind.close()
        self.__init__(self.settings)  # type: ignore[misc]
        self.mind.open()


class _Counting:
    def __init__(self, inner: object, embed_documents: Callable[[list[str]], object]) -> None:
        self._inner, self.embed_documents = inner, embed_documents

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class Gate:
    """Stands before the pipeline's embedder: lets so many batches through, and holds the others until it is opened."""

    def __init__(self, desk: Desk, batches: int, size: int) -> None:
        self._embed = desk.mind.pipeline._embedder.embed_documents
        self._left, self._lock = batches, threading.Lock()
        self._reached, self._opened = threading.Event(), threading.Event()
        desk.mind.pipeline._batch_chunks = size
        desk.mind.pipeline._embedder.embed_documents = self._embed_later  # type: ignore[method-assign]

    def _embed_later(self, texts: Sequence[str]) -> Any:
        with self._lock:
            self._left -= 1
            is_held = self._left < 0
        if is_held:
            self._reached.set()
            assert self._opened.wait(60)
        return self._embed(texts)

    def wait(self) -> None:
        """Until a batch is held."""
        assert self._reached.wait(60)

    def open(self) -> None:
        self._opened.set()


@pytest.fixture
def hold(desk: Desk) -> Iterator[Callable[[int], Gate]]:
    """hold(n) lets n batches of a few chunks into the embedder, and no more until it is opened."""
    gates: list[Gate] = []

    def hold(batches: int) -> Gate:
        gates.append(Gate(desk, batches, size=8))
        return gates[-1]

    yield hold
    for gate in gates:
        gate.open()


@pytest.fixture
def settings(tmp_path: Path, new_data_dir: Callable[[Path], Path]) -> Settings:
    return Settings(data_dir=new_data_dir(tmp_path / "data"), seed_guides=False, _env_file=None)  # type: ignore[call-arg]


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    desk = Desk(settings)
    desk.mind.open()
    yield desk
    desk.mind.close()
