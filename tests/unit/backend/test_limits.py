"""Rates, quotas, usage and time-outs over HTTP."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from apps.backend.dependencies import Mind
from localmind import deadline
from localmind.accounts.model import Role
from localmind.errors import TimedOut
from localmind.llm.metering import Spent
from localmind.model import PERSONAL
from localmind.settings import Settings
from tests.unit.backend.asking import HANDBOOK, problem_of, wait_for_job, wait_until_ready
from tests.unit.backend.test_accounts import CHEAP, PASSWORD, bearer, log_in

RATES: dict[str, Any] = {
    "rate_limits": "auto",
    "rate_limit_user": 30,
    "rate_limit_api_key": 4,
    "rate_limit_tenant": 70,
    "rate_limit_address": 12,
    "rate_limit_chat": 2,
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[TestClient]:
    """A service for one person, of this module's own: quotas count what others put in."""
    app = create_app(settings_for(tmp_path_factory.mktemp("quotas") / "lm"))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[TestClient]:
    """A service with logins and small limits, two tenants, and two people in the first."""
    app = create_app(settings_for(tmp_path_factory.mktemp("limited") / "lm", **(CHEAP | RATES)))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        wait_until_ready(client)
        members = app.state.service.mind.accounts.members
        for name, tenant in (("ann", PERSONAL), ("bob", PERSONAL), ("eve", "Other Ltd"), ("zoe", "Third Ltd")):
            members.create_user(f"{name}@example.org", PASSWORD, Role.OWNER, tenant=tenant)
        yield client


@pytest.fixture(scope="module")
def tokens(limited: TestClient) -> dict[str, dict[str, str]]:
    return {name: bearer(log_in(limited, f"{name}@example.org")["access_token"]) for name in ("ann", "bob", "eve", "zoe")}


@pytest.fixture(autouse=True)
def _fresh_windows(request: pytest.FixtureRequest) -> None:
    """Each test begins with empty windows: it has the minute to itself."""
    if "limited" in request.fixturenames:
        rates = request.getfixturevalue("limited").app.state.rates
        rates._local = rates._redis = None
        rates._refused.clear()


def me(client: TestClient, headers: dict[str, str]) -> Any:
    return client.get("/api/v1/auth/me", headers=headers)


# --- rates


def test_a_user_who_asks_too_often_is_told_when_to_come_back(limited: TestClient, tokens: dict[str, dict[str, str]]) -> None:
    answers = [me(limited, tokens["ann"]) for _ in range(31)]

    assert [answer.status_code for answer in answers] == [200] * 30 + [429]
    first, last = answers[0], answers[-1]
    assert first.headers["ratelimit-policy"] == '"user";q=30;w=60, "tenant";q=70;w=60'
    assert first.headers["ratelimit"].startswith('"user";r=29;t=')
    problem = problem_of(last, 429)
    assert problem["error_type"] == "too_many_requests" and "30" in problem["detail"]
    assert 1 <= int(last.headers["retry-after"]) <= 60
    assert last.headers["ratelimit"] == f'"user";r=0;t={last.headers["retry-after"]}'
    assert me(limited, tokens["bob"]).status_code == me(limited, tokens["eve"]).status_code == 200


def test_refused_requests_do_not_use_up_the_tenants_share(limited: TestClient, tokens: dict[str, dict[str, str]]) -> None:
    assert {me(limited, tokens["ann"]).status_code for _ in range(90)} == {200, 429}
    assert me(limited, tokens["bob"]).status_code == 200


def test_the_tenants_limit_counts_all_its_people(limited: TestClient, tokens: dict[str, dict[str, str]]) -> None:
    rates = limited.app.state.rates  # type: ignore[attr-defined]
    rates.buckets._settings = rates.buckets._settings.model_copy(update={"rate_limit_tenant": 5})
    try:
        assert [me(limited, tokens[name]).status_code for name in ("ann", "bob") * 3] == [200] * 5 + [429]
        assert me(limited, tokens["eve"]).status_code == 200
    finally:
        rates.buckets._settings = rates._settings


def test_an_api_key_has_a_limit_of_its_own(limited: TestClient, tokens: dict[str, dict[str, str]]) -> None:
    made = limited.post("/api/v1/api-keys", json={"name": "k", "scopes": ["read"]}, headers=tokens["eve"])
    key = {"X-API-Key": made.json()["key"]}
    assert [me(limited, key).status_code for _ in range(5)] == [200] * 4 + [429]
    assert me(limited, tokens["eve"]).status_code == 200


def test_chats_have_a_limit_below_that_of_requests(limited: TestClient, tokens: dict[str, dict[str, str]]) -> None:
    ask = {"url": "/api/v1/chat", "json": {"message": "What?"}, "headers": tokens["zoe"]}
    assert [limited.post(**ask).status_code for _ in range(3)] == [200, 200, 429]
    assert me(limited, tokens["zoe"]).status_code == 200


def test_logins_and_unknown_keys_count_for_the_address(limited: TestClient, tokens: dict[str, dict[str, str]]) -> None:
    wrong = {"X-API-Key": "lm_" + "a" * 40}
    statuses = [me(limited, wrong).status_code for _ in range(10)]
    statuses += [limited.post("/api/v1/auth/refresh", json={"refresh_token": "x" * 20}).status_code for _ in range(4)]
    assert statuses == [401] * 12 + [429] * 2
    assert me(limited, wrong).status_code == 429
    assert me(limited, tokens["ann"]).status_code == 200


def test_probes_have_no_limit(limited: TestClient) -> None:
    assert {limited.get("/livez").status_code for _ in range(100)} == {200}


def test_a_service_for_one_person_has_no_limits(client: TestClient) -> None:
    answer = client.get("/api/v1/stats")
    assert "ratelimit" not in answer.headers


def test_they_can_be_turned_on_there_too(tmp_path: Path) -> None:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path, web=False, rate_limits="on", rate_limit_user=2))
    client = TestClient(app, base_url="http://127.0.0.1")
    assert [client.get("/api/v1/stats").status_code for _ in range(3)] == [503, 503, 429]


# --- whose word on addresses counts


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [((), "10.0.0.9"), (("10.0.0.0/8",), "203.0.113.7"), (("192.0.2.0/24",), "10.0.0.9")],
    ids=["nobody's", "the proxy's", "another's"],
)
def test_only_a_trusted_proxy_says_where_a_request_comes_from(tmp_path: Path, trusted: tuple[str, ...], seen: str) -> None:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path, web=False, trusted_proxies=trusted))

    async def where(request: Request) -> str:
        assert request.client is not None
        return request.client.host

    app.add_api_route("/api/v1/where", where)
    client = TestClient(app, base_url="http://127.0.0.1", client=("10.0.0.9", 1234))
    assert client.get("/api/v1/where", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}).json() == seen


# --- quotas


@pytest.fixture
def quotas(client: TestClient) -> Iterator[Callable[..., Any]]:
    """Gives the tenant limits of its own; they go with the test."""
    url = f"/api/v1/tenants/{PERSONAL}/limits"
    named: set[str] = set()

    def give(**limits: float) -> Any:
        named.update(limits)
        answer = client.patch(url, json=limits)
        assert answer.status_code == 200, answer.text
        return answer.json()

    yield give
    assert client.patch(url, json=dict.fromkeys(named)).status_code == 200


def put(client: TestClient, title: str, text: str = "Words about it.") -> Any:
    return client.post("/api/v1/sources/text", json={"title": title, "text": f"{text} {title} {time.time_ns()}"})


def test_documents_beyond_the_quota_are_refused_with_what_is_held(client: TestClient, quotas: Callable[..., Any]) -> None:
    held = quotas(documents=1)["held"]["documents"]
    quotas(documents=held + 1)
    first = put(client, "Last one")
    assert first.status_code == 202
    problem = problem_of(put(client, "One too many"), 403)
    assert problem["error_type"] == "quota_reached"
    assert f"{held + 1:,}" in problem["detail"] and "ask whoever runs" in problem["hint"]
    source = first.json()["source_id"]
    assert client.put(f"/api/v1/sources/{source}", json={"text": "Another version."}).status_code == 202  # no document more
    wait_for_job(client, client.delete(f"/api/v1/sources/{source}").json())
    again = put(client, "Room again")
    assert again.status_code == 202
    wait_for_job(client, client.delete(f"/api/v1/sources/{again.json()['source_id']}").json())


def test_bytes_beyond_the_quota_are_refused_and_not_kept(client: TestClient, quotas: Callable[..., Any]) -> None:
    held = quotas(storage_mb=1)["held"]["size_bytes"]
    quotas(storage_mb=(held + 1000) / 1e6)
    problem = problem_of(put(client, "Large", "word " * 300), 403)
    assert "storage_mb" in problem["detail"]
    assert put(client, "Small").status_code == 202


def test_chunks_beyond_the_quota_end_the_job_that_makes_them(client: TestClient, quotas: Callable[..., Any]) -> None:
    held = quotas(chunks=1_000_000)["held"]["chunks"]
    quotas(chunks=held + 2)
    accepted = put(client, "Long", "\n\n".join(f"# Part {n}\n\n" + f"Sentence {n} of it. " * 60 for n in range(20)))
    job = wait_for_job(client, accepted.json())
    assert job["status"] == "failed" and job["error"]["type"] == "quota_reached"
    assert client.get(f"/api/v1/tenants/{PERSONAL}/limits").json()["held"]["chunks"] <= held + 2


def test_uploads_queries_and_messages_have_a_length(client: TestClient, quotas: Callable[..., Any]) -> None:
    quotas(upload_mb=0.01, query_chars=20, message_chars=20)
    problem = problem_of(client.post("/api/v1/sources/upload", files={"file": ("a.txt", b"word " * 3000)}), 413)
    assert "0.01 MB" in problem["detail"]
    assert "20 are the most" in problem_of(client.post("/api/v1/search", json={"query": "long " * 5}), 400)["detail"]
    for path in ("/api/v1/chat", "/api/v1/chat/stream"):
        assert "20 are the most" in problem_of(client.post(path, json={"message": "long " * 5}), 400)["detail"]


def test_jobs_at_once_are_limited_and_come_back_later(client: TestClient, quotas: Callable[..., Any]) -> None:
    quotas(jobs=1)
    lines = '{"title": "A", "text": "One."}\n{"title": "B", "text": "Two."}'
    answer = client.post("/api/v1/sources/bulk", content=lines)
    assert problem_of(answer, 429)["error_type"] == "too_many_requests"
    assert int(answer.headers["retry-after"]) > 0


def test_uploads_at_the_same_moment_do_not_pass_the_quota(client: TestClient, quotas: Callable[..., Any]) -> None:
    held = quotas(documents=1)["held"]["documents"]
    quotas(documents=held + 3)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: put(client, f"At once {n}"), range(12)))
    accepted = [answer for answer in answers if answer.status_code == 202]
    assert len(accepted) == 3 and {answer.status_code for answer in answers} == {202, 403}
    for answer in accepted:
        client.delete(f"/api/v1/sources/{answer.json()['source_id']}")


def test_a_tenants_spaces_share_its_quota_and_its_usage(client: TestClient, quotas: Callable[..., Any]) -> None:
    space = {"X-Space": client.post("/api/v1/spaces", json={"name": "Shared"}).json()["id"]}
    put(client, "The first")
    before = client.get("/api/v1/usage").json()["days"][-1]["documents"]
    held = quotas(documents=1)["held"]["documents"]
    quotas(documents=held + 1)
    body = {"title": "In a space", "text": "Words."}
    assert client.post("/api/v1/sources/text", json=body, headers=space).status_code == 202
    problem_of(put(client, "In the default space"), 403)
    assert client.get("/api/v1/usage").json()["days"][-1]["documents"] == before + 1
    assert client.get("/api/v1/usage", headers=space).json()["days"][-1]["documents"] == before + 1
    client.delete(f"/api/v1/spaces/{space['X-Space']}")


def test_only_who_runs_the_service_gives_limits(limited: TestClient, tokens: dict[str, dict[str, str]]) -> None:
    other = limited.get("/api/v1/tenants", headers=tokens["eve"]).json()["items"][0]["id"]
    url = f"/api/v1/tenants/{other}/limits"
    problem_of(limited.patch(url, json={"documents": 1}, headers=tokens["eve"]), 403)
    assert limited.patch(url, json={"documents": 7}, headers=tokens["ann"]).json()["documents"] == 7
    assert limited.get(url, headers=tokens["eve"]).json()["documents"] == 7
    problem_of(limited.get(url, headers=tokens["zoe"]), 404)
    problem_of(limited.patch("/api/v1/tenants/nobody/limits", json={"documents": 1}, headers=tokens["ann"]), 404)
    problem_of(limited.patch(url, json={"documents": -1}, headers=tokens["ann"]), 422)


def test_a_service_starts_where_its_guides_have_no_room(tmp_path: Path, settings_for: Callable[..., Settings]) -> None:
    app = create_app(settings_for(tmp_path / "lm", quota_documents=2).model_copy(update={"seed_guides": True}))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        assert client.get("/api/v1/stats").json()["sources"] == 0
        assert put(client, "Own").status_code == 202


# --- usage


def test_usage_is_counted_by_day_and_told_as_json_and_csv(tmp_path: Path, settings_for: Callable[..., Settings]) -> None:
    app = create_app(settings_for(tmp_path / "lm"))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        accepted = client.post("/api/v1/sources/text", json={"title": "Handbook", "text": HANDBOOK}).json()
        wait_for_job(client, accepted)
        client.post("/api/v1/search", json={"query": "soup"})
        client.post("/api/v1/chat", json={"message": "How long does the soup simmer?"})

        told = client.get("/api/v1/usage").json()
        [day] = told["days"]
        assert (day["searches"], day["chats"], day["documents"], day["requests"]) == (1, 1, 1, 4)
        assert day["size_bytes"] == len(HANDBOOK.encode()) and day["chunks"] >= 1 and day["embedding_tokens"] > 20
        assert day["llm_calls"] == told["calls"] == 0

        as_csv = client.get("/api/v1/usage", params={"from": day["day"], "to": day["day"]}, headers={"Accept": "text/csv"})
        assert as_csv.headers["content-type"].startswith("text/csv")
        [row] = csv.DictReader(io.StringIO(as_csv.text))
        assert (row["tenant"], row["day"], row["documents"], row["requests"]) == (PERSONAL, day["day"], "1", "5")
        assert client.get("/api/v1/usage", params={"format": "csv"}).text.startswith("tenant,day,requests")
        assert client.get("/api/v1/usage", params={"from": "2001-01-01", "to": "2001-02-01"}).json()["days"] == []
        problem_of(client.get("/api/v1/usage", params={"from": "2020-01-01", "to": "2026-01-01"}), 400)
        problem_of(client.get("/api/v1/usage", params={"from": "2026-01-02", "to": "2026-01-01"}), 400)
        mind = app.state.service.mind
    reopened = create_app(mind.settings)
    with TestClient(reopened, base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        assert client.get("/api/v1/usage").json()["days"][0]["requests"] >= 6


# --- time-outs


@pytest.fixture
def impatient(tmp_path: Path) -> FastAPI:
    return create_app(Settings(_env_file=None, data_dir=tmp_path, web=False, request_timeout_s=0.2))


def test_a_request_that_takes_too_long_is_answered_and_its_work_ends_at_its_next_step(
    tmp_path: Path, settings_for: Callable[..., Settings]
) -> None:
    app = create_app(settings_for(tmp_path / "lm", request_timeout_s=0.5))
    ended: list[str] = []

    def slow(mind: Mind) -> None:
        try:
            while True:
                time.sleep(0.02)
                mind.catalog.setting("guides")
        except Exception as error:
            ended.append(type(error).__name__)
            raise

    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        app.add_api_route("/api/v1/slow", slow)
        problem = problem_of(client.get("/api/v1/slow"), 504)
    assert problem["error_type"] == "timed_out" and "REQUEST_TIMEOUT_S" in problem["hint"]
    assert ended == ["TimedOut"]


def test_what_follows_an_answer_has_its_own_time(tmp_path: Path, settings_for: Callable[..., Settings]) -> None:
    app = create_app(settings_for(tmp_path / "lm", request_timeout_s=2))
    ended: list[object] = []

    def clear(mind: Any) -> None:
        time.sleep(2.2)
        ended.append(mind.catalog.setting("guides"))

    def route(mind: Mind, after: BackgroundTasks) -> None:
        after.add_task(clear, mind)

    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        app.add_api_route("/api/v1/cleared", route)
        assert client.get("/api/v1/cleared").status_code == 200
    assert ended == [None]


def test_money_is_written_down_whoever_waits(client: TestClient) -> None:
    mind = client.app.state.service.mind  # type: ignore[attr-defined]
    before = mind.budget.account(PERSONAL).bill.spent.calls
    with deadline.within(0):
        with pytest.raises(TimedOut):
            mind.catalog.setting("guides")
        mind.budget.spend(PERSONAL, Spent(1, 2, 3))
    assert mind.budget.account(PERSONAL).bill.spent.calls == before + 1


def test_a_stream_may_take_longer(impatient: FastAPI) -> None:
    async def stream() -> str:
        await asyncio.sleep(0.4)
        return "done"

    impatient.add_api_route("/api/v1/jobs/1/events", stream)
    impatient.add_api_route("/api/v1/other", stream)
    client = TestClient(impatient, base_url="http://127.0.0.1")
    impatient.router.routes.sort(key=lambda route: getattr(route, "path", "") != "/api/v1/jobs/1/events")
    assert client.get("/api/v1/jobs/1/events").json() == "done"
    problem_of(client.get("/api/v1/other"), 504)


def test_a_body_that_does_not_come_ends_the_request(impatient: FastAPI) -> None:
    async def run() -> list[Any]:
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/v1/sources/upload",
            "raw_path": b"/api/v1/sources/upload",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=x")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "scheme": "http",
            "http_version": "1.1",
            "root_path": "",
        }
        pieces = [{"type": "http.request", "body": b"--x\r\n", "more_body": True}]

        async def receive() -> Any:
            return pieces.pop() if pieces else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await asyncio.wait_for(impatient(scope, receive, send), 10)
        return sent

    start, body = asyncio.run(run())
    assert start["status"] == 408 and b"application/problem+json" in dict(start["headers"])[b"content-type"]
    assert b"0.2 seconds" in body["body"]
