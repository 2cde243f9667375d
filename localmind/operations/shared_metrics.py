"""One /metrics over several processes: each keeps its figures in files of a shared folder, and whoever is asked adds them up."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric
    from prometheus_client.registry import Collector

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""What the Prometheus client looks at when it is imported: share() has to be called before, in a parent or in each process."""

PREFIX = "localmind-metrics-"


def share(parent: int | None = None, key: str | None = None) -> Path:
    """Keep figures in a folder for all processes that name the same parent (here: this one) and key. A folder that is set stays."""
    if given := os.environ.get(VARIABLE):
        folder = Path(given)
    else:
        _remove_left_behind()
        # Named by a secret of those who share it: nobody else can have put a folder there before.
        folder = Path(tempfile.gettempdir()) / f"{PREFIX}{parent or os.getpid()}-{key or secrets.token_hex(8)}"
        os.environ[VARIABLE] = str(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def text(*asked: Collector) -> bytes:
    """The figures of this process, or of all that share theirs, in Prometheus' format, and those that are asked for now."""
    from prometheus_client import CollectorRegistry, generate_latest

    from localmind.operations import metrics

    registry = CollectorRegistry()
    for collector in asked:
        registry.register(collector)
    if VARIABLE not in os.environ:
        return generate_latest(metrics.REGISTRY) + generate_latest(registry)
    _register_shared(registry, Path(os.environ[VARIABLE]))
    return generate_latest(registry)


def serve(host: str, port: int, *asked: Collector) -> None:
    """Answer /metrics for all processes from a thread of this one. Raises OSError where the port is taken."""
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    for collector in asked:
        registry.register(collector)
    _register_shared(registry, Path(os.environ[VARIABLE]))
    start_http_server(port, addr=host, registry=registry)


def _register_shared(registry: CollectorRegistry, folder: Path) -> None:
    """The figures of all processes that share the folder. What holds while a process lives ends with it, however it ended."""
    from prometheus_client.multiprocess import MultiProcessCollector

    class OfTheLiving(MultiProcessCollector):
        def collect(self) -> Iterable[Metric]:
            for file in folder.glob("gauge_live*_*.db"):
                if not _is_alive(int(file.stem.rpartition("_")[2])):
                    file.unlink(missing_ok=True)
            return list(super().collect())  # type: ignore[no-untyped-call]

    OfTheLiving(registry, path=str(folder))  # type: ignore[no-untyped-call]


def _remove_left_behind() -> None:
    """Folders of parents that are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
