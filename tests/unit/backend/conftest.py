"""One composed product for the suite's routes, asked over ASGI."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from localmind.settings import Settings

HANDBOOK = """# Kitchen handbook

## Soup

The leek soup simmers for twenty minutes. Potatoes make the leek soup thick.

## Bread

Sourdough bread rests for twelve hours. Sourdough bread needs flour, water and salt.
"""


def wait_for_jobs(client: TestClient, accepted: dict[str, Any]) -> dict[str, Any]:
    """Follows the accepted source's job to its end; the job."""
    last: dict[str, Any] = {}
    with client.stream("GET", f"/api/v1/jobs/{accepted['job_id']}/events") as response:
        for name, data in events(response.iter_lines()):
            assert name == "job"
            last = data
    assert last["status"] in ("succeeded", "failed", "cancelled"), last
    return last


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """(event, data) of a stream of server-sent events."""
    import json

    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def wait_until_ready(client: TestClient) -> None:
    assert client.app.state.service.wait(60)  # type: ignore[attr-defined]
    if (error := client.app.state.service.error) is not None:  # type: ignore[attr-defined]
        raise error


@pytest.fixture(scope="session")
def settings_for(model_cache: Path) -> Callable[..., Settings]:
    """Settings of an empty knowledge base that shares the session's model."""

    def make(folder: Path, **changes: Any) -> Settings:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "models").symlink_to(model_cache, target_is_directory=True)
        return Settings(_env_file=None, data_dir=folder, seed_guides=False, web=False, log_level="ERROR", max_upload_mb=2, **changes)

    return make


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[TestClient]:
    """An open service."""
    app = create_app(settings_for(tmp_path_factory.mktemp("data") / "lm"))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture(scope="module")
def handbook(client: TestClient) -> dict[str, Any]:
    """An ingested source: the handbook."""
    began = time.monotonic()
    accepted = client.post("/api/v1/sources/text", json={"title": "Handbook", "text": HANDBOOK, "tags": ["kitchen"]}).json()
    job = wait_for_jobs(client, accepted)
    assert job["status"] == "succeeded", (job, time.monotonic() - began)
    source: dict[str, Any] = client.get(f"/api/v1/sources/{accepted['source_id']}").json()
    return source
