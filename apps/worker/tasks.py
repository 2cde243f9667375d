"""The worker: `cd apps/worker && celery -A tasks worker --concurrency=4 --queues=ingestion`.

Celery starts, watches and stops the processes; each runs the product's own pipeline over the jobs table for as long as it lives
(docs/adr/0009). Nothing heavy is imported, and nothing connected, before a process is forked.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from celery import Celery, signals
from celery.concurrency import get_implementation

from apps.backend.config import get_settings
from apps.worker.broker import REBUILD, RECONCILE, WAKE, make_app
from apps.worker.product import Product, share_of_cores
from localmind.errors import LocalMindError
from localmind.operations import logs, shared_metrics
from localmind.wiring import Role, check

if TYPE_CHECKING:
    from localmind.settings import Settings

__all__ = ["app"]

log = structlog.get_logger("localmind.worker")


@dataclass
class _Process:
    """What this process knows of itself; a forked one begins with a copy."""

    settings: Settings | None = None
    role: Role = Role.DOOR
    forks: bool = False
    product: Product | None = None

    def start(self) -> None:
        assert self.settings is not None
        self.product = Product(self.settings, self.role)
        self.product.start()

    def stop(self) -> None:
        if self.product is not None:
            self.product.close()
            self.product = None


def _app() -> Celery:
    try:
        return make_app(get_settings())
    except LocalMindError as error:
        sys.exit(f"Local Mind's worker can't start. {error}")


app = _app()
process = _Process()


# --- tasks


@app.task(name=WAKE)
def wake() -> None:
    """Work was committed."""
    if process.product is not None:
        process.product.wake()


@app.task(name=RECONCILE)
def reconcile(*, fix: bool = False) -> None:
    """Hold the stores against the catalog, and mend what differs where `fix` says so; the log has what was found."""
    report = _product().mind.maintenance.reconcile(fix=fix)
    log.info("reconciled", findings=report.count, clean=report.clean, checked=dict(report.checked), fix=fix)


@app.task(name=REBUILD)
def rebuild() -> None:
    """Make vectors, text index and graph anew from the catalog."""
    report = _product().mind.maintenance.rebuild()
    log.info("rebuilt", sources=report.sources, chunks=report.chunks, took_s=round(report.took_s, 1))


def _product() -> Product:
    assert process.product is not None, "tasks run in processes that have a product"
    return process.product


# --- the life of a worker and its processes


@signals.setup_logging.connect(weak=False)
def _set_up_logging(**_: Any) -> None:
    logs.configure(get_settings().log_level)
    for name in ("celery.worker.strategy", "celery.app.trace"):  # a line or two a word, several words a second
        logging.getLogger(name).setLevel(logging.WARNING)


@signals.worker_init.connect(weak=False)
def _prepare(sender: Any, **_: Any) -> None:
    """In the main process, before any other is forked: Celery knows its queues and its number of processes by now."""
    settings = get_settings()
    try:
        check(settings, Role.WORKER)
    except LocalMindError as error:
        sys.exit(f"Local Mind's worker can't start. {error}")
    process.forks = get_implementation(sender.pool_cls).__module__.endswith("prefork")
    process.role = Role.WORKER if "ingestion" in app.amqp.queues.consume_from else Role.DOOR
    threads = settings.embedding_threads or share_of_cores(sender.concurrency if process.forks else 1)
    process.settings = settings.model_copy(update={"embedding_threads": threads})
    shared_metrics.share()
    if not process.forks:
        process.start()


@signals.worker_process_init.connect(weak=False)
def _start_process(**_: Any) -> None:
    if process.forks:
        process.start()


@signals.worker_process_shutdown.connect(weak=False)
def _stop_process(**_: Any) -> None:
    process.stop()


@signals.worker_shutdown.connect(weak=False)
def _stop_worker(**_: Any) -> None:
    if not process.forks:
        process.stop()


@signals.worker_ready.connect(weak=False)
def _serve_metrics(**_: Any) -> None:
    """One port for all processes; they keep their figures in shared files."""
    settings = get_settings()
    if settings.worker_metrics_port:
        from localmind.operations.machine import Machine

        shared_metrics.serve(settings.host, settings.worker_metrics_port, Machine(settings.data_dir))
