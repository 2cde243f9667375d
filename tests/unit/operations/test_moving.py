"""A move keeps everything, can be cut off, and tells when the copy differs."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localmind.errors import ConfigurationError, Conflict
from localmind.model import PERSONAL, JobStatus, Mode
from localmind.operations.moving import MoveFailed
from localmind.settings import Settings
from localmind.wiring import LocalMind, build
from localmind.wiring.upkeep import move_between

NOTES = {"pumps.md": "The Aurora pump was built in Bergen by Ada Lindqvist.", "valves.md": "Every valve of the Aurora pump is brass."}


@contextmanager
def product(folder: Path, models: Path) -> Iterator[LocalMind]:
    folder.mkdir(exist_ok=True)
    if not (folder / "models").exists():
        (folder / "models").symlink_to(models)
    mind = build(Settings(data_dir=folder, seed_guides=False, _env_file=None))  # type: ignore[call-arg]
    mind.open()
    try:
        yield mind
    finally:
        mind.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Path:
    """A data directory with two notes and a conversation, closed."""
    folder = tmp_path_factory.mktemp("filled") / "old"
    with product(folder, model_cache) as mind:
        for name, text in NOTES.items():
            accepted = mind.sources.upload(PERSONAL, filename=name, data=io.BytesIO(text.encode()), tags=["plant"])
            assert accepted.job_id is not None
            assert list(mind.jobs.watch(PERSONAL, accepted.job_id, 60))[-1].status is JobStatus.SUCCEEDED
        mind.chat.answer(PERSONAL, "Who built the Aurora pump?")
    return folder


@pytest.fixture
def old(filled: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(filled, tmp_path / "old", symlinks=True)


def ignore(_name: str, _done: int, _total: int) -> None: ...


def move(old: Path, new: Path, report: object = ignore) -> dict[str, int]:
    settings = Settings(data_dir=old, _env_file=None)  # type: ignore[call-arg]
    return dict(move_between(settings, old, new, report=report).counts)  # type: ignore[arg-type]


def contents(mind: LocalMind) -> object:
    sources = mind.sources.list(PERSONAL).items
    hits = {mode: mind.search.search(PERSONAL, "Aurora pump", mode=mode).hits for mode in Mode}
    entities = sorted((e.name, e.type, e.mentions) for e in mind.graph.entities(PERSONAL).items)
    talks = [mind.conversations.get(PERSONAL, each.id) for each in mind.conversations.list(PERSONAL).items]
    return sources, hits, entities, talks


def test_everything_arrives_and_nothing_is_embedded(old: Path, tmp_path: Path, model_cache: Path) -> None:
    with product(old, model_cache) as mind:
        before = contents(mind)
    counts = move(old, tmp_path / "new")
    assert {name: counts[name] for name in ("source", "chunk", "vectors", "text", "files")} == {
        "source": 2,
        "chunk": 2,
        "vectors": 2,
        "text": 2,
        "files": 4,
    }
    with product(tmp_path / "new", model_cache) as mind:
        assert contents(mind) == before
        assert mind.maintenance.reconcile(fix=False).count == 0
        accepted = mind.sources.upload(PERSONAL, filename="new.md", data=io.BytesIO(b"Something new."))
        assert accepted.job_id is not None
        assert list(mind.jobs.watch(PERSONAL, accepted.job_id, 60))[-1].status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("step", ["chunk", "files", "chunks", "compared"])
def test_a_move_that_was_cut_off_goes_on_and_is_refused_to_a_service_until_then(
    old: Path, tmp_path: Path, model_cache: Path, step: str
) -> None:
    def cut(name: str, _done: int, _total: int) -> None:
        if name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(old, tmp_path / "new", cut)
    with pytest.raises(ConfigurationError, match="not finished"), product(tmp_path / "new", model_cache):
        pass
    move(old, tmp_path / "new")
    with product(tmp_path / "new", model_cache) as mind:
        assert mind.maintenance.reconcile(fix=False).count == 0
        assert mind.catalog.chunks.count(PERSONAL) == 2


def test_a_target_that_holds_something_is_refused(old: Path, tmp_path: Path, model_cache: Path) -> None:
    move(old, tmp_path / "new")
    with pytest.raises(Conflict, match="sources already"):
        move(old, tmp_path / "new")


def test_a_place_in_use_is_refused(old: Path, tmp_path: Path, model_cache: Path) -> None:
    with product(old, model_cache), pytest.raises(Conflict, match="in use"):
        move(old, tmp_path / "new")


def test_a_copy_that_differs_is_told(old: Path, tmp_path: Path, model_cache: Path) -> None:
    def spoil(name: str, done: int, total: int) -> None:
        if name == "chunks" and done == total:
            import sqlite3

            with sqlite3.connect(tmp_path / "new" / "catalog.db") as database:
                database.execute("UPDATE chunk SET text = 'spoiled' WHERE ordinal = 0")

    with pytest.raises(MoveFailed, match="chunk"):
        move(old, tmp_path / "new", spoil)


def test_a_move_whose_copy_differed_can_be_run_again(old: Path, tmp_path: Path) -> None:
    def spoil(name: str, done: int, total: int) -> None:
        if name == "chunks" and done == total:
            import sqlite3

            with sqlite3.connect(tmp_path / "new" / "catalog.db") as database:
                database.execute("DELETE FROM mention")

    with pytest.raises(MoveFailed, match="graph"):
        move(old, tmp_path / "new", spoil)

    assert move(old, tmp_path / "new")["graph"] == 2


def test_a_target_that_shares_a_folder_with_the_source_is_refused(old: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "blobs").symlink_to(old / "blobs")
    with pytest.raises(Conflict, match="holds files already"):
        move(old, tmp_path / "new")
