"""What is written down of what people do, what is handed out and erased, and a service under maintenance, over HTTP."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from localmind.accounts.model import Role
from localmind.operations.maintenance_mode import MaintenanceMode
from localmind.settings import Settings
from tests.unit.backend.asking import problem_of, wait_for_job, wait_until_ready
from tests.unit.backend.test_accounts import CHEAP, PASSWORD, bearer, log_in

Headers = dict[str, str]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[TestClient]:
    text = "We write down what you ask."
    app = create_app(settings_for(tmp_path_factory.mktemp("audit") / "lm", consent_text=text, **CHEAP))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        wait_until_ready(client)
        members = app.state.service.mind.accounts.members
        for name, role in {"ann": Role.OWNER, "bob": Role.EDITOR}.items():
            members.create_user(f"{name}@example.org", PASSWORD, role)
        members.create_user("eve@example.org", PASSWORD, Role.OWNER, tenant="Other Ltd")
        yield client


@pytest.fixture(scope="module")
def ann(team: TestClient) -> Headers:
    return bearer(log_in(team, "ann@example.org")["access_token"])


@pytest.fixture(scope="module")
def bob(team: TestClient) -> Headers:
    return bearer(log_in(team, "bob@example.org")["access_token"])


def events(client: TestClient, headers: Headers, **filters: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/audit", params=filters, headers=headers)
    assert answer.status_code == 200, answer.text
    return sorted(answer.json()["items"], key=lambda one: str(one["at"]), reverse=True)  # searches are written a moment later


def me(client: TestClient, headers: Headers) -> str:
    return str(client.get("/api/v1/auth/me", headers=headers).json()["user_id"])


def mind_of(client: TestClient) -> Any:
    return client.app.state.service.mind  # type: ignore[attr-defined]


def test_what_somebody_does_is_written_down_with_who_and_where(team: TestClient, ann: Headers, bob: Headers) -> None:
    accepted = team.post("/api/v1/sources/text", json={"title": "Soup", "text": "Leeks and potatoes."}, headers=bob).json()
    wait_for_job(team, accepted, headers=bob)
    team.post("/api/v1/search", json={"query": "leeks"}, headers={**bob, "X-Request-ID": "find-me"})
    chat = team.post("/api/v1/chat", json={"message": "What is in the soup?"}, headers=bob).json()
    team.delete(f"/api/v1/sources/{accepted['source_id']}", headers=bob)

    found = events(team, ann, user_id=me(team, bob))
    assert [one["event"] for one in found] == ["document_deleted", "chat", "search_performed", "document_ingested", "login"]
    deleted, asked, searched, ingested, login = found
    assert ingested["details"] == deleted["details"] == {"sources": [accepted["source_id"]]}
    assert asked["details"]["conversation"] == chat["conversation_id"]
    assert (searched["request_id"], searched["query"], searched["address"]) == ("find-me", None, "testclient")
    assert "leeks" not in str(found)
    assert login["user_id"] == searched["user_id"] and searched["actor"] != searched["user_id"]


def test_a_failed_login_and_changes_of_people_and_keys_are_there(team: TestClient, ann: Headers) -> None:
    team.post("/api/v1/auth/login", json={"email": "bob@example.org", "password": "wrong password, this"})
    team.post("/api/v1/auth/login", json={"email": "secret-typed-as-address@example.org", "password": "wrong password, this"})
    key = team.post("/api/v1/api-keys", json={"name": "k", "scopes": ["read"]}, headers=ann).json()
    used = team.post("/api/v1/search", json={"query": "soup"}, headers=bearer(key["key"]))
    assert used.status_code == 200
    team.delete(f"/api/v1/api-keys/{key['id']}", headers=ann)
    invited = team.post("/api/v1/users", json={"email": "kim@example.org", "role": "viewer"}, headers=ann).json()
    accepted = {"token": invited["token"], "password": PASSWORD}
    kim = bearer(team.post("/api/v1/auth/accept-invitation", json=accepted).json()["access_token"])
    team.patch(f"/api/v1/users/{me(team, kim)}", json={"role": "editor"}, headers=ann)
    kim_id = me(team, bearer(log_in(team, "kim@example.org")["access_token"]))
    team.delete(f"/api/v1/users/{kim_id}", headers=ann)

    found = events(team, ann, limit=11)
    assert [one["event"] for one in reversed(found)] == [
        *("login_failed", "login_failed", "key_created", "search_performed", "key_revoked"),
        *("member_invited", "member_joined", "login", "role_changed", "login", "member_removed"),
    ]
    by_kind = {one["event"]: one for one in found}
    known, unknown = found[-1], found[-2]
    assert (known["details"], unknown["details"], unknown["user_id"]) == ({"known": True}, {"known": False}, None)
    assert by_kind["search_performed"]["key_id"] == key["id"]
    assert by_kind["role_changed"]["subject_id"] == kim_id
    assert by_kind["role_changed"]["details"] == {"role": "editor", "disabled": False}
    assert "example.org" not in str(found)


# --- privacy


@pytest.fixture
def kim(team: TestClient) -> Headers:
    """A new editor."""
    mind_of(team).accounts.members.create_user("kim@example.org", PASSWORD, Role.EDITOR)
    return bearer(log_in(team, "kim@example.org")["access_token"])


def test_people_export_themselves_and_administrators_erase_them(team: TestClient, ann: Headers, bob: Headers, kim: Headers) -> None:
    user_id = me(team, kim)
    accepted = team.post("/api/v1/sources/text", json={"title": "Kim's", "text": "Of Kim."}, headers=kim).json()
    exported = team.post(f"/api/v1/users/{user_id}/export", headers=kim)
    assert (exported.status_code, exported.headers["content-type"]) == (200, "application/zip")
    names = zipfile.ZipFile(io.BytesIO(exported.content)).namelist()
    assert {"profile.json", "audit.jsonl", f"documents/{accepted['source_id']}/text.md"} <= set(names)
    assert problem_of(team.post(f"/api/v1/users/{user_id}/export", headers=bob), 403)

    assert problem_of(team.delete(f"/api/v1/users/{user_id}?documents=true", headers=ann), 400)
    assert problem_of(team.delete(f"/api/v1/users/{user_id}?erase=true", headers=bob), 403)
    assert team.delete(f"/api/v1/users/{user_id}?erase=true&documents=true", headers=ann).status_code == 204

    assert problem_of(team.get("/api/v1/auth/me", headers=kim), 401)
    assert problem_of(team.get(f"/api/v1/sources/{accepted['source_id']}", headers=ann), 404)
    assert problem_of(team.post(f"/api/v1/users/{user_id}/export", headers=ann), 404)
    erased = events(team, ann, event="erasure")[0]
    assert erased["details"]["documents"] is True and user_id not in str(events(team, ann, limit=200))


def test_retention_is_set_for_ones_own_tenant_by_administrators(team: TestClient, ann: Headers, bob: Headers) -> None:
    path = "/api/v1/tenants/personal/retention"
    nothing = dict.fromkeys(("documents_days", "unused_days", "conversations_days", "audit_days"))
    assert team.get(path, headers=ann).json() == nothing
    assert team.put(path, json={"audit_days": 365}, headers=ann).json() == {**nothing, "audit_days": 365}
    assert team.get(path, headers=ann).json()["audit_days"] == 365
    assert team.put(path, json={}, headers=ann).json() == nothing
    problem_of(team.put(path, json={"audit_days": 0}, headers=ann), 422)
    problem_of(team.put(path, json={}, headers=bob), 403)
    problem_of(team.put("/api/v1/tenants/other/retention", json={}, headers=ann), 404)


def test_a_consent_is_shown_to_strangers_and_goes_with_a_login(team: TestClient, ann: Headers) -> None:
    shown = team.get("/api/v1/auth/consent").json()
    assert shown["text"] == "We write down what you ask."
    login = {"email": "ann@example.org", "password": PASSWORD}
    problem_of(team.post("/api/v1/auth/login", json={**login, "consent": "of last year"}), 400)
    for path in ("login", "cookie"):
        assert team.post(f"/api/v1/auth/{path}", json={**login, "consent": shown["version"]}).status_code < 300
    assert team.post("/api/v1/auth/accept-consent", json={"version": shown["version"]}, headers=ann).status_code == 204
    assert [one["details"] for one in events(team, ann, event="consent")] == [{"version": shown["version"]}]
    team.cookies.clear()


def test_the_audit_is_for_administrators_and_of_their_tenant(team: TestClient, ann: Headers, bob: Headers) -> None:
    eve = bearer(log_in(team, "eve@example.org")["access_token"])
    assert problem_of(team.get("/api/v1/audit", headers=bob), 403)
    assert [one["event"] for one in events(team, eve)] == ["login", "member_joined"]
    assert events(team, eve, user_id=me(team, ann)) == []


@pytest.mark.parametrize("moment", ["0.5", "1767182400", "2026-01-31T12:00:00", "yesterday"])
def test_a_time_is_a_date_with_a_zone(team: TestClient, ann: Headers, moment: str) -> None:
    problem_of(team.get("/api/v1/audit", params={"until": moment}, headers=ann), 422)


def test_a_number_is_no_yes_or_no_and_the_other_way_round(team: TestClient, ann: Headers) -> None:
    tenant = team.get("/api/v1/auth/me", headers=ann).json()["tenant"]["id"]
    for method, path, body in (
        ("POST", "/api/v1/spaces", {"name": "Open?", "restricted": 0}),
        ("PUT", f"/api/v1/tenants/{tenant}/login-rule", {"link_by_email": 1, "join_domains": []}),
        ("PATCH", f"/api/v1/tenants/{tenant}/limits", {"documents": False}),
        ("PUT", f"/api/v1/tenants/{tenant}/retention", {"documents_days": True}),
        ("POST", "/api/v1/users", {"email": "one@example.org", "days": True}),
        ("POST", "/api/v1/api-keys", {"name": "One", "scopes": ["read"], "days": True}),
    ):
        assert team.request(method, path, json=body, headers=ann).status_code == 422, path


def test_the_chain_of_all_this_holds(team: TestClient, ann: Headers) -> None:
    audit = mind_of(team).audit
    audit.flush()
    assert [audit.table.verify(tenant).flaws for tenant in audit.table.tenants()] == [(), ()]


# --- maintenance


@pytest.fixture
def closed(team: TestClient) -> Iterator[TestClient]:
    """Under maintenance, turned on from beside the service, as the command line does."""
    other = MaintenanceMode(mind_of(team).catalog)
    other.turn_on("a new disk")
    mind_of(team).maintenance_mode._asked_at = float("-inf")  # as if its few seconds were over
    yield team
    other.turn_off()
    mind_of(team).maintenance_mode._asked_at = float("-inf")


def test_under_maintenance_reads_go_on_and_writes_wait(closed: TestClient, ann: Headers) -> None:
    for method, path, body in (
        ("POST", "/api/v1/sources/text", {"title": "T", "text": "t"}),
        ("POST", "/api/v1/chat", {"message": "soup?"}),
        ("DELETE", "/api/v1/sources/abc", None),
        ("POST", "/api/v1/spaces", {"name": "S"}),
    ):
        answer = closed.request(method, path, json=body, headers=ann)
        problem = problem_of(answer, 503)
        assert (problem["error_type"], answer.headers["Retry-After"]) == ("under_maintenance", "60")
        assert "a new disk" in problem["detail"]
    assert closed.get("/api/v1/sources", headers=ann).status_code == 200
    assert closed.post("/api/v1/search", json={"query": "soup"}, headers=ann).status_code == 200
    assert log_in(closed, "ann@example.org")["access_token"]
    health = closed.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "maintenance")
    assert closed.get("/readyz").status_code == 200


def test_no_job_is_taken_up_until_it_is_over(team: TestClient, ann: Headers) -> None:
    mind = mind_of(team)
    mode = mind.maintenance_mode
    mode.turn_on()
    text = mind.sources.add_texts("personal", [_text("Later", "Potatoes.")])[0]
    assert mind.pipeline._claim() == []
    mode.turn_off()
    mind.pipeline.wake()
    assert wait_for_job(team, {"job_id": text.job_id}, headers=ann)["status"] == "succeeded"


def _text(title: str, text: str) -> Any:
    from localmind.ingest.sources import NewText

    return NewText(title, text)
