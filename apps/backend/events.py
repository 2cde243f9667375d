"""Server-sent events out of blocking iterators, which run in a thread of their own and never block the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import structlog
from fastapi import Request
from pydantic import BaseModel
from sse_starlette import EventSourceResponse, ServerSentEvent

from apps.backend import errors
from localmind.errors import LocalMindError, Unavailable

log = structlog.get_logger("localmind.http")

HEARTBEAT_S = 15
"""A comment is sent when there was nothing else for so long, so that proxies and clients keep the connection."""

MAX_STREAMS = 200
"""Each takes a thread."""

FIRST_EVENT_S = 2.0
"""How long an answer waits for its first event, so that an error before it gets a status of its own."""

STREAM: dict[int | str, dict[str, Any]] = {200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}}
"""OpenAPI `responses` of a stream."""

Events = Iterator[ServerSentEvent | None]
"""None: nothing to tell, but a place to stop where nobody listens any more."""

_slots = threading.BoundedSemaphore(MAX_STREAMS)


def event(name: str, data: BaseModel) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=data.model_dump_json(), sep="\n")


async def respond(request: Request, events: Callable[[], Events]) -> EventSourceResponse:
    """Streams the events. An error before the first one is raised; a later one becomes the last event, `error` with its problem.

    Raises Unavailable where too many streams are open.
    """
    bridge = _Bridge(events)
    await bridge.begin(FIRST_EVENT_S)
    return EventSourceResponse(bridge.stream(errors.request_id(request.scope)), ping=HEARTBEAT_S, sep="\n")


def _failure(error: Exception, request_id: str) -> ServerSentEvent:
    if isinstance(error, LocalMindError):
        problem = errors.from_error(error)
    else:
        log.error("stream_crashed", exc_info=error)
        problem = errors.UNEXPECTED
    return ServerSentEvent(event="error", data=json.dumps(problem.body(request_id)), sep="\n")


class _End:
    """Stands in the queue where the iterator has ended."""


class _Bridge:
    """Carries a blocking iterator's items to the event loop. The iterator is closed in its thread once nobody listens."""

    def __init__(self, events: Callable[[], Events]) -> None:
        if not _slots.acquire(blocking=False):
            raise Unavailable(f"{MAX_STREAMS} streams are open already.", hint="Close some, or ask again in a moment.")
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[ServerSentEvent | Exception | _End] = asyncio.Queue()
        self._head: ServerSentEvent | Exception | _End | None = None
        self._stopped = threading.Event()
        context = contextvars.copy_context()  # the request's id stands in the thread's log lines too
        threading.Thread(target=context.run, args=(self._produce,), name="events", daemon=True).start()

    async def begin(self, wait_s: float) -> None:
        """Waits for the first event, but not for longer. Raises what came instead of it."""
        try:
            self._head = await asyncio.wait_for(self._queue.get(), wait_s)
        except TimeoutError:
            return
        except BaseException:
            self._stopped.set()
            raise
        if isinstance(self._head, Exception):
            raise self._head

    async def stream(self, request_id: str) -> AsyncIterator[ServerSentEvent]:
        try:
            item = self._head or await self._queue.get()
            while isinstance(item, ServerSentEvent):
                yield item
                item = await self._queue.get()
            if isinstance(item, Exception):
                yield _failure(item, request_id)
        finally:
            self._stopped.set()

    def _produce(self) -> None:
        events = self._events()
        try:
            for item in events:
                if self._stopped.is_set():
                    break
                if item is not None:
                    self._put(item)
            self._put(_End())
        except Exception as error:
            self._put(error)
        finally:
            close = getattr(events, "close", None)
            if close is not None:
                close()
            _slots.release()

    def _put(self, item: ServerSentEvent | Exception | _End) -> None:
        try:
            # Not bounded: an answer is at most some hundred kB, and a blocked producer would hold its thread.
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
        except RuntimeError:  # the loop was closed: nobody listens
            self._stopped.set()
