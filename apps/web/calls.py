"""From a page's event loop to the library's blocking verbs, and from their errors to what a person sees."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import ParamSpec, TypeVar

import structlog
from nicegui import run, ui

from localmind.errors import LocalMindError, Unauthenticated

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger("localmind.web")


async def call(verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a blocking verb in a thread."""
    # io_bound gives None when the service stops; in a tuple, a verb's own None can be told from that.
    outcome = await run.io_bound(lambda: (verb(*args, **kwargs),))
    if outcome is None:
        raise asyncio.CancelledError
    return outcome[0]


async def iterate(start: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
    """The items of a blocking iterator. Closing this early closes the iterator after its next item.

    Each has a thread of its own: an answer may take minutes, and the pool behind `call` has few threads.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[T] | Exception | None] = asyncio.Queue()
    is_wanted = threading.Event()
    is_wanted.set()

    def put(item: tuple[T] | Exception | None) -> None:
        # The loop closes under a thread when the service stops in the middle of an answer.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def pump() -> None:
        try:
            items = start()
            for item in items:
                if not is_wanted.is_set():
                    break
                put((item,))
            if isinstance(items, Generator):
                items.close()
        except Exception as error:  # not swallowed: raised again where the items are awaited
            put(error)
        finally:
            put(None)

    threading.Thread(target=pump, name="page-stream", daemon=True).start()
    try:
        while (got := await queue.get()) is not None:
            if isinstance(got, Exception):
                raise got
            yield got[0]
    finally:
        is_wanted.clear()


@contextmanager
def problems_shown() -> Iterator[None]:
    """An error inside becomes a notification: what happened and the way out."""
    try:
        yield
    except Unauthenticated:
        ui.navigate.reload()  # which leads to the login
    except LocalMindError as error:
        notify_problem(error.message, error.hint)
    except Exception:
        # The boundary to the person: a verb failed in a way nobody foresaw. The log has it in full.
        log.exception("page_action_failed")
        notify_problem(*UNFORESEEN)


UNFORESEEN = ("Something went wrong.", "Try again; the service's log says what happened.")


def notify_problem(message: str, hint: str = "") -> None:
    ui.notify(message, caption=hint, type="negative", position="bottom-right", timeout=8000, multi_line=True, close_button="Close")


def notify_done(message: str) -> None:
    ui.notify(message, position="bottom-right", timeout=3000)
