"""While the service is under maintenance, whatever would change something is answered with 503 before its body is read."""

from __future__ import annotations

import re

from anyio import to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.backend import errors
from apps.backend.gate import GATED
from apps.backend.service import State
from localmind.errors import LocalMindError

READS = frozenset({"GET", "HEAD", "OPTIONS"})

STAYS_OPEN = re.compile(r"/api/v1/(search|auth/.*|users/[^/]+/export)")
"""What is posted and changes no documents, conversations or people. Logins stay open: else nobody could read for long."""


class StopWrites:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READS or not _changes(scope["path"]):
            await self.app(scope, receive, send)
            return
        service = scope["app"].state.service
        if service.state is State.READY:
            mode = service.mind.maintenance_mode
            try:
                if mode.is_fresh:
                    mode.require_off()
                else:
                    await to_thread.run_sync(mode.require_off)
            except LocalMindError as error:
                await errors.from_error(error).response(scope, errors.headers_of(error))(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _changes(path: str) -> bool:
    return path.startswith(GATED) and STAYS_OPEN.fullmatch(path) is None
