"""The composed product while it starts, runs and stops, so that the port can answer from the first moment on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog

from localmind.errors import LocalMindError, Unavailable
from localmind.ids import random_id
from localmind.settings import Settings

if TYPE_CHECKING:
    from localmind.wiring import LocalMind

log = structlog.get_logger("localmind.service")

CLOSE_WAIT_S = 10
"""Longest wait for an opening that is under way when the service stops: every step of it can be killed and run again."""


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


class Service:
    """Opens the product in a thread of its own, since its imports alone take seconds. Thread-safe.

    instance: a random id, by which the command line tells this process from another one that took its port.
    on_end: called from that thread once the product is open, or with the error that kept it from opening.
    """

    def __init__(self, settings: Settings, mind: LocalMind | None = None) -> None:
        self.settings = settings
        self.instance = random_id()
        self.state = State.STARTING
        self.error: Exception | None = None
        self.on_end: Callable[[Exception | None], None] = lambda _: None
        self._mind = mind
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._open, name="open", daemon=True).start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until the opening has ended, well or not; False where it takes longer."""
        return self._ended.wait(timeout_s)

    @property
    def mind(self) -> LocalMind:
        """The open product. Raises Unavailable until it is open, or the error that it could not be opened for."""
        if self.state is State.READY and self._mind is not None:
            return self._mind
        if isinstance(self.error, LocalMindError):
            raise self.error
        if self.error is not None:
            raise Unavailable("The service could not start.", hint="Its log says why; `localmind doctor` helps.")
        raise Unavailable(f"The service is {self.state}.", hint="Ask again in a moment.")

    def close(self) -> None:
        self._ended.wait(CLOSE_WAIT_S)
        with self._lock:
            opened = self.state is State.READY
            self.state = State.STOPPED
        if opened and self._mind is not None:
            self._mind.close()

    def _open(self) -> None:
        error: Exception | None = None
        try:
            mind = self._mind or _build(self.settings)
            mind.open()
            with self._lock:
                stopped = self.state is State.STOPPED
                self._mind = mind
                self.state = State.STOPPED if stopped else State.READY
            if stopped:
                mind.close()
        except Exception as caught:
            # The thread's boundary: whatever it was, /health and every call shall tell it.
            error = self.error = caught
            self.state = State.FAILED
            if isinstance(caught, LocalMindError):
                log.warning("start_failed", error=str(caught))
            else:
                log.exception("start_failed")
        else:
            log.info("service_ready")
        self._ended.set()
        self.on_end(error)


def _build(settings: Settings) -> LocalMind:
    from localmind.wiring import build

    return build(settings)
