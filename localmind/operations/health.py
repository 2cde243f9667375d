"""Whether the engines answer, asked in the background so that /health costs nothing and a slow engine can't slow it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from localmind import __version__
from localmind.operations.reports import HealthReport

PROBE_S = 5.0

REQUIRED = frozenset({"catalog"})
"""Without these nothing works; without another service answers are poorer."""

Probe = Callable[[], object]


class Health:
    """probes: one a service; it is healthy while its probe does not raise."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self._services: dict[str, bool] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self.probe()
        self._thread = threading.Thread(target=self._loop, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()

    def probe(self) -> None:
        """Ask every service now."""
        self._services = {name: _answers(probe) for name, probe in self._probes.items()}

    def check(self) -> HealthReport:
        services = self._services
        if not services:
            return HealthReport("starting", __version__, {})
        if not all(services.get(name, False) for name in REQUIRED):
            return HealthReport("unhealthy", __version__, services)
        return HealthReport("healthy" if all(services.values()) else "degraded", __version__, services)

    def ready(self) -> bool:
        return self.check().status in ("healthy", "degraded")

    def _loop(self) -> None:
        while not self._stop.wait(PROBE_S):
            self.probe()


def _answers(probe: Probe) -> bool:
    try:
        probe()
    except Exception:  # whatever the engine raises, the answer is the same: it is not well
        return False
    return True
