"""Jobs over HTTP: lists, one, its events, cancel and retry."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.unit.backend.asking import events, problem_of, wait_for_job


@pytest.fixture(scope="module")
def failed(client: TestClient) -> dict[str, Any]:
    """A job that ended badly."""
    accepted = client.post("/api/v1/sources/upload", files={"file": ("x.pdf", b"\x89PNG\r\n\x1a\n" + b"\0" * 50)}).json()["sources"][0]
    return wait_for_job(client, accepted)


def test_events_tell_the_job_until_its_end(client: TestClient) -> None:
    text = "\n\n".join(f"Paragraph number {n} of a somewhat longer text about mills." for n in range(200))
    accepted = client.post("/api/v1/sources/text", json={"title": "Mills", "text": text}).json()
    with client.stream("GET", f"/api/v1/jobs/{accepted['job_id']}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        told = list(events(response.iter_lines()))
    assert {name for name, _ in told} == {"job"}
    jobs = [job for _, job in told]
    assert jobs[-1]["status"] == "succeeded" and jobs[-1]["progress"] == 1
    assert [job["progress"] for job in jobs] == sorted(job["progress"] for job in jobs)
    assert all(first != second for first, second in pairwise(jobs)), "an event is a change"


def test_events_of_a_job_that_has_ended_are_its_end(client: TestClient, failed: dict[str, Any]) -> None:
    with client.stream("GET", f"/api/v1/jobs/{failed['job_id']}/events") as response:
        assert [job for _, job in events(response.iter_lines())] == [failed]


def test_events_of_an_unknown_job_are_a_problem(client: TestClient) -> None:
    problem_of(client.get("/api/v1/jobs/nothing/events"), 404)


def test_jobs_are_listed_by_status_and_source(client: TestClient, failed: dict[str, Any]) -> None:
    found = client.get("/api/v1/jobs", params={"status": "failed", "source_id": failed["source_id"]}).json()["items"]
    assert [job["job_id"] for job in found] == [failed["job_id"]]
    assert client.get("/api/v1/jobs", params={"status": "succeeded", "source_id": failed["source_id"]}).json()["items"] == []


def test_a_failed_job_says_why_and_what_to_do(client: TestClient, failed: dict[str, Any]) -> None:
    error = client.get(f"/api/v1/jobs/{failed['job_id']}").json()["error"]
    assert error["type"] == "unsupported_type" and error["message"] and error["hint"] and error["retryable"] is False


def test_a_failed_job_can_be_tried_again(client: TestClient, failed: dict[str, Any]) -> None:
    answer = client.post(f"/api/v1/jobs/{failed['job_id']}/retry")
    assert answer.status_code == 202
    assert wait_for_job(client, answer.json())["status"] == "failed"


def test_a_job_that_succeeded_can_neither_be_retried_nor_cancelled(client: TestClient, handbook: dict[str, Any]) -> None:
    problem_of(client.post(f"/api/v1/jobs/{handbook['job_id']}/retry"), 409)
    problem_of(client.post(f"/api/v1/jobs/{handbook['job_id']}/cancel"), 409)


def test_a_running_job_can_be_cancelled(client: TestClient) -> None:
    text = "\n\n".join(f"Paragraph {n}: " + "the miller grinds the corn of the village. " * 20 for n in range(300))
    accepted = client.post("/api/v1/sources/text", json={"title": "A long text", "text": text}).json()
    answer = client.post(f"/api/v1/jobs/{accepted['job_id']}/cancel")
    assert answer.status_code == 202
    assert wait_for_job(client, accepted)["status"] == "cancelled"


@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")])
@pytest.mark.parametrize("job_id", ["nothing", "%00", "x" * 100])
def test_an_unknown_job_is_not_found(client: TestClient, method: str, rest: str, job_id: str) -> None:
    problem_of(client.request(method, f"/api/v1/jobs/{job_id}{rest}"), 404)


def test_wrong_filters_are_refused(client: TestClient) -> None:
    problem_of(client.get("/api/v1/jobs", params={"status": "done"}), 422)
    problem_of(client.get("/api/v1/jobs", params={"source_id": "%00"}), 404)
