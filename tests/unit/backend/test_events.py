"""Blocking iterators as server-sent events: at once, without blocking the loop, and stopped when nobody listens."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from fastapi import Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from apps.backend import events
from apps.backend.events import Events, respond
from localmind.errors import LLMUnavailable, NotFound, Unavailable

pytestmark = pytest.mark.anyio
WAIT_S = 10


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def request() -> Request:
    return Request({"type": "http", "state": {"request_id": "r1"}})


def told(text: str) -> ServerSentEvent:
    return ServerSentEvent(event="token", data=text, sep="\n")


async def collect(response: EventSourceResponse) -> list[tuple[str | None, object]]:
    return [(event.event, event.data) async for event in response.body_iterator]  # type: ignore[union-attr]


async def test_events_come_in_order_and_end() -> None:
    def count() -> Events:
        yield from (told(str(n)) for n in range(100))

    assert await collect(await respond(request(), count)) == [("token", str(n)) for n in range(100)]


async def test_an_error_before_the_first_event_is_raised() -> None:
    def fail() -> Events:
        raise NotFound("There is no conversation.")
        yield

    with pytest.raises(NotFound):
        await respond(request(), fail)


async def test_an_error_after_it_is_the_last_event() -> None:
    def fail_late() -> Events:
        yield told("one")
        raise LLMUnavailable("The model is away.")

    got = await collect(await respond(request(), fail_late))
    assert got[0] == ("token", "one")
    assert got[1][0] == "error"
    assert '"error_type": "llm_unavailable"' in str(got[1][1]) and '"request_id": "r1"' in str(got[1][1])


async def test_an_unforeseen_error_tells_nothing_of_the_inside() -> None:
    def crash() -> Events:
        yield told("one")
        raise RuntimeError("secret")

    got = await collect(await respond(request(), crash))
    assert got[1][0] == "error" and "secret" not in str(got[1][1])


async def test_a_slow_first_event_does_not_hold_up_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FIRST_EVENT_S", 0.05)
    go_on = threading.Event()

    def slow() -> Events:
        assert go_on.wait(WAIT_S)
        yield told("late")

    response = await respond(request(), slow)
    go_on.set()
    assert await collect(response) == [("token", "late")]


async def test_the_loop_runs_on_while_the_iterator_blocks() -> None:
    go_on = threading.Event()

    def slow() -> Events:
        yield told("one")
        assert go_on.wait(WAIT_S)
        yield told("two")

    reading = asyncio.create_task(collect(await respond(request(), slow)))
    began = time.perf_counter()
    await asyncio.sleep(0)
    assert time.perf_counter() - began < 1
    go_on.set()
    assert len(await reading) == 2


async def test_the_iterator_is_closed_once_nobody_listens() -> None:
    closed = threading.Event()

    def endless() -> Events:
        try:
            yield told("one")
            while True:
                time.sleep(0.005)  # stands for waiting on a store
                yield None
        finally:
            closed.set()

    response = await respond(request(), endless)
    iterator = response.body_iterator
    await anext(iterator)  # type: ignore[arg-type]
    await iterator.aclose()  # type: ignore[union-attr]
    assert await asyncio.to_thread(closed.wait, WAIT_S)


async def test_streams_are_counted_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_slots", threading.BoundedSemaphore(1))
    go_on = threading.Event()

    def held() -> Events:
        yield told("one")
        go_on.wait(WAIT_S)

    first = await respond(request(), held)
    with pytest.raises(Unavailable, match="open already"):
        await respond(request(), held)
    go_on.set()
    await collect(first)
    await eventually(lambda: events._slots.acquire(blocking=False))


async def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
