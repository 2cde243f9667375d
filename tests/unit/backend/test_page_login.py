"""The web page where people log in: what a stranger gets of it, and what a session opens. What it looks like is tests/browser's."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from apps.backend.access import COOKIE
from apps.backend.app import create_app
from localmind.accounts.model import Role
from localmind.settings import Settings
from tests.unit.backend.asking import problem_of, wait_until_ready
from tests.unit.backend.test_accounts import CHEAP, PASSWORD, bearer, log_in

PERSON = {"Accept": "text/html,application/xhtml+xml"}
NAVIGATES = {**PERSON, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
SOCKET = "ws://127.0.0.1/_nicegui_ws/socket.io/?EIO=4&transport=websocket"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[TestClient]:
    """A service with its web page, for people who log in. NiceGUI can be mounted once a process: here."""
    settings = settings_for(tmp_path_factory.mktemp("page") / "lm", **CHEAP).model_copy(update={"web": True})
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False, follow_redirects=False) as client:
        wait_until_ready(client)
        members = app.state.service.mind.accounts.members
        for role in Role:
            members.create_user(f"{role}@example.org", PASSWORD, role)
        members.create_user("eve@example.org", PASSWORD, Role.OWNER, tenant="Other Ltd")
        members.create_user("both@example.org", PASSWORD, Role.VIEWER)
        members.create_user("both@example.org", PASSWORD, Role.VIEWER, tenant="Other Ltd")
        while client.get("/login").status_code == 503:
            time.sleep(0.02)  # the page opens after the API
        yield client


@pytest.fixture
def browser(team: TestClient) -> TestClient:
    """One more browser in front of the running service."""
    return another(team)


def another(team: TestClient, url: str = "http://127.0.0.1") -> TestClient:
    browser = TestClient(team.app, base_url=url, raise_server_exceptions=False, follow_redirects=False)
    browser.portal = team.portal  # NiceGUI builds pages in the event loop that it was started in
    return browser


def submit(browser: TestClient, email: str, password: str = PASSWORD, **more: str) -> Any:
    return browser.post("/login", data={"email": email, "password": password, **more}, headers=PERSON)


def refused(browser: TestClient, **options: Any) -> str:
    """Why no WebSocket was opened."""
    with pytest.raises(WebSocketDisconnect) as raised, browser.websocket_connect(SOCKET, **options):
        pass
    return str(raised.value.reason)


@pytest.fixture(scope="module")
def source(team: TestClient) -> str:
    """A document of the first tenant."""
    headers = bearer(log_in(team, "editor@example.org")["access_token"])
    return str(team.post("/api/v1/sources/text", json={"title": "Tides", "text": "The gates close."}, headers=headers).json()["source_id"])


# --- a stranger


@pytest.mark.parametrize("path", ["/", "/?c=abc", "/sources/abc?page=2", "/sources/abc/pages/1.png", "/no-such-page"])
def test_a_stranger_is_led_to_the_login_and_back(browser: TestClient, path: str) -> None:
    answer = browser.get(path, headers=PERSON)
    assert answer.status_code == 303
    back = httpx_query(answer.headers["location"]).get("back", "/")
    assert back == path
    assert submit(browser, "viewer@example.org", back=back).headers["location"] == path


def httpx_query(location: str) -> dict[str, str]:
    import httpx

    url = httpx.URL(location)
    assert url.path == "/login"
    return dict(url.params)


@pytest.mark.parametrize(
    "path", ["/", "/sources/abc/pages/1.png", "/_nicegui/x/static/nicegui.js", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"]
)
def test_nothing_of_the_page_is_given_to_strangers(browser: TestClient, path: str) -> None:
    problem_of(browser.get(path), 401)


def test_a_stranger_gets_no_web_socket(browser: TestClient) -> None:
    assert "Credentials" in refused(browser)


def test_a_member_gets_a_web_socket_from_our_own_page_alone(browser: TestClient) -> None:
    submit(browser, "viewer@example.org")
    with browser.websocket_connect(SOCKET, headers={"Origin": "http://127.0.0.1", "Upgrade": "websocket"}) as socket:
        assert socket.receive_text().startswith("0")
    assert "another origin" in refused(browser, headers={"Origin": "https://evil.example"})


def test_the_login_page_is_shown_with_its_looks_and_runs_nothing(browser: TestClient) -> None:
    page = browser.get("/login")
    assert page.status_code == 200 and page.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text and "organisation" not in page.text
    for address in re.findall(r'<link [^>]*href="([^"]+)"', page.text):
        assert browser.get(address).status_code == 200


def test_why_a_provider_let_nobody_in_is_said(browser: TestClient) -> None:
    for problem, words in (("forbidden", "no tenant here lets you in"), ("unavailable", "does not answer"), ("x", "did not work")):
        assert words in browser.get("/login", params={"problem": problem}).text


# --- in


@pytest.mark.parametrize("email", ["viewer@example.org", "nobody@example.org"])
def test_a_wrong_password_is_said_and_the_address_kept(browser: TestClient, email: str) -> None:
    answer = submit(browser, email, "wrong password")
    assert answer.status_code == 401 and "The address or the password is wrong." in answer.text
    assert f'value="{email}"' in answer.text and "wrong password" not in answer.text
    assert "set-cookie" not in answer.headers


def test_what_was_typed_is_never_html(browser: TestClient) -> None:
    answer = submit(browser, '"><script>alert(1)</script>@x', "wrong password", back='"><script>alert(2)</script>')
    assert "<script" not in answer.text
    assert "<script" not in browser.get("/login", params={"problem": "<script>", "back": "/<script>", "tenant": "<script>"}).text


@pytest.mark.parametrize(
    "back", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a\r\nSet-Cookie: x=y", ""]
)
def test_a_login_leads_to_no_other_site(browser: TestClient, back: str) -> None:
    assert submit(browser, "viewer@example.org", back=back).headers["location"] == "/"


def test_a_form_of_another_site_logs_nobody_in(browser: TestClient) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = browser.post("/login", data={"email": "viewer@example.org", "password": PASSWORD}, headers=headers)
        assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(team: TestClient, browser: TestClient) -> None:
    parts = {part.strip().lower() for part in submit(browser, "viewer@example.org").headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=lax", "path=/"} <= parts and "secure" not in parts
    over_tls = another(team, "https://127.0.0.1")
    assert "secure" in submit(over_tls, "viewer@example.org").headers["set-cookie"].lower()


def test_who_belongs_to_several_tenants_chooses_one(browser: TestClient) -> None:
    answer = submit(browser, "both@example.org")
    assert answer.status_code == 400 and "Other Ltd" in answer.text
    (other,) = re.findall(r'<option value="([^"]+)">Other Ltd', answer.text)
    assert submit(browser, "both@example.org", tenant=other).status_code == 303
    assert browser.get("/api/v1/auth/me").json()["tenant"]["name"] == "Other Ltd"


def test_too_many_failures_lock_the_form_too(browser: TestClient) -> None:
    for _ in range(5):
        assert submit(browser, "locked@example.org", "wrong password").status_code == 401
    assert submit(browser, "locked@example.org", "wrong password").status_code == 429


def test_a_long_form_is_refused(browser: TestClient) -> None:
    answer = browser.post("/login", content=b"email=" + b"x" * 1_100_000, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 413


# --- inside


def test_a_session_opens_the_page_also_by_a_link_from_elsewhere(browser: TestClient) -> None:
    submit(browser, "viewer@example.org")
    for site in ("none", "same-origin", "cross-site"):
        assert browser.get("/", headers={**NAVIGATES, "Sec-Fetch-Site": site}).status_code == 200
    answer = browser.get("/", headers={**PERSON, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"})
    assert answer.status_code == 303
    framed = browser.get("/", headers={**PERSON, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"})
    assert framed.status_code == 303


def test_no_browser_keeps_a_page(browser: TestClient) -> None:
    submit(browser, "viewer@example.org")
    assert "no-store" in browser.get("/", headers=PERSON).headers["cache-control"]


@pytest.mark.parametrize(("role", "buttons"), [("viewer", False), ("editor", True)])
def test_viewers_are_shown_nothing_that_changes_documents(browser: TestClient, role: str, buttons: bool) -> None:
    submit(browser, f"{role}@example.org")
    page = browser.get("/", headers=PERSON).text
    assert f"{role}@example.org" in page
    assert ("/api/v1/sources/upload" in page) is buttons


def test_another_tenants_document_is_not_there(browser: TestClient, source: str) -> None:
    for email, status in (("viewer@example.org", 200), ("eve@example.org", 404)):
        submit(browser, email)
        assert browser.get(f"/sources/{source}", headers=PERSON).status_code == status
        image = browser.get(f"/sources/{source}/pages/1.png")
        assert (image.status_code == 404) is (status == 404)


def test_a_space_that_is_closed_is_not_there(browser: TestClient, team: TestClient) -> None:
    owner = bearer(log_in(team, "owner@example.org")["access_token"])
    made = team.post("/api/v1/spaces", json={"name": "Board", "restricted": True}, headers=owner).json()["id"]
    for email, status in (("viewer@example.org", 404), ("owner@example.org", 200), ("eve@example.org", 404)):
        submit(browser, email)
        page = browser.get(f"/?space={made}", headers=PERSON)
        assert page.status_code == status
        assert ("Board" in page.text) is (status == 200)
        assert browser.get(f"/sources/abc/pages/1.png?space={made}").status_code == 404
    assert browser.get("/?space=%00", headers=PERSON).status_code == 404


# --- out


@pytest.mark.parametrize("path", ["/logout", "/logout/everywhere"])
def test_who_logs_out_is_out(browser: TestClient, path: str) -> None:
    submit(browser, "viewer@example.org")
    kept = f"{COOKIE}={browser.cookies[COOKIE]}"
    problem_of(browser.post(path, headers={"Origin": "https://evil.example"}), 403)
    assert browser.get("/", headers=PERSON).status_code == 200
    assert browser.post(path, headers={**PERSON, "Origin": "http://127.0.0.1"}).headers["location"] == "/login"
    assert not browser.cookies
    assert browser.get("/", headers={**PERSON, "Cookie": kept}).status_code == 303
    assert browser.post(path, headers=PERSON).headers["location"] == "/login"


@pytest.mark.parametrize("end", ["everywhere", "disabled"])
def test_a_session_that_ended_elsewhere_opens_nothing(browser: TestClient, team: TestClient, end: str) -> None:
    submit(browser, "admin@example.org")
    if end == "everywhere":
        headers = bearer(log_in(team, "admin@example.org")["access_token"])
        team.post("/api/v1/auth/logout-everywhere", headers=headers)
    else:
        owner = bearer(log_in(team, "owner@example.org")["access_token"])
        admin = next(user for user in team.get("/api/v1/users", headers=owner).json()["items"] if user["email"] == "admin@example.org")
        team.patch(f"/api/v1/users/{admin['user_id']}", json={"disabled": True}, headers=owner)
    assert browser.get("/", headers=PERSON).status_code == 303
    assert "login has ended" in refused(browser)


# --- an invitation, and what people agree to


def invited(team: TestClient, email: str) -> str:
    headers = bearer(log_in(team, "owner@example.org")["access_token"])
    return str(team.post("/api/v1/users", json={"email": email, "role": "editor"}, headers=headers).json()["token"])


def test_who_is_invited_joins_on_the_page(team: TestClient, browser: TestClient) -> None:
    token = invited(team, "new@example.org")
    page = browser.get(f"/join?token={token}", headers=PERSON)
    assert page.status_code == 200 and token in page.text and page.headers["cache-control"] == "no-store"
    short = browser.post("/join", data={"token": token, "password": "short"}, headers=PERSON)
    assert short.status_code == 400 and "12 to 256" in short.text and token in short.text
    joined = browser.post("/join", data={"token": token, "password": PASSWORD, "name": "New <b>One</b>"}, headers=PERSON)
    assert joined.status_code == 303 and joined.headers["location"] == "/"
    assert browser.get("/", headers=PERSON).status_code == 200
    used = another(team).post("/join", data={"token": token, "password": PASSWORD}, headers=PERSON)
    assert used.status_code == 401 and "does not hold" in used.text


@pytest.mark.parametrize("token", ["", "lmi_made-up", '"><script>alert(1)</script>', "x" * 5000])
def test_an_invitation_that_is_none_is_refused_and_not_shown_as_html(browser: TestClient, token: str) -> None:
    page = browser.get("/join", params={"token": token}, headers=PERSON)
    assert page.status_code == 200 and "<script>" not in page.text
    answer = browser.post("/join", data={"token": token[:200], "password": PASSWORD}, headers=PERSON)
    assert answer.status_code == 401 and "<script>" not in answer.text


def test_a_form_of_another_site_joins_nobody(team: TestClient, browser: TestClient) -> None:
    answer = browser.post(
        "/join",
        data={"token": invited(team, "lured@example.org"), "password": PASSWORD},
        headers={**PERSON, "Origin": "https://evil.example"},
    )
    assert answer.status_code == 403


def test_what_people_agree_to_is_shown_and_written_down(team: TestClient, browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    mind = team.app.state.service.mind  # type: ignore[attr-defined]
    monkeypatch.setattr(mind.privacy.consents, "text", "We write down what you ask.\nTwo lines.")
    page = browser.get("/login", headers=PERSON)
    assert "We write down what you ask." in page.text
    assert submit(browser, "viewer@example.org").status_code == 400, "another text was shown to them"
    assert submit(browser, "viewer@example.org", consent=mind.privacy.consents.version).status_code == 303
    entries = mind.catalog.audit.page(mind.accounts.members.create_user("viewer@example.org", PASSWORD, Role.VIEWER).tenant).items
    assert "consent" in {entry.event for entry in entries}
