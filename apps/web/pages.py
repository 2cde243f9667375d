"""The web pages: mounted once onto the service's FastAPI app, over the same verbs as the API."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI, Request, Response
from jinja2 import BaseLoader, FunctionLoader
from nicegui import app as web
from nicegui import ui
from nicegui.client import Client, templates
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.web import elements, login, page_images
from apps.web.home import Home
from apps.web.source import SourcePage
from apps.web.visit import Visit, open_visit
from localmind.accounts.mode import needs_login
from localmind.errors import NotFound, Unavailable
from localmind.readers.render import PageImages

if TYPE_CHECKING:
    from localmind.wiring import LocalMind

STATIC = Path(__file__).parent / "static"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        # NiceGUI's page starts from inline scripts, which carry the answer's nonce; Vue compiles templates in the browser.
        "script-src 'self' 'nonce-{nonce}' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Nothing that a document or an answer smuggles into a page can load or send anything elsewhere."""


def mount(app: FastAPI, mind: LocalMind) -> None:
    """Serves the pages at /. Call it after all other routes, which it would hide, before the app starts, and once a process."""
    images = PageImages()
    page_images.add_route(app, mind, images)
    web.add_static_files("/web", STATIC, max_cache_age=31_536_000)
    web.add_middleware(PageHeaders)
    templates.env.loader = _with_nonces(templates.env.loader)
    web.on_exception(_log_exception)
    Client.shared_head_html += _head()

    if needs_login(mind.settings):
        login.add_routes(web, mind, digest=_digest())

    @ui.page("/", title="Local Mind")
    async def home(request: Request, c: str = "", space: str = "") -> None:
        if (visit := await _visit(mind, request, space)) is not None:
            Home(visit).build(conversation_id=c)

    @ui.page("/sources/{source_id}", title="Local Mind")
    async def source(request: Request, source_id: str, page: str = "", start: str = "", end: str = "", space: str = "") -> None:
        if (visit := await _visit(mind, request, space)) is not None:
            await SourcePage(visit, images).build(source_id, page=_number(page), start=_number(start), end=_number(end))

    @web.exception_handler(404)
    async def missing(request: Request, _: Exception) -> Response:
        with Client(ui.page("", title="Not found · Local Mind"), request=request) as client:
            elements.notice("There is no such page", "The address may be mistyped, or what it showed was deleted.", back=True)
        return client.build_response(request, 404)

    ui.run_with(
        app,
        title="Local Mind",
        favicon=(STATIC / "icon.svg").read_text(),
        dark=None,
        language="en-US",
        tailwind=False,
        # A laptop that slept comes back to the page that it left.
        reconnect_timeout=30,
        show_welcome_message=False,
        gzip_middleware_factory=None,
    )


async def _visit(mind: LocalMind, request: Request, space: str) -> Visit | None:
    """None: the page says why it shows nothing."""
    try:
        return await open_visit(mind, request, space)
    except NotFound:
        ui.status_code(404)
        elements.notice("This space is not here", "It was deleted, or it is closed to you.", back=True)
    except Unavailable as error:
        ui.status_code(503)
        elements.notice(error.message, error.hint)
    return None


def _digest() -> str:
    """Of what the pages look like; it stands in addresses, so that an upgrade is seen at once."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(STATIC.iterdir()))).hexdigest()[:12]


def _head() -> str:
    digest = _digest()
    return (
        '<meta name="color-scheme" content="light dark">\n'
        f'<link rel="stylesheet" href="/web/style.css?{digest}">\n'
        f'<script defer src="/web/page.js?{digest}"></script>\n'
    )


def _number(value: str) -> int | None:
    """A number from an address that anybody may have typed."""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 12 else None


def _log_exception(error: Exception) -> None:
    structlog.get_logger("localmind.web").error("page_failed", exc_info=error)


def _with_nonces(loader: BaseLoader | None) -> FunctionLoader:
    """NiceGUI's templates with the answer's nonce in their own script tags; what is filled into them gets none."""
    assert loader is not None

    def load(name: str) -> str:
        source, _, _ = loader.get_source(templates.env, name)
        return source.replace("<script", '<script nonce="{{ request.state.nonce }}"')

    return FunctionLoader(load)


class PageHeaders:
    """Adds the content security policy, with a nonce of its own, to what the pages' app answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.format(nonce=nonce)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)
