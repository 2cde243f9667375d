"""Logging in and out of the page, and joining by an invitation: plain forms, since only an answer can give a cookie hidden from scripts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment

from apps.backend import cookies, errors
from apps.backend.access import address_of
from localmind.accounts.authentication import Credentials
from localmind.errors import InvalidInput, LocalMindError
from localmind.ids import is_id

if TYPE_CHECKING:
    from localmind.privacy.consent import Consents
    from localmind.wiring import LocalMind

TEMPLATE = Path(__file__).with_name("login.html")
OURS = re.compile(r"/(?![/\\])[\x21-\x7e]{0,2000}")
"""Where a login may lead: a path, and never another site's address, which // and /\\ begin for a browser."""

MOST_TOKEN_CHARS = 200
Email = Annotated[str, Form(max_length=320)]
Password = Annotated[str, Form(max_length=1024)]
Name = Annotated[str, Form(max_length=200)]
Token = Annotated[str, Form(max_length=MOST_TOKEN_CHARS)]
Back = Annotated[str, Form(max_length=2001)]
Short = Annotated[str, Form(max_length=64)]

PROBLEMS = {
    "unauthenticated": ("The login by your organisation did not work.", "Try again."),
    "forbidden": ("Your organisation knows you, but no tenant here lets you in by that.", "Ask an administrator for an invitation."),
    "invalid_input": ("You belong to several tenants.", "Log in with your password, and choose one."),
    "unavailable": ("Your organisation's login does not answer.", "Try again in a moment."),
}
"""By error_type, which the way back from a provider gives. Text from an address is never shown."""


def add_routes(app: FastAPI, mind: LocalMind, *, digest: str) -> None:
    page = Environment(autoescape=True).from_string(TEMPLATE.read_text())
    consents = mind.privacy.consents

    def shown(status: int = 200, **facts: Any) -> Response:
        has_oidc = mind.accounts.single_sign_on.has_oidc
        text = page.render(digest=digest, has_oidc=has_oidc, consent=consents, **facts)
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})

    def let_in(request: Request, cookie: str, consent: str, back: str) -> Response:
        if consent:
            consents.accept(mind.accounts.authentication.authenticate(Credentials(cookie=cookie)), consent)
        response = RedirectResponse(back, status_code=303)
        cookies.put_session(response, request, cookie, days=mind.settings.refresh_token_days)
        return response

    @app.get("/login", include_in_schema=False)
    def show_login(back: str = "/", problem: str = "", tenant: str = "") -> Response:
        message, hint = PROBLEMS.get(problem, PROBLEMS["unauthenticated"]) if problem else ("", "")
        return shown(back=_ours(back), problem=message, hint=hint, tenant=tenant if is_id(tenant) else "")

    @app.post("/login", include_in_schema=False)
    def log_in(
        request: Request, email: Email = "", password: Password = "", tenant: Short = "", back: Back = "/", consent: Short = ""
    ) -> Response:
        """Forms of other sites are refused before, by their origin."""
        try:
            _check(consents, consent)
            cookie = mind.accounts.logins.log_in_page(email, password, address=address_of(request), tenant=tenant or None)
        except LocalMindError as error:
            tenants = list(zip(error.data.get("tenants", ()), error.data.get("names", ()), strict=True))
            status = errors.from_error(error).status
            message, hint = ("You belong to several tenants.", "Choose one.") if tenants else (error.message, error.hint)
            return shown(status, back=_ours(back), problem=message, hint=hint, email=email, tenants=tenants)
        return let_in(request, cookie, consent, _ours(back))

    @app.get("/join", include_in_schema=False)
    def show_invitation(token: str = "") -> Response:
        return shown(invitation=token[:MOST_TOKEN_CHARS] or "none")

    @app.post("/join", include_in_schema=False)
    def accept_invitation(request: Request, token: Token = "", password: Password = "", name: Name = "", consent: Short = "") -> Response:
        try:
            _check(consents, consent)
            accepted = mind.accounts.members.accept(token, password, name=name.strip(), address=address_of(request))
            cookie = mind.accounts.logins.enter_page(accepted.account, accepted.tenant)
        except LocalMindError as error:
            return shown(errors.from_error(error).status, invitation=token, problem=error.message, hint=error.hint, name=name)
        return let_in(request, cookie, consent, "/")

    @app.post("/logout", include_in_schema=False)
    def log_out(request: Request) -> Response:
        mind.accounts.logins.log_out(request.state.principal)
        return _logged_out()

    @app.post("/logout/everywhere", include_in_schema=False)
    def log_out_everywhere(request: Request) -> Response:
        mind.accounts.logins.log_out_everywhere(request.state.principal)
        return _logged_out()


def _check(consents: Consents, given: str) -> None:
    """First: a login must not count where its consent does not. Raises InvalidInput where the text changed while it was read."""
    if given != (consents.version or ""):
        raise InvalidInput("The text below is another one now.", hint="Read it, and send the form again.")


def _logged_out() -> Response:
    response = RedirectResponse("/login", status_code=303)
    cookies.drop_session(response)
    return response


def _ours(back: str) -> str:
    return back if OURS.fullmatch(back) else "/"
