"""Whether the engines answer, asked in the background so that /health costs nothing and a slow engine can't slow it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import structlog

from localmind import __version__
from localmind.errors import LocalMindError
from localmind.operations.reports import HealthReport

PROBE_S = 5.0

TIMEOUT_S = 3.0
"""A probe that takes longer counts as failed; the next one starts when it has ended."""

FIRST_WAIT_S = 1.0
"""Longest wait for the first answers, so that a product that has just opened is not called ill."""

Probe = Callable[[], object]

log = structlog.get_logger("localmind.health")


class Health:
    """probes: one a service; it is healthy while its probe returns in time and does not raise.

    required: without these nothing works; without another service answers are poorer.
    """

    def __init__(self, probes: Mapping[str, Probe], *, required: str) -> None:
        self._required = required
        self._watches = {name: _Watch(name, probe) for name, probe in probes.items()}
        self._started = False

    def start(self) -> None:
        deadline = time.monotonic() + FIRST_WAIT_S
        for watch in self._watches.values():
            watch.start()
        for watch in self._watches.values():
            watch.answered.wait(max(0.0, deadline - time.monotonic()))
        self._started = True

    def close(self) -> None:
        for watch in self._watches.values():
            watch.stop()

    def check(self) -> HealthReport:
        """From what is known: takes no time, whatever the engines do."""
        if not self._started:
            return HealthReport("starting", __version__, {})
        services = {name: watch.is_well for name, watch in self._watches.items()}
        if not services[self._required]:
            return HealthReport("unhealthy", __version__, services)
        return HealthReport("healthy" if all(services.values()) else "degraded", __version__, services)

    def ready(self) -> bool:
        return self.check().status in ("healthy", "degraded")


class _Watch:
    """One service, asked every PROBE_S in a thread of its own: one that hangs holds up no other."""

    def __init__(self, name: str, probe: Probe) -> None:
        self._name, self._probe = name, probe
        self._stop = threading.Event()
        self._is_well = False
        self._asked_at: float | None = None
        self.answered = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._loop, name=f"health-{self._name}", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def is_well(self) -> bool:
        asked_at = self._asked_at
        return self._is_well and (asked_at is None or time.monotonic() - asked_at < TIMEOUT_S)

    def _tell(self, fault: str | None) -> None:
        """Once for each time that it falls ill, and once when it is well again; nothing at the start where it is well."""
        if fault is not None and (self._is_well or not self.answered.is_set()):
            log.warning("service_unhealthy", service=self._name, error=fault)
        elif fault is None and self.answered.is_set() and not self._is_well:
            log.info("service_healthy", service=self._name)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._asked_at = began = time.monotonic()
            fault = _fault(self._probe)
            if fault is None and time.monotonic() - began >= TIMEOUT_S:
                fault = f"It took longer than {TIMEOUT_S:.0f} s."
            self._tell(fault)
            self._is_well = fault is None
            self._asked_at = None
            self.answered.set()
            self._stop.wait(PROBE_S)


def _fault(probe: Probe) -> str | None:
    """None where it returns. Drivers' own words stay out: an address, and so a password, may be in them."""
    try:
        probe()
    except LocalMindError as error:
        return str(error)
    except Exception as error:  # whatever the engine raises, the answer is the same: it is not well
        return type(error).__name__
    return None
