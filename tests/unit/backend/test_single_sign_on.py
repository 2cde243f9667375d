"""Logins by a provider over HTTP: a browser's way there and back, and Google's ID tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from localmind.accounts.model import Role
from localmind.settings import Settings
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, OIDCProvider
from tests.unit.backend.asking import problem_of, wait_until_ready
from tests.unit.backend.test_accounts import CHEAP, PASSWORD, bearer, log_in

LOGIN, CALLBACK = "/api/v1/auth/oidc/login", "/api/v1/auth/oidc/callback"


@pytest.fixture(scope="module")
def provider() -> Iterator[OIDCProvider]:
    with OIDCProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def google() -> Iterator[OIDCProvider]:
    """What stands in Google's place."""
    with OIDCProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def team(
    tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings], provider: OIDCProvider, google: OIDCProvider
) -> Iterator[TestClient]:
    """A service with a provider, that lets its members in by that and everybody at joining.example."""
    oidc = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT_ID, "oidc_client_secret": CLIENT_SECRET, "google_client_id": CLIENT_ID}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("localmind.accounts.id_tokens.GOOGLE", google.issuer)
        app = create_app(settings_for(tmp_path_factory.mktemp("oidc") / "lm", **CHEAP, **oidc))
        with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False, follow_redirects=False) as client:
            wait_until_ready(client)
            members = app.state.service.mind.accounts.members
            for role in (Role.EDITOR, Role.OWNER):
                members.create_user(f"{role}@example.org", PASSWORD, role)
            owner = bearer(log_in(client, "owner@example.org")["access_token"])
            rule = {"link_by_email": True, "join_domains": ["joining.example"]}
            assert client.put("/api/v1/tenants/personal/login-rule", json=rule, headers=owner).json() == rule
            yield client


@pytest.fixture
def browser(team: TestClient) -> TestClient:
    """One more browser in front of the running service."""
    return TestClient(team.app, base_url="http://127.0.0.1", raise_server_exceptions=False, follow_redirects=False)


def come_back(browser: TestClient, **headers: str) -> Any:
    """From the service to the provider and back."""
    begun = browser.get(LOGIN)
    assert begun.status_code == 303, begun.text
    way_back = httpx.get(begun.headers["location"]).headers["location"]
    assert way_back.startswith(f"http://127.0.0.1{CALLBACK}?")
    return browser.get(way_back, headers={"Sec-Fetch-Site": "cross-site", **headers})


def is_(provider: OIDCProvider, email: str, subject: str, **claims: Any) -> None:
    provider.person = {"sub": subject, "email": email, "email_verified": True, **claims}


def test_a_browser_goes_to_the_provider_and_comes_back_logged_in(browser: TestClient, provider: OIDCProvider) -> None:
    is_(provider, "editor@example.org", "editor")
    answer = come_back(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    session = next(set_ for set_ in answer.headers.get_list("set-cookie") if set_.startswith("localmind_session="))
    assert {"httponly", "samesite=lax"} <= {part.strip().lower() for part in session.split(";")}
    me = browser.get("/api/v1/auth/me").json()
    assert (me["email"], me["role"]) == ("editor@example.org", "editor")


def test_who_may_join_becomes_a_viewer(browser: TestClient, provider: OIDCProvider) -> None:
    is_(provider, "new@joining.example", "new", name="New Person")
    assert come_back(browser).status_code == 303
    me = browser.get("/api/v1/auth/me").json()
    assert (me["email"], me["name"], me["role"]) == ("new@joining.example", "New Person", "viewer")


@pytest.mark.parametrize(
    ("email", "verified"), [("stranger@example.org", True), ("editor@example.org", False), ("x@joining.example", False)]
)
def test_who_has_no_place_is_told_so(browser: TestClient, provider: OIDCProvider, email: str, verified: bool) -> None:
    is_(provider, email, f"stranger {email}", email_verified=verified)
    assert "administrator" in problem_of(come_back(browser), 403)["detail"]
    problem_of(browser.get("/api/v1/auth/me"), 401)


def test_a_way_back_that_was_not_begun_here_is_refused(team: TestClient, browser: TestClient, provider: OIDCProvider) -> None:
    is_(provider, "editor@example.org", "editor")
    theirs = httpx.get(browser.get(LOGIN).headers["location"]).headers["location"]
    other = TestClient(team.app, base_url="http://127.0.0.1", follow_redirects=False)
    problem_of(other.get(theirs), 401)
    other.get(LOGIN)
    problem_of(other.get(theirs), 401)
    assert browser.get(theirs).status_code == 303


def test_a_way_back_is_good_for_one_use(browser: TestClient, provider: OIDCProvider) -> None:
    is_(provider, "editor@example.org", "editor")
    begun = browser.get(LOGIN)
    flow = browser.cookies["localmind_login"]
    way_back = httpx.get(begun.headers["location"]).headers["location"]
    assert browser.get(way_back).status_code == 303
    assert "localmind_login" not in browser.cookies
    problem_of(browser.get(way_back), 401)
    problem_of(browser.get(way_back, headers={"Cookie": f"localmind_login={flow}"}), 401)


@pytest.mark.parametrize("query", ["", "?error=access_denied", "?code=x&state=y", "?state=%00&code=%ff", f"?code={'x' * 4096}"])
def test_a_way_back_that_makes_no_sense_is_refused(browser: TestClient, query: str) -> None:
    browser.get(LOGIN)
    problem_of(browser.get(CALLBACK + query), 401)


def test_the_provider_is_told_no_secret_and_asked_with_a_challenge(browser: TestClient) -> None:
    url = browser.get(LOGIN).headers["location"]
    assert "code_challenge_method=S256" in url and CLIENT_SECRET.split()[0] not in url
    assert browser.cookies["localmind_login"].rstrip(".") not in url
    assert urlsplit(url).path == "/authorize"


def test_an_id_token_of_google_gives_tokens(team: TestClient, google: OIDCProvider) -> None:
    is_(google, "editor@example.org", "editor", hd="example.org")
    tokens = team.post("/api/v1/auth/google", json={"id_token": google.id_token()}).json()
    assert team.get("/api/v1/auth/me", headers=bearer(tokens["access_token"])).json()["email"] == "editor@example.org"
    for changes in ({"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}):
        problem_of(team.post("/api/v1/auth/google", json={"id_token": google.id_token(**changes)}), 401)
    problem_of(team.post("/api/v1/auth/google", json={"id_token": "no token"}), 401)


def test_without_a_provider_there_is_no_such_login(client: TestClient) -> None:
    for answer in (client.get(LOGIN), client.get(CALLBACK), client.post("/api/v1/auth/google", json={"id_token": "x"})):
        problem_of(answer, 409)


def test_who_may_come_in_is_an_administrators_to_say(team: TestClient) -> None:
    editor = bearer(log_in(team, "editor@example.org")["access_token"])
    owner = bearer(log_in(team, "owner@example.org")["access_token"])
    rule = "/api/v1/tenants/personal/login-rule"
    problem_of(team.get(rule, headers=editor), 403)
    problem_of(team.put(rule, json={"link_by_email": True}, headers=editor), 403)
    problem_of(team.get("/api/v1/tenants/another/login-rule", headers=owner), 404)
    problem_of(team.put(rule, json={"link_by_email": True, "join_domains": ["no domain"]}, headers=owner), 400)
