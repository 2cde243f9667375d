"""Looks at everything that the product needs, and says how to mend what is wrong. Needs no lock and no running service."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from localmind.errors import ConfigurationError, DataDirInUse, LocalMindError
from localmind.model import PERSONAL
from localmind.operations import tracing
from localmind.operations.reports import Check
from localmind.operations.servers import look_at_passwords, look_at_servers
from localmind.settings import Settings

if TYPE_CHECKING:
    from localmind.wiring import LocalMind

LEAST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1_000_000_000
LLM_TIMEOUT_S = 60.0
"""A local model may have to be loaded first."""

LLM_TOKENS = 1000
SLOW_S = 20.0
INSTALL_AGAIN = "Run `make run` again; it installs what requirements/run.lock names."


def examine(settings: Settings, *, opened: LocalMind | None = None) -> list[Check]:
    """Every check in order; one that fails does not keep the others from being made. opened: the product of this process, if it is."""
    checks = [_python(), _packages(settings), _data_dir(settings)]
    composed = opened or _composed(settings)
    if isinstance(composed, Check):
        checks.append(composed)
    else:
        checks.append(Check("settings", True, _told(settings)))
        checks.append(look_at_passwords(settings))
        checks += _opened_engines(composed) if opened else _closed_engines(composed)
    return [*checks, _llm(settings), _tesseract(settings), *_traces(settings)]


def examine_before_start(settings: Settings) -> list[Check]:
    """What can be told while no server runs yet: room, settings that fit each other, passwords."""
    return [_data_dir(settings), _combination(settings), look_at_passwords(settings)]


def _python() -> Check:
    told = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info >= LEAST_PYTHON:
        return Check("python", True, told)
    return Check("python", False, told, "Local Mind needs Python 3.11 or newer: `make run PYTHON=python3.12`.")


def _packages(settings: Settings) -> Check:
    # Images for servers leave LanceDB out: a third of their size, and the vectors lie in Milvus.
    spared = {"lancedb"} if settings.milvus_uri else set()
    missing = [name for name in _required() if name not in spared and not _is_installed(name)]
    if missing:
        return Check("packages", False, f"not installed: {', '.join(missing)}", INSTALL_AGAIN)
    return Check("packages", True, f"localmind {metadata.version('localmind')} and the {len(_required())} packages it needs")


def _required() -> list[str]:
    """Names of the packages that localmind declares, without those of extras and of other platforms."""
    declared = metadata.requires("localmind") or []
    return [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in declared if ";" not in line]


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _data_dir(settings: Settings) -> Check:
    folder = settings.data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Check("data", False, f"{folder} can't be read: {error.strerror}", "Set DATA_DIR to a folder that this user may write.")
    told = f"{folder}, {free / 1e9:.1f} GB free"
    if not os.access(existing, os.W_OK | os.X_OK):
        return Check("data", False, f"{folder} can't be written", "Set DATA_DIR to a folder that this user may write.")
    if free < LEAST_FREE_BYTES:
        return Check("data", False, told, "Free some space: documents take up to four times their text and vectors.")
    return Check("data", True, told)


def _composed(settings: Settings) -> LocalMind | Check:
    from localmind.wiring import build

    try:
        return build(settings)
    except ConfigurationError as error:
        return Check("settings", False, error.message, error.hint)
    except ImportError as error:
        return Check("settings", False, f"a package can't be imported: {error}", INSTALL_AGAIN)


def _combination(settings: Settings) -> Check:
    from localmind.wiring.roles import check_servers

    try:
        check_servers(settings)
    except LocalMindError as error:
        return Check("settings", False, error.message, error.hint)
    return Check("settings", True, _told(settings))


def _told(settings: Settings) -> str:
    llm = settings.llm_model if settings.has_llm else "no LLM (LLM_MODEL=mock): answers are put together from your sources' sentences"
    return f"embeddings {settings.embedding_model}, {llm}"


# --- engines


def _opened_engines(mind: LocalMind) -> Iterator[Check]:
    if mind.catalog.database.is_sqlite:
        yield _tried("catalog", lambda: _look_at_catalog(mind))
    if "vectors" in mind.engines.probes:
        yield _tried("vectors", lambda: f"{mind.store.vectors.count(PERSONAL)} vectors")
    yield from look_at_servers(mind, opened=True)
    yield _tried("model", lambda: _look_at_model(mind))


def _closed_engines(mind: LocalMind) -> Iterator[Check]:
    """Opened for the look, where nobody else has them open. What isn't there yet is not made."""
    folder = mind.settings.data_dir
    yield from look_at_servers(mind, opened=False)
    if mind.catalog.database.is_sqlite:
        if not (folder / "catalog.db").exists():
            yield Check("engines", True, "nothing is stored yet; the first start makes catalog, vectors and model")
            return
        yield _tried("catalog", lambda: _look_at_catalog(mind))
        mind.catalog.database.close()
    if "vectors" in mind.engines.probes:
        with _locked(folder) as ours:
            if ours:
                yield _tried("vectors", lambda: _look_at_vectors(mind))
            else:
                yield Check("vectors", True, "another process has them open")
    if (folder / "models").exists():
        yield _tried("model", lambda: _look_at_model(mind))
        mind.embedder.close()


def _tried(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except LocalMindError as error:
        return Check(name, False, error.message, error.hint)
    except Exception as error:
        # A doctor that falls ill itself helps nobody: whatever an engine raises is its finding.
        return Check(name, False, f"{type(error).__name__}: {error}", "`localmind rebuild` makes indexes anew from the catalog.")


def _look_at_catalog(mind: LocalMind) -> str:
    with mind.catalog.database.read() as connection:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise LocalMindError(f"The catalog is damaged: {found}.", hint="Restore it from a backup.")
    size = (mind.settings.data_dir / "catalog.db").stat().st_size
    return f"sound, {size / 1e6:.1f} MB"


def _look_at_vectors(mind: LocalMind) -> str:
    mind.store.vectors.open()
    try:
        return f"{mind.store.vectors.count(PERSONAL)} vectors"
    finally:
        mind.store.vectors.close()


def _look_at_model(mind: LocalMind) -> str:
    mind.embedder.open()
    dimensions = len(mind.embedder.embed_query("Does it work?"))
    told = f", {mind.embedder.describe()}" if isinstance(mind.embedder, _DescribesItself) else ""
    return f"{mind.embedder.model}, {dimensions} dimensions{told}"


@runtime_checkable
class _DescribesItself(Protocol):
    """An embedder that runs here and can say on what, and why on that."""

    def describe(self) -> str: ...


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether the data directory is nobody else's while we look."""
    from localmind.wiring import lock_data_dir

    try:
        lock = lock_data_dir(folder)
    except DataDirInUse:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


# --- what stands beside the product


def _llm(settings: Settings) -> Check:
    """Asks it once, for the entities of a sentence, as an ingest does."""
    if not settings.has_llm:
        return Check("llm", True, "none is set")
    from localmind.extraction import prompting
    from localmind.extraction.answers import read_answer
    from localmind.extraction.port import Passage
    from localmind.llm.answers import Unreadable
    from localmind.wiring.models import build_llm

    passage = Passage("Test", "", "Ada Lovelace wrote notes on the Analytical Engine in London.")
    limit_s = min(settings.llm_timeout_s, LLM_TIMEOUT_S)
    llm = None
    begun = time.monotonic()
    try:
        llm = build_llm(settings)
        assert llm is not None
        turns = prompting.turns([passage], settings.extraction_types)
        answer = llm.complete(turns, max_tokens=LLM_TOKENS, schema=prompting.schema(1), timeout_s=limit_s).text
        found = read_answer(answer, passage.text)
    except LocalMindError as error:
        return Check("llm", False, error.message, error.hint)
    except Unreadable as problem:
        return Check(
            "llm",
            False,
            f"{settings.llm_model} answers, but not with the JSON that it is asked for: {problem}",
            "Take another model for LLM_MODEL, larger or with JSON output; answers in chat work, entities will be left out.",
        )
    finally:
        if llm is not None:
            llm.close()
    took_s = time.monotonic() - begun
    told = f"{settings.llm_model} answers in {took_s:.1f} s ({_mode(llm)}), {len(found.entities)} entities in a sentence"
    if took_s > SLOW_S:
        return Check("llm", True, told, "That is slow: a smaller model or a GPU helps; documents are searchable before it is done.")
    return Check("llm", True, told)


def _mode(llm: object) -> str:
    mode = getattr(llm, "mode", "text")
    return {"json_schema": "JSON by schema", "tool": "JSON by a tool call", "json_object": "JSON without a schema"}.get(mode, "plain text")


def _traces(settings: Settings) -> list[Check]:
    if not settings.otel_exporter_otlp_endpoint:
        return []
    if tracing.is_installed():
        return [Check("traces", True, f"to {settings.otel_exporter_otlp_endpoint}, {settings.otel_traces_sampler}")]
    lacking = tracing.missing()
    return [Check("traces", False, lacking.message, lacking.hint)]


def _tesseract(settings: Settings) -> Check:
    if settings.ocr == "off":
        return Check("tesseract", True, "OCR=off: pages without text stay empty")
    program = shutil.which("tesseract")
    if program is None:
        hint = "To read scanned pages: `apt install tesseract-ocr` or `brew install tesseract`."
        return Check("tesseract", True, "not installed: pages without text stay empty", hint)
    listed = subprocess.run([program, "--list-langs"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    missing = set(settings.ocr_languages.split("+")) - set(listed.stdout.split())
    if missing:
        packages = " ".join(f"tesseract-ocr-{language}" for language in sorted(missing))
        return Check("tesseract", False, f"languages {', '.join(sorted(missing))} are not installed", f"`apt install {packages}`")
    return Check("tesseract", True, f"{program} reads {settings.ocr_languages}")
