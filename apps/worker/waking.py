"""Tells workers that there is work. At most a few words a second, and never a word that a request would have to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from localmind.settings import Settings

PAUSE_S = 0.2
"""Between two words: what is accepted meanwhile shares the next one."""

SULK_S = 5.0
"""After one that could not be sent: workers look by themselves every second."""

MOST_WAITING = 100
"""Words that lie in Redis already: without workers more of them would only fill it."""

log = structlog.get_logger(__name__)


class Waker:
    """Called after each commit; a thread of its own sends. Safe from any thread. send: raises where the word could not be sent."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def __call__(self) -> None:
        self._asked.set()
        if self._thread is None:
            self._start()

    def close(self) -> None:
        self._stopping.set()
        self._asked.set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="wake-workers", daemon=True)
                self._thread.start()

    def _loop(self) -> None:
        while True:
            self._asked.wait()
            if self._stopping.is_set():
                return
            self._asked.clear()
            self._stopping.wait(PAUSE_S if self._sent() else SULK_S)

    def _sent(self) -> bool:
        try:
            self._send()
        except Exception as error:  # whatever Redis or its client does, the work is in the catalog and will be found
            log.warning("wake_failed", error_type=type(error).__name__)
            return False
        return True


def waker(settings: Settings) -> Waker:
    """Over Redis. Celery is imported by the thread, at the first word."""
    sender: list[Callable[[], None]] = []

    def send() -> None:
        if not sender:
            sender.append(_sender(settings))
        sender[0]()

    return Waker(send)


def _sender(settings: Settings) -> Callable[[], None]:
    from apps.worker.broker import WAKE, WAKE_EXPIRES_S, make_app

    app = make_app(settings)

    def send() -> None:
        with app.producer_or_acquire() as producer:
            if producer.channel.queue_declare("ingestion").message_count < MOST_WAITING:
                app.send_task(WAKE, queue="ingestion", expires=WAKE_EXPIRES_S, ignore_result=True, retry=False, producer=producer)

    return send
