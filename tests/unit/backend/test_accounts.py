"""Team mode over HTTP: who gets in, as what, and into which space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from apps.backend.access import NOTHING, declared
from apps.backend.app import create_app
from apps.backend.gate import GATED
from localmind.accounts.model import Role
from localmind.settings import Settings
from tests.unit.backend.asking import problem_of, wait_until_ready

SECRET = "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf"
PASSWORD = "correct horse battery"
CHEAP = {"auth": "required", "secret_key": SECRET, "password_memory_kib": 8, "password_rounds": 1, "rate_limits": "off"}

As = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[TestClient]:
    """A service that asks for logins, with somebody of each role, and the owner of another tenant."""
    app = create_app(settings_for(tmp_path_factory.mktemp("team") / "lm", **CHEAP))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        wait_until_ready(client)
        members = app.state.service.mind.accounts.members
        for role in Role:
            members.create_user(f"{role}@example.org", PASSWORD, role)
        members.create_user("eve@example.org", PASSWORD, Role.OWNER, tenant="Other Ltd")
        yield client


@pytest.fixture(scope="module")
def as_(team: TestClient) -> As:
    """Headers of somebody who is logged in."""
    kept: dict[str, dict[str, str]] = {}

    def headers(name: str) -> dict[str, str]:
        if name not in kept:
            kept[name] = bearer(log_in(team, f"{name}@example.org")["access_token"])
        return kept[name]

    return headers


def log_in(client: TestClient, email: str) -> dict[str, Any]:
    answer = client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def space_of(client: TestClient, headers: dict[str, str], **body: Any) -> dict[str, str]:
    """Headers that name a new space beside who asks."""
    made = client.post("/api/v1/spaces", json={"name": "A space", **body}, headers=headers)
    assert made.status_code == 201, made.text
    return {**headers, "X-Space": made.json()["id"]}


# --- every route says whom it is for


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """An app with every route that a setting can put up."""
    folder = tmp_path_factory.mktemp("every")
    return create_app(Settings(_env_file=None, data_dir=folder, web=False, cypher_queries=True, neo4j_uri="bolt://127.0.0.1:1"))


def test_every_route_says_whom_it_is_for(every: FastAPI) -> None:
    routes = list(declared(every))
    assert len(routes) > 60
    assert [route.path for route in routes if route.needs is None and route.in_schema] == []
    assert {route.path for route in routes if route.needs is None} == {"/docs"}


def test_what_is_open_to_strangers_is_this_and_no_more(every: FastAPI) -> None:
    strangers = {route.path for route in declared(every) if route.needs == NOTHING}
    auth = {
        f"/api/v1/auth/{name}"
        for name in ("login", "cookie", "refresh", "accept-invitation", "oidc/login", "oidc/callback", "google", "consent")
    }
    assert strangers == {"/health", "/livez", "/readyz", "/metrics"} | auth


def test_reading_needs_a_reader_and_writing_more(every: FastAPI) -> None:
    """A POST that only reads is named here; whatever else changes something is not for viewers."""
    reading = {"/api/v1/search", "/api/v1/chat", "/api/v1/chat/stream"}
    wrong = [
        (route.path, route.needs)
        for route in declared(every)
        if route.needs == "viewer" and not route.methods <= {"GET", "HEAD"} and route.path not in reading
    ]
    assert wrong == []


def test_a_stranger_gets_nothing_from_any_route(team: TestClient) -> None:
    app = team.app
    assert isinstance(app, FastAPI)
    asked = 0
    for route in declared(app):
        if route.needs not in (None, NOTHING):
            for method in route.methods:
                answer = team.request(method, route.path.replace("{", "").replace("}", ""))
                assert problem_of(answer, 401)["error_type"] == "unauthenticated", route
                assert answer.headers["www-authenticate"].startswith("Bearer")
                asked += 1
    assert asked > 50
    problem_of(team.get("/api/v1/no-such-thing"), 401)


def test_the_gate_stands_before_every_path_of_the_api(every: FastAPI) -> None:
    paths = {route.path for route in declared(every) if route.needs not in (None, NOTHING)}
    assert [path for path in paths if not path.startswith(GATED)] == []


def test_a_stranger_has_no_upload_read(team: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def pieces() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    problem_of(team.post("/api/v1/sources/upload", content=pieces(), headers={"Content-Type": "multipart/form-data; boundary=x"}), 401)


# --- in and out


def test_who_logs_in_is_known(team: TestClient, as_: As) -> None:
    me = team.get("/api/v1/auth/me", headers=as_("editor")).json()
    assert (me["email"], me["role"], me["tenant"]["id"]) == ("editor@example.org", "editor", "personal")


@pytest.mark.parametrize("email", ["editor@example.org", "nobody@example.org", "no address"])
def test_a_wrong_login_is_refused(team: TestClient, email: str) -> None:
    answer = team.post("/api/v1/auth/login", json={"email": email, "password": "wrong password"})
    if email == "no address":
        problem_of(answer, 400)
    else:
        assert problem_of(answer, 401)["detail"].startswith("The address or the password is wrong.")


def test_too_many_failures_say_when_to_try_again(team: TestClient) -> None:
    for _ in range(5):
        answer = team.post("/api/v1/auth/login", json={"email": "locked@example.org", "password": "wrong password"})
        problem_of(answer, 401)
    answer = team.post("/api/v1/auth/login", json={"email": "locked@example.org", "password": "wrong password"})
    assert problem_of(answer, 429)["error_type"] == "too_many_attempts"
    assert 1 <= int(answer.headers["retry-after"]) <= 3


def test_a_refresh_token_used_twice_ends_the_login(team: TestClient) -> None:
    first = log_in(team, "viewer@example.org")
    second = team.post("/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]}).json()
    assert team.get("/api/v1/auth/me", headers=bearer(second["access_token"])).status_code == 200
    problem_of(team.post("/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]}), 401)
    problem_of(team.get("/api/v1/auth/me", headers=bearer(second["access_token"])), 401)
    problem_of(team.post("/api/v1/auth/refresh", json={"refresh_token": second["refresh_token"]}), 401)


@pytest.mark.parametrize("how", ["logout", "logout-everywhere"])
def test_who_logs_out_is_out(team: TestClient, how: str) -> None:
    tokens = log_in(team, "viewer@example.org")
    assert team.post(f"/api/v1/auth/{how}", headers=bearer(tokens["access_token"])).status_code == 204
    problem_of(team.get("/api/v1/sources", headers=bearer(tokens["access_token"])), 401)


def test_a_browser_keeps_a_cookie_that_only_our_own_pages_can_use(team: TestClient) -> None:
    browser = TestClient(team.app, base_url="http://127.0.0.1")  # not entered: the service runs already
    set_ = browser.post("/api/v1/auth/cookie", json={"email": "viewer@example.org", "password": PASSWORD})
    assert set_.status_code == 204
    assert {"httponly", "samesite=lax"} <= {part.strip().lower() for part in set_.headers["set-cookie"].split(";")}
    assert browser.get("/api/v1/auth/me").json()["role"] == "viewer"
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        assert browser.get("/api/v1/auth/me", headers=headers).status_code == 401
    assert browser.post("/api/v1/auth/logout", headers={"Origin": "http://127.0.0.1"}).status_code == 204
    assert browser.get("/api/v1/auth/me").status_code == 401


# --- what each may


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("viewer", {"search"}),
        ("editor", {"search", "add"}),
        ("admin", {"search", "add", "invite", "reconcile"}),
        ("owner", {"search", "add", "invite", "reconcile"}),
    ],
)
def test_each_role_may_what_it_says(team: TestClient, as_: As, role: str, allowed: set[str]) -> None:
    calls = {
        "search": ("/api/v1/search", {"query": "soup"}),
        "add": ("/api/v1/sources/text", {"title": "Note", "text": "A note."}),
        "invite": ("/api/v1/users", {"email": f"{role}-guest@example.org"}),
        "reconcile": ("/api/v1/maintenance/reconcile", {"check": True}),
    }
    for name, (path, body) in calls.items():
        answer = team.post(path, json=body, headers=as_(role))
        if name in allowed:
            assert answer.is_success, answer.text
        else:
            assert problem_of(answer, 403)["error_type"] == "forbidden"
            assert name == "reconcile" or "needs the role" in answer.json()["detail"]


def test_only_the_first_tenants_administrators_look_after_the_service(team: TestClient, as_: As) -> None:
    for path in ("/api/v1/maintenance/reconcile", "/api/v1/maintenance/rebuild"):
        problem_of(team.post(path, json={"check": True}, headers=as_("eve")), 403)
    problem_of(team.get("/api/v1/doctor", headers=as_("eve")), 403)


def test_an_api_key_works_in_both_headers_until_it_is_deleted(team: TestClient, as_: As) -> None:
    made = team.post("/api/v1/api-keys", json={"name": "k", "scopes": ["read"]}, headers=as_("editor")).json()
    assert made["key"].startswith(f"lm_{made['prefix']}_")
    for headers in (bearer(made["key"]), {"X-API-Key": made["key"]}):
        assert team.get("/api/v1/sources", headers=headers).status_code == 200
        problem_of(team.post("/api/v1/sources/text", json={"title": "N", "text": "N."}, headers=headers), 403)
    listed = team.get("/api/v1/api-keys", headers=as_("editor")).json()["items"]
    assert made["id"] in [key["id"] for key in listed] and all("key" not in key for key in listed)
    rotated = team.post(f"/api/v1/api-keys/{made['id']}/rotate", json={"overlap_hours": 0}, headers=as_("editor"))
    assert rotated.status_code == 201
    problem_of(team.get("/api/v1/sources", headers=bearer(made["key"])), 401)
    assert team.delete(f"/api/v1/api-keys/{rotated.json()['id']}", headers=as_("editor")).status_code == 204
    problem_of(team.get("/api/v1/sources", headers=bearer(rotated.json()["key"])), 401)


def test_an_invited_person_comes_in_and_is_shut_out(team: TestClient, as_: As) -> None:
    invited = team.post("/api/v1/users", json={"email": "new@example.org", "role": "editor"}, headers=as_("admin")).json()
    problem_of(team.post("/api/v1/auth/accept-invitation", json={"token": invited["token"], "password": "short"}), 400)
    tokens = team.post("/api/v1/auth/accept-invitation", json={"token": invited["token"], "password": PASSWORD}).json()
    me = team.get("/api/v1/auth/me", headers=bearer(tokens["access_token"])).json()
    assert me["role"] == "editor"
    changed = team.patch(f"/api/v1/users/{me['user_id']}", json={"disabled": True}, headers=as_("admin"))
    assert changed.json()["disabled"] is True
    problem_of(team.get("/api/v1/auth/me", headers=bearer(tokens["access_token"])), 401)
    assert team.delete(f"/api/v1/users/{me['user_id']}", headers=as_("admin")).status_code == 204
    problem_of(team.get(f"/api/v1/users/{me['user_id']}", headers=as_("admin")), 404)


def test_a_tenant_is_renamed_by_its_own(team: TestClient, as_: As) -> None:
    mine = team.get("/api/v1/tenants", headers=as_("eve")).json()["items"]
    assert [tenant["name"] for tenant in mine] == ["Other Ltd"]
    problem_of(team.patch("/api/v1/tenants/personal", json={"name": "Eve's"}, headers=as_("eve")), 404)
    assert team.patch(f"/api/v1/tenants/{mine[0]['id']}", json={"name": "Other"}, headers=as_("eve")).json()["name"] == "Other"


# --- spaces


def test_what_is_in_one_space_is_in_no_other(team: TestClient, as_: As) -> None:
    one, two = (space_of(team, as_("owner")) for _ in range(2))
    accepted = team.post("/api/v1/sources/text", json={"title": "Plan", "text": "The lighthouse opens in May."}, headers=one).json()
    with_query = {**as_("owner")}
    path = f"/api/v1/jobs/{accepted['job_id']}/events?space={one['X-Space']}"
    with team.stream("GET", path, headers=with_query) as stream:  # a header can't be set by EventSource
        assert stream.status_code == 200 and "succeeded" in "".join(stream.iter_lines())
    found = {
        name: team.post("/api/v1/search", json={"query": "lighthouse"}, headers=headers).json()["hits"]
        for name, headers in {"one": one, "two": two, "default": as_("owner")}.items()
    }
    assert [hit["source_id"] for hit in found["one"]] == [accepted["source_id"]]
    assert found["two"] == [] and all(hit["source_id"] != accepted["source_id"] for hit in found["default"])
    for headers in (two, as_("owner"), as_("eve")):
        problem_of(team.get(f"/api/v1/sources/{accepted['source_id']}", headers=headers), 404)
        problem_of(team.get(f"/api/v1/jobs/{accepted['job_id']}", headers=headers), 404)
    problem_of(team.get("/api/v1/sources", headers={**as_("eve"), "X-Space": one["X-Space"]}), 404)


def test_a_restricted_space_opens_to_its_members(team: TestClient, as_: As) -> None:
    closed = space_of(team, as_("admin"), restricted=True)
    space_id = closed["X-Space"]
    viewer = team.get("/api/v1/auth/me", headers=as_("viewer")).json()["user_id"]
    there = {**as_("viewer"), "X-Space": space_id}
    problem_of(team.get("/api/v1/sources", headers=there), 404)
    put = team.put(f"/api/v1/spaces/{space_id}/members/{viewer}", json={"role": "editor"}, headers=as_("admin"))
    assert put.json()["role"] == "editor"
    assert team.post("/api/v1/sources/text", json={"title": "N", "text": "A note."}, headers=there).status_code == 202
    assert team.delete(f"/api/v1/spaces/{space_id}/members/{viewer}", headers=as_("admin")).status_code == 204
    problem_of(team.get("/api/v1/sources", headers=there), 404)


def test_a_deleted_space_takes_its_documents_along(team: TestClient, as_: As) -> None:
    there = space_of(team, as_("owner"))
    accepted = team.post("/api/v1/sources/text", json={"title": "Plan", "text": "The ferry leaves at nine."}, headers=there).json()
    assert team.delete(f"/api/v1/spaces/{there['X-Space']}", headers=as_("owner")).status_code == 202
    problem_of(team.get("/api/v1/sources", headers=there), 404)
    app = team.app
    assert isinstance(app, FastAPI)
    kinds = [job.kind for job in app.state.service.mind.jobs.list(there["X-Space"], source_id=accepted["source_id"]).items]
    assert "delete" in kinds
    problem_of(team.delete("/api/v1/spaces/personal", headers=as_("owner")), 409)


# --- without logins


def test_without_logins_whoever_asks_is_the_owner(client: TestClient) -> None:
    me = client.get("/api/v1/auth/me").json()
    assert (me["user_id"], me["role"], me["tenant"]["id"]) == (None, "owner", "personal")
    problem_of(client.post("/api/v1/auth/login", json={"email": "a@example.org", "password": "x"}), 409)
    problem_of(client.post("/api/v1/api-keys", json={"name": "k", "scopes": ["read"]}), 409)


def test_without_logins_there_are_spaces_too(client: TestClient, handbook: dict[str, Any]) -> None:
    there = space_of(client, {})
    assert client.get("/api/v1/sources", headers=there).json()["items"] == []
    accepted = client.post("/api/v1/sources/text", json={"title": "N", "text": "A note."}, headers=there).json()
    problem_of(client.get(f"/api/v1/jobs/{accepted['job_id']}"), 404)
    assert client.delete(f"/api/v1/spaces/{there['X-Space']}").status_code == 202


def test_without_logins_it_answers_loopback_alone(client: TestClient) -> None:
    """As `uvicorn apps.backend.main:app --host 0.0.0.0` would have it: HOST knows nothing of that."""
    far = TestClient(client.app, base_url="http://192.0.2.7")
    answer = far.get("/api/v1/sources", headers={"Host": "localhost"})
    assert problem_of(answer, 401)["hint"].startswith("Set HOST")
