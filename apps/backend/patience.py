"""Ends requests that take too long: 504 for the client, and a word to the work behind it; 408 for a body that does not come."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.backend import errors
from localmind import deadline
from localmind.settings import Settings

LLM_CALLS = 3
"""Of one chat, at most: the question rewritten, taken apart, answered."""

UNBOUNDED = re.compile(
    r"/api/v1/(?:chat/stream|jobs/[^/]+/events|maintenance/.*|doctor|sources/[^/]+/content|sources/(?:upload|text|bulk))"
)
"""Streams; what sends or takes a file, as slow as the client's line; and what looks through everything that there is."""

CHATS = frozenset({"/api/v1/chat", "/v1/chat/completions"})


def limits(settings: Settings) -> Callable[[str, str], float | None]:
    """Seconds to the answer's beginning, by method and path; None: it takes as long as it takes."""
    chat_s = settings.request_timeout_s + (LLM_CALLS * settings.llm_timeout_s if settings.has_llm else 0)

    def limit_of(method: str, path: str) -> float | None:
        if not path.startswith(("/api/", "/v1/", "/mcp")) or UNBOUNDED.fullmatch(path):
            return None
        if method == "PUT" and path.startswith("/api/v1/sources/"):
            return None
        return chat_s if path in CHATS else settings.request_timeout_s

    return limit_of


class Patience:
    """Nothing is cancelled from outside: a thread can't be, and one that was let go of would no longer be counted. It is answered in
    the route's place, what the route says later is dropped, and the route ends at its next step (localmind/deadline.py)."""

    def __init__(self, app: ASGIApp, limit_of: Callable[[str, str], float | None], stall_s: float) -> None:
        """stall_s: longest wait for the next piece of a body."""
        self.app = app
        self.limit_of = limit_of
        self.stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seconds = self.limit_of(scope["method"], scope["path"])
        patient = _Stalling(receive, self.stall_s)
        if seconds is None:
            await self.app(scope, patient, send)
            return
        answer = _Answer(scope, receive, send)
        timer = asyncio.get_running_loop().call_later(seconds, answer.give_up)
        try:
            with deadline.within(seconds):
                await self.app(scope, patient, answer.send)
        finally:
            timer.cancel()
            await answer.given_up()


class _Answer:
    """The route's, or ours, whichever begins first."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._has_begun = False
        self._task: asyncio.Task[None] | None = None

    async def send(self, message: Message) -> None:
        deadline.lift()  # what runs after the answer, such as clearing a deleted space, has its own time
        if self._task is not None:
            return
        self._has_begun = True
        await self._send(message)

    def give_up(self) -> None:
        if not self._has_begun:
            response = errors.from_error(deadline.too_late()).response(self._scope, {"Connection": "close"})
            self._task = asyncio.ensure_future(response(self._scope, self._receive, self._send))

    async def given_up(self) -> None:
        if self._task is not None:
            await self._task


class _Stalling:
    """Receives; a piece of the body that does not come ends the request. What comes after the body is waited for without an end."""

    def __init__(self, receive: Receive, stall_s: float) -> None:
        self._receive, self._stall_s = receive, stall_s
        self._is_whole = False

    async def __call__(self) -> Message:
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._stall_s):
                message = await self._receive()
        except TimeoutError as error:
            # An HTTPException is what body parsers let through.
            raise HTTPException(
                408, f"No more of the request's body came for {self._stall_s:g} seconds.", headers={"Connection": "close"}
            ) from error
        self._is_whole = not message.get("more_body", False)
        return message
