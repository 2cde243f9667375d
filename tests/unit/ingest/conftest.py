"""The composed product on a fresh data directory, with what the ingest tests ask of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

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


@pytest.fixture
def settings(tmp_path: Path, model_cache: Path) -> Settings:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(model_cache, target_is_directory=True)
    return Settings(data_dir=tmp_path / "data", seed_guides=False, _env_file=None)  # type: ignore[call-arg]


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    desk = Desk(settings)
    desk.mind.open()
    yield desk
    desk.mind.close()
