"""The cookies of logins: for our own pages alone, out of reach of scripts, over TLS where the page came by it."""

from __future__ import annotations

from fastapi import Request, Response

from apps.backend.access import COOKIE

FLOW_COOKIE = "localmind_login"
FLOW_PATH = "/api/v1/auth/oidc"
FLOW_S = 600
"""So long somebody may take to log in at a provider."""


def put_session(response: Response, request: Request, content: str, *, days: int) -> None:
    response.set_cookie(COOKIE, content, max_age=days * 86_400, httponly=True, samesite="lax", secure=_is_secure(request))


def drop_session(response: Response) -> None:
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")


def put_flow(response: Response, request: Request, content: str) -> None:
    """Of a login that a provider is asked for. Lax: the way back from the provider is a navigation from its site."""
    response.set_cookie(FLOW_COOKIE, content, max_age=FLOW_S, path=FLOW_PATH, httponly=True, samesite="lax", secure=_is_secure(request))


def drop_flow(response: Response) -> None:
    response.delete_cookie(FLOW_COOKIE, path=FLOW_PATH, httponly=True, samesite="lax")


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"
