"""What every request passes through, as pure ASGI: nothing is buffered, so streams stream and little time is added."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.backend import errors
from localmind.accounts.acting import acting, current
from localmind.errors import TooLarge
from localmind.ids import random_id
from localmind.operations import metrics, tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = structlog.get_logger("localmind.http")

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",  # what shows pages says what they need
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HSTS = "max-age=31536000"
"""A year, and for this name alone: what else runs on the domain is not ours to decide."""


class RequestContext:
    """Gives a request its id, its log line, its metrics and security headers, and turns a crash into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if SANE_REQUEST_ID.fullmatch(given) else random_id()
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", HSTS)
            await send(message)

        client = scope.get("client")
        address = client[0] if client else None
        # Every log line of the request has its id, and who asks.
        with _traced(scope, headers) as span, acting(request_id=request_id, address=address, traceparent=tracing.traceparent()):
            try:
                await self.app(scope, receive, send_with_headers)
            except Exception:
                # The process's boundary: whatever was not foreseen is logged in full and told to the client as a 500.
                log.exception("request_crashed", route=route_of(scope), method=scope["method"])
                if not status:
                    await errors.UNEXPECTED.response(scope)(scope, receive, send_with_headers)
            finally:
                _record(scope, status, time.perf_counter() - began)
                if span is not None:
                    _tell(span, scope, status)


def _record(scope: Scope, status: int, seconds: float) -> None:
    """status: 0 where the client went away before an answer began."""
    route, method = route_of(scope), scope["method"] if scope["method"] in _METHODS else "OTHER"
    total, duration = _series(method, route, status)
    total.inc()
    duration.observe(seconds)
    error_type = scope["state"].get("error_type")
    wrong = {} if error_type is None else {"error_type": error_type}
    log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 2), **wrong)


@lru_cache(maxsize=4096)
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Looked up once: finding a series by its labels takes longer than to count in it."""
    return metrics.http_requests_total.labels(method, route, str(status)), metrics.http_request_duration_seconds.labels(method, route)


def _traced(scope: Scope, headers: Headers) -> AbstractContextManager[Span | None]:
    if not tracing.is_on() or scope["path"] in PROBES:
        return nullcontext()
    method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
    attributes = {"http.request.method": method, "url.scheme": scope["scheme"], "localmind.request.id": scope["state"]["request_id"]}
    return tracing.serving(method, headers.get("traceparent"), attributes)


def _tell(span: Span, scope: Scope, status: int) -> None:
    """How it ended. No path and no parameters: these hold ids, and what people look for."""
    from opentelemetry.trace import StatusCode

    method, route = scope["method"] if scope["method"] in _METHODS else "HTTP", route_of(scope)
    span.update_name(f"{method} {route}" if route != UNKNOWN else method)
    if route != UNKNOWN:
        span.set_attribute("http.route", route)
    if status:
        span.set_attribute("http.response.status_code", status)
    principal = current().principal
    if principal is not None:
        span.set_attribute("localmind.tenant.id", principal.tenant)
    if status >= 500:
        span.set_attribute("error.type", scope["state"].get("error_type") or str(status))
        span.set_status(StatusCode.ERROR)


PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})
"""Asked every few seconds by machines, which nobody follows."""

UNKNOWN = "none"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def route_of(scope: Scope) -> str:
    """The route's template, such as /api/v1/sources/{source_id}; "web" for the page, "none" for what no route takes."""
    if scope.get("state", {}).get("web"):
        return "web"
    return str(getattr(scope.get("route"), "path", UNKNOWN))


class BodyLimit:
    """Refuses bodies over `limit_of(method, path)` bytes with 413: at once where Content-Length says so, else while they come."""

    def __init__(self, app: ASGIApp, limit_of: Callable[[str, str], int]) -> None:
        self.app = app
        self.limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit_of(scope["method"], scope["path"])
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            response = errors.from_error(too_large(limit)).response(scope, {"Connection": "close"})
            await response(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                # An HTTPException is what body parsers let through; any other error they turn into "400, can't parse".
                raise BodyTooLarge(limit)
            return message

        await self.app(scope, receive_counted, send)


class BodyTooLarge(HTTPException):
    """The body went over its limit while it was read."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, str(too_large(limit)), headers={"Connection": "close"})
        self.limit = limit


def too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request is larger than the {limit / 1_000_000:.0f} MB that are accepted.",
        hint="Send files one by one, or raise MAX_UPLOAD_MB.",
        limit_bytes=limit,
    )
