"""What stands at every path that the API doesn't take: the web page, once it is there, and a word of patience before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from localmind.wiring import LocalMind

API_PATHS = ("/api/", "/v1/", "/docs", "/openapi.json", "/health", "/livez", "/readyz", "/metrics")

STARTING_CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
STARTING = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta http-equiv="refresh" content="1"><meta name="viewport" content="width=device-width">
<title>Local Mind</title>
<body style="font: 16px/1.5 system-ui, sans-serif; margin: 20vh auto; max-width: 30em; text-align: center">
<h1>Local Mind is starting</h1><p>This page shows itself as soon as it is ready.</p>
</body>
</html>
"""


class Front:
    """The router's last resort. `missing` answers 404 for the API's paths and where the page is turned off."""

    def __init__(self, missing: ASGIApp, *, enabled: bool) -> None:
        self._missing = missing
        self._enabled = enabled
        self._pages: ASGIApp | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether there is a page, or will be."""
        return self._enabled

    def show(self, pages: ASGIApp) -> None:
        self._pages = pages

    def give_up(self) -> None:
        """The pages could not be opened."""
        self._enabled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._enabled or scope["path"].startswith(API_PATHS):
            await self._missing(scope, receive, send)
            return
        scope.setdefault("state", {})["web"] = True
        if self._pages is not None:
            await self._pages(scope, receive, send)
        elif scope["type"] == "http":
            await HTMLResponse(STARTING, status_code=503, headers={"Retry-After": "1", "Content-Security-Policy": STARTING_CSP})(
                scope, receive, send
            )
        else:
            await send({"type": "websocket.close", "code": 1013})


def mount_pages(app: FastAPI, mind: LocalMind) -> None:
    """Takes seconds where NiceGUI has not been imported yet."""
    from apps.web.pages import mount

    mount(app, mind)
