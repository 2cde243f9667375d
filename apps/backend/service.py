"""The composed product while it starts, runs and stops, so that the port can answer from the first moment on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog

from apps.backend import processes
from localmind.errors import DataDirInUse, LocalMindError, Unavailable
from localmind.ids import random_id
from localmind.settings import Settings

if TYPE_CHECKING:
    from apps.worker.waking import Waker
    from localmind.wiring import LocalMind

log = structlog.get_logger("localmind.service")

CLOSE_WAIT_S = 10
"""Longest wait for an opening that is under way when the service stops: every step of it can be killed and run again."""

RETRY_S, MOST_RETRY_S = 1.0, 15.0
"""Between two tries to open where a server that has to be there is not, yet."""


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


class Service:
    """Opens the product in a thread of its own, since its imports alone take seconds. Thread-safe.

    patient: goes on trying while a server can't be reached, since servers are often started together; else that is an error.
    instance: a random id, by which the command line tells this process from another one that took its port.
    on_end: called from that thread once the product is open, or with the error that kept it from opening.
    """

    def __init__(self, settings: Settings, mind: LocalMind | None = None, *, patient: bool = True) -> None:
        self.settings = settings
        self._patient = patient
        self.instance = random_id()
        self.state = State.STARTING
        self.error: Exception | None = None
        self.on_end: Callable[[Exception | None], None] = lambda _: None
        self._mind = mind
        self._waker: Waker | None = None
        self._stopping = threading.Event()
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

    @property
    def missing(self) -> list[str]:
        """The server that keeps it from opening."""
        service = self.error.data.get("service") if isinstance(self.error, LocalMindError) else None
        return [] if service is None else [str(service)]

    def close(self) -> None:
        self._stopping.set()
        self._ended.wait(CLOSE_WAIT_S)
        with self._lock:
            opened = self.state is State.READY
            self.state = State.STOPPED
        if opened and self._mind is not None:
            self._mind.close()
        if self._waker is not None:
            self._waker.close()

    def _open(self) -> None:
        error: Exception | None = None
        try:
            mind = self._opened()
            with self._lock:
                stopped = self.state is State.STOPPED
                self._mind = mind
                self.state = State.STOPPED if stopped else State.READY
                self.error = None
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

    def _opened(self) -> LocalMind:
        """Raises what a further try would not change, and Unavailable where it is not patient or has to stop."""
        delay_s = RETRY_S
        while True:
            mind = self._mind or self._build()
            try:
                with _explained():
                    mind.open()
            except Unavailable as error:
                if not self._patient or self._stopping.is_set():
                    raise
                self.error = error
                log.warning("start_postponed", error=str(error), delay_s=delay_s)
                self._stopping.wait(delay_s)
                delay_s = min(delay_s * 2, MOST_RETRY_S)
            else:
                return mind

    def _build(self) -> LocalMind:
        from localmind.wiring import Role, build, role_of

        if role_of(self.settings) is not Role.DOOR:
            return build(self.settings)
        if self._waker is None:
            from apps.worker.waking import waker

            self._waker = waker(self.settings)
        return build(self.settings, wake=self._waker)


@contextmanager
def _explained() -> Iterator[None]:
    """The likely reason why the data directory is in use, where this process has siblings."""
    try:
        yield
    except DataDirInUse as error:
        if not processes.is_one_of_several():
            raise
        raise DataDirInUse(
            f"{error.message} Several processes can't share the embedded engines.",
            hint="Start with one worker (without --workers), or set REDIS_URL, DATABASE_URL, MILVUS_URI and NEO4J_URI.",
        ) from error
