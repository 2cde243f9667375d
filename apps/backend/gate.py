"""Nobody unknown gets as far as a route, nor has a body read, but where a route is declared OPEN. The routes' own roles come after.

The same for the web page: its pictures, its scripts and its WebSocket.
"""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.backend import access, errors
from apps.backend.rates import Rates, too_many
from localmind.errors import LocalMindError, Unauthenticated

GATED = ("/api/", "/v1/", "/mcp")
LOGIN_PAGE = "/login"
OPEN_PAGES = frozenset({LOGIN_PAGE, "/join"})
"""For strangers: to log in, and to accept an invitation."""
LOOKS = "/web/"
"""Style sheet and icons, which the login page needs and which say nothing."""


class Gate:
    """401 for what comes without credentials that hold, where logins are needed; 429 for who tries that too often."""

    def __init__(self, app: ASGIApp, rates: Rates | None = None) -> None:
        self.app = app
        self._rates = rates
        self._open: frozenset[str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not self._is_gated(scope):
            await self.app(scope, receive, send)
            return
        try:
            scope["state"]["principal"] = await access.recognise(HTTPConnection(scope))
        except LocalMindError as error:
            await _turn_away(await self._or_too_many(scope, error), scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _or_too_many(self, scope: Scope, error: LocalMindError) -> LocalMindError:
        """Strangers count by their address, so that nobody looks for keys here."""
        buckets = self._rates.buckets.of_stranger(access.address_of(HTTPConnection(scope))) if self._rates is not None else []
        if not buckets or not isinstance(error, Unauthenticated):
            return error
        assert self._rates is not None
        verdict = await self._rates.ask(buckets)
        return error if verdict.allowed else too_many(verdict)

    def _is_gated(self, scope: Scope) -> bool:
        app: FastAPI = scope["app"]
        if not app.state.has_logins or not scope["path"].startswith(GATED):
            return False
        if self._open is None:
            self._open = frozenset(route.path for route in access.declared(app) if route.needs == access.NOTHING)
        scope.setdefault("state", {})
        return scope["path"] not in self._open


class PageGate:
    """Stands before the web page. A person who has to log in first is led there, and back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        try:
            if scope["path"] not in OPEN_PAGES and not scope["path"].startswith(LOOKS):
                scope.setdefault("state", {})["principal"] = await access.recognise_visitor(connection)
        except Unauthenticated as error:
            if scope["type"] == "websocket" or not _may_log_in(connection):
                await _turn_away(error, scope, receive, send)
            else:
                await RedirectResponse(_login_page(connection), status_code=303, headers={"Cache-Control": "no-store"})(
                    scope, receive, send
                )
        except LocalMindError as error:
            await _turn_away(error, scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _may_log_in(connection: HTTPConnection) -> bool:
    """A person is asking, where there is a login."""
    return bool(connection.app.state.has_logins) and "text/html" in connection.headers.get("accept", "")


def _login_page(connection: HTTPConnection) -> str:
    if connection.scope["method"] != "GET":
        return LOGIN_PAGE
    back = connection.url.path + (f"?{connection.url.query}" if connection.url.query else "")
    return LOGIN_PAGE if back == "/" else f"{LOGIN_PAGE}?{urlencode({'back': back})}"


async def _turn_away(error: LocalMindError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": error.message[:120]})
    else:
        problem = errors.from_error(error)
        await problem.response(scope, errors.headers_of(error))(scope, receive, send)
