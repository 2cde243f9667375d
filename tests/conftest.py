"""Fixtures that more than one suite uses."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from localmind.catalog.database import Database, sqlite_url
from localmind.catalog.migrate import migrate
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


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite catalog to copy: the migrations of each test's own would take a second of three."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.db"
    database = Database(sqlite_url(path))
    migrate(database)
    assert database.fold()
    database.close()
    return path


@pytest.fixture
def catalog_url(empty_catalog: Path, tmp_path: Path) -> str:
    """An empty SQLite catalog of this test's own."""
    return sqlite_url(Path(shutil.copy(empty_catalog, tmp_path / "catalog.db")))


@pytest.fixture(scope="session")
def new_data_dir(model_cache: Path, empty_catalog: Path) -> Callable[[Path], Path]:
    """Makes a data directory that shares the session's model, with the catalog that a first start makes."""

    def make(folder: Path) -> Path:
        folder.mkdir(parents=True)
        (folder / "models").symlink_to(model_cache, target_is_directory=True)
        shutil.copy(empty_catalog, folder / "catalog.db")
        return folder

    return make
