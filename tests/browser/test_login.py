"""The page where people log in, in a real browser: in, out, and never into another's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from localmind.accounts.model import Role
from localmind.settings import Settings
from localmind.wiring.upkeep import create_user
from tests.browser.conftest import READ_TIMEOUT_S, Seen, Service, serving, watch
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, OIDCProvider

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PASSWORD = "correct horse battery"
PEOPLE = (("ann", Role.OWNER, "personal"), ("vic", Role.VIEWER, "personal"), ("eve", Role.OWNER, "Other Ltd"))
TIDES = b"The tide gates of Lindholm close when the water rises above 2.4 metres."
WAGES = b"The wages at Other Ltd are paid on the last Friday of the month."
QUESTION = "When do the tide gates close?"

OpenPage = Callable[..., Any]


@pytest.fixture(scope="module")
def provider() -> Iterator[OIDCProvider]:
    with OIDCProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, new_data_dir: Callable[[Path], Path], provider: OIDCProvider) -> Iterator[Service]:
    """A service for people who log in: Ann owns the first tenant, Vic only reads there, Eve owns another one."""
    folder = new_data_dir(tmp_path_factory.mktemp("team") / "data")
    settings = {
        "AUTH": "required",
        "SECRET_KEY": "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf",
        "PASSWORD_MEMORY_KIB": "8",
        "PASSWORD_ROUNDS": "1",
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
    }
    with serving(folder, **settings) as service:
        lower = {name.lower(): value for name, value in settings.items()}
        for name, role, tenant in PEOPLE:
            create_user(Settings(_env_file=None, data_dir=folder, **lower), f"{name}@example.org", PASSWORD, role, tenant=tenant)
        yield service


def as_(service: Service, name: str) -> Service:
    """The same service, asked by somebody."""
    login = {"email": f"{name}@example.org", "password": PASSWORD}
    token = httpx.post(f"{service.url}/api/v1/auth/login", json=login).raise_for_status().json()["access_token"]
    return replace(service, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def tides(team: Service) -> str:
    return as_(team, "ann").add("tides.txt", TIDES)


@pytest.fixture(scope="module")
def wages(team: Service) -> str:
    return as_(team, "eve").add("wages.txt", WAGES)


@pytest.fixture
def open_page(browser: Any, team: Service) -> Iterator[OpenPage]:
    """An address in a browser of its own. In the end: no request elsewhere, nothing in the console but what was expected."""
    contexts, seen = [], Seen()

    def open_page(path: str = "/", **options: Any) -> Any:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        contexts.append(context)
        context.on("page", lambda page: watch(page, team.url, seen))
        context.set_default_timeout(READ_TIMEOUT_S * 1000)
        page = context.new_page()
        page.goto(team.url + path)
        return page

    open_page.seen = seen  # type: ignore[attr-defined]
    yield open_page
    for context in contexts:
        context.close()
    assert seen == Seen()


def log_in(page: Any, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("E-mail").fill(f"{name}@example.org")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def titles(page: Any) -> list[str]:
    page.locator("li.doc").first.wait_for()
    return [str(title) for title in page.locator(".doc-title").all_inner_texts()]


def test_somebody_logs_in_asks_and_logs_out(open_page: OpenPage, team: Service, tides: str) -> None:
    page = open_page()
    page.wait_for_url("**/login")
    log_in(page, "ann")
    page.get_by_label("Your question").fill(QUESTION)
    page.keyboard.press("Enter")
    page.locator("a.card").first.wait_for()
    assert "2.4 metres" in page.locator(".answer").inner_text()
    page.wait_for_url("**/?c=*")
    conversation = page.url

    page.get_by_role("button", name="ann@example.org").click()
    page.get_by_role("button", name="Log out", exact=True).click()
    page.wait_for_url("**/login")
    page.go_back()
    page.get_by_role("heading", name="Log in").wait_for()
    for address in (conversation, f"{team.url}/sources/{tides}"):
        page.goto(address)
        assert page.get_by_role("heading", name="Log in").is_visible()
        assert "2.4 metres" not in page.content()


def test_a_wrong_password_is_said(open_page: OpenPage) -> None:
    page = open_page()
    log_in(page, "ann", "wrong password")
    page.get_by_role("alert").get_by_text("The address or the password is wrong.").wait_for()
    assert page.get_by_label("E-mail").input_value() == "ann@example.org"
    open_page.seen.console.clear()  # type: ignore[attr-defined]  # a browser notes the 401
    log_in(page, "ann")
    page.get_by_label("Your question").wait_for()


def test_two_tenants_see_their_own_alone(open_page: OpenPage, team: Service, tides: str, wages: str) -> None:
    ann, eve = open_page(), open_page()
    log_in(ann, "ann")
    log_in(eve, "eve")
    assert titles(ann) == ["tides"] and titles(eve) == ["wages"]
    eve.get_by_label("Your question").fill(QUESTION)
    eve.keyboard.press("Enter")
    eve.locator(".answer").get_by_text("2.4").wait_for(state="detached")
    eve.wait_for_url("**/?c=*")
    assert "2.4 metres" not in eve.content()
    for page, others in ((ann, wages), (eve, tides)):
        assert page.goto(f"{team.url}/sources/{others}").status == 404
        page.get_by_role("heading", name="This document is not here").wait_for()
    open_page.seen.console.clear()  # type: ignore[attr-defined]  # a browser notes the 404


def test_a_viewer_reads_and_can_change_nothing(open_page: OpenPage, team: Service, tides: str) -> None:
    page = open_page(f"/sources/{tides}")
    log_in(page, "vic")
    page.wait_for_url(f"**/sources/{tides}")
    page.locator(".reading").get_by_text("2.4 metres").wait_for()
    page.goto(team.url)
    assert titles(page) == ["tides"]
    page.locator("li.doc").hover()
    for name in ("Add documents", "Delete tides"):
        assert not page.get_by_role("button", name=name).is_visible()


@pytest.mark.parametrize("path", ["/", "/sources/{}"])
def test_a_page_that_is_open_is_left_when_its_login_ends(open_page: OpenPage, team: Service, tides: str, path: str) -> None:
    page = open_page(path.format(tides))
    log_in(page, "vic")
    page.get_by_text("tides").first.wait_for()
    ann, vic = as_(team, "ann"), as_(team, "vic")
    me = httpx.get(f"{team.url}/api/v1/auth/me", headers=vic.headers).json()["user_id"]
    httpx.patch(f"{team.url}/api/v1/users/{me}", json={"disabled": True}, headers=ann.headers).raise_for_status()
    page.get_by_role("heading", name="Log in").wait_for()
    assert "tides" not in page.content()
    log_in(page, "vic")
    page.get_by_role("alert").wait_for()
    httpx.patch(f"{team.url}/api/v1/users/{me}", json={"disabled": False}, headers=ann.headers).raise_for_status()
    open_page.seen.console.clear()  # type: ignore[attr-defined]  # a browser notes the 401


def test_a_person_goes_from_one_space_to_another(open_page: OpenPage, team: Service, tides: str) -> None:
    ann = as_(team, "ann")
    made = httpx.post(f"{team.url}/api/v1/spaces", json={"name": "Research"}, headers=ann.headers).json()["id"]
    replace(ann, headers={**ann.headers, "X-Space": made}).add("stars.txt", b"The star Mira grows dim every eleven months.")
    page = open_page()
    log_in(page, "ann")
    assert titles(page) == ["tides"]
    page.get_by_role("button", name="Space: Default").click()
    page.get_by_role("link", name="Research").click()
    page.wait_for_url(f"**/?space={made}")
    assert titles(page) == ["stars"]
    page.get_by_label("Your question").fill("When does Mira grow dim?")
    page.keyboard.press("Enter")
    page.locator("a.card").first.wait_for()
    with page.context.expect_page() as opened:
        page.locator("a.card").first.click()
    opened.value.locator(".reading").get_by_text("eleven months").first.wait_for()
    assert made in opened.value.url


def test_a_phone_has_room_for_who_is_logged_in(open_page: OpenPage, tides: str) -> None:
    page = open_page(has_touch=True, is_mobile=True)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    log_in(page, "ann")
    page.get_by_role("button", name="ann@example.org").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.goto(f"{page.url.rstrip('/')}/sources/{tides}")
    page.get_by_role("button", name="ann@example.org").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_somebody_logs_in_by_their_organisation(browser: Any, team: Service, provider: OIDCProvider) -> None:
    rule = {"link_by_email": True}
    httpx.put(f"{team.url}/api/v1/tenants/personal/login-rule", json=rule, headers=as_(team, "ann").headers).raise_for_status()
    context = browser.new_context()
    page = context.new_page()
    provider.person = {"sub": "ann", "email": "ann@example.org", "email_verified": True}
    page.goto(team.url)
    page.get_by_role("link", name="Log in with your organisation").click()
    page.get_by_role("button", name="ann@example.org").wait_for()
    context.clear_cookies()
    provider.person = {"sub": "stranger", "email": "stranger@example.org", "email_verified": True}
    page.goto(team.url)
    page.get_by_role("link", name="Log in with your organisation").click()
    page.get_by_role("alert").get_by_text("no tenant here lets you in").wait_for()
    context.close()
