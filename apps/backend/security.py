"""Keeps other web pages away from a service that trusts whoever reaches it: who may be asked for, and from where.

A page on any site can make a browser send requests to 127.0.0.1. The Host check stops names that are rebound to this
address; the Origin check stops requests that change something, and WebSockets, from pages of another origin.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.backend import errors
from localmind.settings import Settings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
PROBES = frozenset({"/health", "/livez", "/readyz", "/metrics"})
"""Asked by load balancers and Prometheus under any name; they tell nothing of the content."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class OriginGuard:
    """403 for a Host that is not ours, and for unsafe requests and WebSockets from another origin that is not in CORS_ORIGINS."""

    def __init__(self, app: ASGIApp, allowed: Allowed) -> None:
        self.app = app
        self.allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        if scope["type"] in ("http", "websocket"):
            refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.detail})
        else:
            await refusal.response(scope)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> errors.Problem | None:
        host = headers.get("host", "")
        if scope["path"] not in PROBES and not self._is_ours(hostname(host)):
            return _forbidden("wrong_host", f"This service does not answer as {host[:200]!r}; use http://localhost or set HOST.")
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if unsafe and not self._may_change(headers, host):
            return _forbidden("cross_origin", "A page of another origin may not do this; name its origin in CORS_ORIGINS to allow it.")
        return None

    def _is_ours(self, name: str) -> bool:
        return name in self.allowed.hosts or (self.allowed.any_address and _is_address(name))

    def _may_change(self, headers: Headers, host: str) -> bool:
        origin = headers.get("origin")
        if origin is None:  # not a browser, or one that says in Sec-Fetch-Site where the request is from
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        return origin in self.allowed.origins or urlsplit(origin).netloc == host


def is_same_origin(headers: Headers) -> bool:
    """Whether a browser would say that the request comes from one of our own pages, or from no page at all."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


def _forbidden(error_type: str, detail: str) -> errors.Problem:
    return errors.Problem(error_type, 403, "Forbidden", detail)


def hostname(host_header: str) -> str:
    """The name in a Host header: without port, brackets and case; "" where it has none."""
    try:
        return (urlsplit(f"//{host_header}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Allowed(NamedTuple):
    """hosts: names to answer as. any_address: any IP address too. origins: pages of other origins that may change something."""

    hosts: frozenset[str]
    any_address: bool
    origins: frozenset[str]


def allowed(settings: Settings) -> Allowed:
    """On a wildcard address any address will do: rebinding needs a name."""
    named = {settings.host.lower(), *(hostname(urlsplit(origin).netloc) for origin in settings.cors_origins)}
    wildcard = settings.host in ("0.0.0.0", "::")  # noqa: S104  compared, not bound
    if wildcard:
        named |= {socket.gethostname().lower()}
    return Allowed(frozenset(LOOPBACK_NAMES | named), wildcard, frozenset(settings.cors_origins))
