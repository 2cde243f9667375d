"""Logging in by a provider: OpenID Connect for browsers, and ID tokens of a Google button."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from apps.backend import cookies
from apps.backend.access import OPEN
from apps.backend.dependencies import Mind
from apps.backend.routers.auth import tokens_of
from apps.backend.schemas.accounts import GoogleIn, TokensOut
from apps.backend.schemas.common import Id, problems
from localmind.accounts.oidc import Returned
from localmind.errors import LocalMindError, Unauthenticated

router = APIRouter(prefix="/api/v1/auth", tags=["accounts"], dependencies=[OPEN])

REASONS = problems(
    _400="Several tenants: name one.",
    _401="What the provider says does not hold.",
    _403="No tenant lets you in by the provider.",
    _409="No provider is configured.",
)
Given = Annotated[str, Query(max_length=4096)]


@router.get("/oidc/login", status_code=303, response_class=RedirectResponse, responses=REASONS)
def log_in_by_provider(mind: Mind, request: Request, tenant: Annotated[Id | None, Query()] = None) -> Response:
    """For a browser: on to the login provider, which sends it back."""
    started = mind.accounts.single_sign_on.start(_way_back(request))
    response = RedirectResponse(started.url, status_code=303, headers={"Cache-Control": "no-store"})
    cookies.put_flow(response, request, f"{started.flow}.{tenant or ''}")
    return response


@router.get("/oidc/callback", name="oidc_callback", status_code=303, response_class=RedirectResponse, responses=REASONS)
def come_back_from_provider(
    mind: Mind,
    request: Request,
    state: Given = "",
    code: Given = "",
    iss: Annotated[str | None, Query(max_length=300)] = None,
    error: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Where the provider sends the browser: with a code that is exchanged for who it is. The login is a cookie, as at /auth/cookie."""
    flow, _, tenant = request.cookies.get(cookies.FLOW_COOKIE, "").partition(".")
    try:
        if error is not None:
            raise Unauthenticated("The login provider did not log you in.", hint="Try again, or ask whoever runs the provider.")
        cookie = mind.accounts.single_sign_on.finish(
            flow, Returned(state, code, iss), redirect_uri=_way_back(request), tenant=tenant or None
        )
    except LocalMindError as problem:
        if not (request.app.state.front.is_enabled and "text/html" in request.headers.get("accept", "")):
            raise
        refused = RedirectResponse(f"/login?problem={problem.error_type}", status_code=303)
        cookies.drop_flow(refused)
        return refused
    response = RedirectResponse("/", status_code=303, headers={"Cache-Control": "no-store"})
    cookies.put_session(response, request, cookie, days=mind.settings.refresh_token_days)
    cookies.drop_flow(response)
    return response


@router.post("/google", responses=REASONS)
def log_in_by_google(mind: Mind, body: GoogleIn) -> TokensOut:
    """Tokens for the ID token that a Google button gave."""
    return tokens_of(mind.accounts.single_sign_on.log_in_google(body.id_token, tenant=body.tenant))


def _way_back(request: Request) -> str:
    """The address that has to be registered with the provider. The Host is one of ours: others are refused before."""
    return str(request.url_for("oidc_callback"))
