"""The product inside a worker process: opened beside Celery's loop, opened again until the servers are there, closed in order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from localmind.embedding.onnx import available_cores
from localmind.errors import LocalMindError, Unavailable
from localmind.settings import Settings

if TYPE_CHECKING:
    from localmind.wiring import LocalMind, Role

RETRY_S, MOST_RETRY_S = 1.0, 30.0
TASK_WAIT_S = 120.0
"""Longest wait of a task for a product that is still being opened."""

log = structlog.get_logger("localmind.worker")


class Product:
    """One process's. role: WORKER works documents off from the moment it is open; DOOR only runs the tasks it is sent."""

    def __init__(self, settings: Settings, role: Role) -> None:
        self._settings, self._role = settings, role
        self._mind: LocalMind | None = None
        self._opened = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._open, name="open", daemon=True)

    def start(self) -> None:
        """Returns at once: Celery kills a process that takes long to report itself."""
        self._thread.start()

    @property
    def mind(self) -> LocalMind:
        """Waits for it. Raises Unavailable."""
        if self._opened.wait(TASK_WAIT_S) and self._mind is not None:
            return self._mind
        raise Unavailable("The worker could not open the stores yet.", hint="Its log says which.")

    def wake(self) -> None:
        if self._mind is not None:
            self._mind.pipeline.wake()

    def close(self) -> None:
        """Gives back what it was working on."""
        self._stopping.set()
        self._thread.join()
        if self._mind is not None:
            self._mind.close()
            log.info("worker_closed")

    def _open(self) -> None:
        from localmind.wiring import build

        delay_s = RETRY_S
        while not self._stopping.is_set():
            try:
                mind = build(self._settings, role=self._role)
                mind.open()
            except LocalMindError as error:
                log.warning("worker_not_open", error_type=error.error_type, error=str(error))
            except Exception:  # the thread's boundary: the process goes on trying, and the log says why it has to
                log.exception("worker_not_open")
            else:
                self._mind = mind
                self._opened.set()
                _tell_open()
                log.info("worker_open", role=self._role.value)
                return
            self._stopping.wait(delay_s)
            delay_s = min(delay_s * 2, MOST_RETRY_S)


def _tell_open() -> None:
    """In /metrics of the worker, which its health check reads: a main process that runs is no sign that work is done."""
    from prometheus_client import Gauge

    told = "Processes of the worker that have the stores open."
    Gauge("worker_processes_open", told, multiprocess_mode="livesum", registry=None).set(1)


def share_of_cores(processes: int) -> int:
    """Cores that each of so many processes may compute on: two shares, since a process that has work is often the only one that has."""
    available = available_cores()
    return min(available, max(1, 2 * available // max(1, processes)))
