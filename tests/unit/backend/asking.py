"""What the suite's tests ask the service with, and wait for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fastapi.testclient import TestClient

HANDBOOK = """# Kitchen handbook

## Soup

The leek soup simmers for twenty minutes. Potatoes make the leek soup thick.

## Bread

Sourdough bread rests for twelve hours. Sourdough bread needs flour, water and salt.
"""


def wait_for_job(client: TestClient, accepted: dict[str, Any], *, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Follows the accepted source's job to its end; the job."""
    last: dict[str, Any] = {}
    with client.stream("GET", f"/api/v1/jobs/{accepted['job_id']}/events", headers=headers) as response:
        for name, data in events(response.iter_lines()):
            assert name == "job"
            last = data
    assert last["status"] in ("succeeded", "failed", "cancelled"), last
    return last


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """(event, data) of a stream of server-sent events."""
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


def problem_of(answer: Any, status: int) -> dict[str, Any]:
    """The answer as a problem: its members are checked for every refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "request_id", "error_type"} <= set(problem)
    assert problem["status"] == status and problem["request_id"] == answer.headers["x-request-id"]
    return problem
