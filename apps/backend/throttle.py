"""Refuses who asks too often with 429, tells everybody in headers how much is left, and counts who asked."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.backend import errors
from apps.backend.access import address_of
from apps.backend.gate import GATED
from apps.backend.rates import WINDOW_S, Bucket, Rates, Verdict, too_many
from apps.backend.service import State
from localmind.accounts.model import OWNER_HERE, Principal


class Throttle:
    """Stands behind the gate, which says who asks. rates: None for no limits."""

    def __init__(self, app: ASGIApp, rates: Rates | None) -> None:
        self.app = app
        self.rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(GATED):
            await self.app(scope, receive, send)
            return
        principal = _principal(scope)
        buckets = self._buckets(scope, principal)
        counted = _counted(scope, principal, send)
        if self.rates is None or not buckets:
            await self.app(scope, receive, counted)
            return
        verdict = await self.rates.ask(buckets)
        told = headers_of(buckets, verdict)
        if not verdict.allowed:
            await refuse(verdict, told, scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await counted(message)

        await self.app(scope, receive, send_with_headers)

    def _buckets(self, scope: Scope, principal: Principal | None) -> list[Bucket]:
        if self.rates is None:
            return []
        if principal is None:
            return self.rates.buckets.of_stranger(address_of(HTTPConnection(scope)))
        return self.rates.buckets.of(principal, scope["method"], scope["path"])


async def refuse(verdict: Verdict, told: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
    error = too_many(verdict)
    response = errors.from_error(error).response(scope, {**told, **errors.headers_of(error)})
    await response(scope, receive, send)


def headers_of(buckets: Sequence[Bucket], verdict: Verdict) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers-10: every policy that holds, and how the one stands that is asked first, or refuses."""
    return {
        "RateLimit-Policy": ", ".join(f'"{bucket.policy}";q={bucket.most};w={WINDOW_S}' for bucket in buckets),
        "RateLimit": f'"{verdict.bucket.policy}";r={verdict.left};t={verdict.reset_s}',
    }


def _principal(scope: Scope) -> Principal | None:
    app: FastAPI = scope["app"]
    known: Principal | None = scope["state"].get("principal")
    return known if app.state.has_logins else OWNER_HERE


def _counted(scope: Scope, principal: Principal | None, send: Send) -> Send:
    """Counts the request for its tenant once it is answered; what nobody known asked is nobody's."""
    if principal is None:
        return send
    tenant = principal.tenant

    async def send_counted(message: Message) -> None:
        if message["type"] == "http.response.start":
            service = scope["app"].state.service
            if service.state is State.READY:
                service.mind.usage.count(tenant, requests=1)
        await send(message)

    return send_counted
