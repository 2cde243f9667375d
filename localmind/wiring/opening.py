"""Opens a composed product in order, and undoes what was opened where a step fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from localmind.errors import ConfigurationError
from localmind.wiring.data_dir import lock_data_dir, make_folder
from localmind.wiring.roles import Role
from localmind.wiring.traced import trace

if TYPE_CHECKING:
    from localmind.ingest.prepare import Prepare
    from localmind.llm.port import LLM
    from localmind.retrieval.rerank import Reranker
    from localmind.wiring.product import LocalMind


def open_product(mind: LocalMind, stack: ExitStack, *, prepare: Prepare, llm: LLM | None, reranker: Reranker | None) -> None:
    from localmind.catalog.migrate import migrate
    from localmind.ingest.presence import Presence
    from localmind.ingest.seed import seed_guides

    trace(mind, stack)  # first, so that it ends last: what closing brings is sent too
    folder = mind.settings.data_dir
    make_folder(folder)
    if mind.role is Role.ALONE:
        stack.callback(lock_data_dir(folder).release)
    # The embedder (OpenVINO) and the vectors (LanceDB) take their time to import: beside each other, and beside the migrations.
    warm = threading.Thread(target=_quietly(mind.embedder.open), name="warm-embedder", daemon=True)
    warm.start()
    stack.callback(mind.catalog.database.close)
    migrate(mind.catalog.database)
    mind.audit.start()
    stack.callback(mind.audit.close)
    _refuse_what_was_cut_off(mind)
    mind.engines.open(stack, patient=True)
    warm.join()
    mind.embedder.open()  # raises here what went wrong there
    stack.callback(mind.embedder.close)
    if reranker is not None and mind.role is not Role.WORKER:  # a worker searches nothing
        stack.callback(reranker.close)
        reranker.open()
    if llm is not None:
        stack.callback(llm.close)
    mind.readers.open()
    stack.callback(mind.readers.close)
    mind.usage.start()
    stack.callback(mind.usage.close)  # after whatever counts
    if mind.role is Role.ALONE and mind.catalog.database.is_sqlite:
        _recover(mind, folder, stack)
    if mind.role is not Role.WORKER and mind.settings.seed_guides:
        seed_guides(mind.catalog, mind.sources)
    if mind.role is not Role.DOOR:
        mind.pipeline.start(prepare)
        stack.callback(mind.pipeline.close)
        mind.keeper.start(mind.catalog.sources.tenants())
        stack.callback(mind.keeper.close)
    if mind.role is not Role.WORKER:
        mind.accounts.spaces.finish()  # what a kill cut off
        mind.privacy.erasures.finish()
        mind.privacy.daily.start()
        stack.callback(mind.privacy.daily.close)
    if not mind.catalog.database.is_sqlite:  # where others can't tell by the data directory's lock
        works = mind.role is not Role.DOOR
        presence = Presence(
            mind.catalog.workers,
            mind.pipeline.owner,
            queues=("ingestion",) if works else (),
            is_alive=lambda: not works or mind.pipeline.is_alive,
        )
        presence.start()
        stack.callback(presence.close)
    if mind.role is not Role.WORKER:
        mind.health.start()
        stack.callback(mind.health.close)


def _refuse_what_was_cut_off(mind: LocalMind) -> None:
    from localmind.operations.moving import unfinished
    from localmind.wiring.upkeep import REEMBEDDING

    if unfinished(mind.catalog):
        raise ConfigurationError("A move into these engines was begun and not finished.", hint="Run `localmind migrate` again as before.")
    if mind.catalog.setting(REEMBEDDING):
        raise ConfigurationError("The vectors were being made anew, and that was cut off.", hint="Run `localmind reembed` again.")


def _recover(mind: LocalMind, folder: Path, stack: ExitStack) -> None:
    """With the data directory locked, and the catalog in it, no other worker is alive: what was running is queued again."""
    mind.catalog.jobs.release_lost(everything=True)
    marker = folder / "running"
    if marker.exists():  # the last process did not close
        mind.maintenance.sweep_blobs()
    marker.touch()
    stack.callback(marker.unlink, missing_ok=True)


def _quietly(action: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            action()
        except Exception:  # the caller runs it again, and meets the same error where it can be told
            return

    return run
