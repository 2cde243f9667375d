"""One composed product for the suite's routes, asked over ASGI."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from localmind.settings import Settings
from tests.unit.backend.asking import HANDBOOK, wait_for_job, wait_until_ready


@pytest.fixture(scope="session")
def settings_for(new_data_dir: Callable[[Path], Path]) -> Callable[..., Settings]:
    """Settings of an empty knowledge base that shares the session's model."""

    def make(folder: Path, **changes: Any) -> Settings:
        return Settings(
            _env_file=None, data_dir=new_data_dir(folder), seed_guides=False, web=False, log_level="ERROR", max_upload_mb=2, **changes
        )

    return make


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[TestClient]:
    """An open service. Started once a test process."""
    app = create_app(settings_for(tmp_path_factory.mktemp("data") / "lm"))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture(scope="session")
def handbook(client: TestClient) -> dict[str, Any]:
    """An ingested source: the handbook."""
    began = time.monotonic()
    accepted = client.post("/api/v1/sources/text", json={"title": "Handbook", "text": HANDBOOK, "tags": ["kitchen"]}).json()
    job = wait_for_job(client, accepted)
    assert job["status"] == "succeeded", (job, time.monotonic() - began)
    source: dict[str, Any] = client.get(f"/api/v1/sources/{accepted['source_id']}").json()
    return source


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
