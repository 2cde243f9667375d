"""Puts the product's own guides into the knowledge base, so that the first question can be asked at once."""

from __future__ import annotations

from pathlib import Path

import structlog

from localmind.catalog.catalog import Catalog
from localmind.errors import QuotaReached, TooManyRequests
from localmind.ids import text_hash
from localmind.ingest.sources import NewText, Sources
from localmind.model import PERSONAL

REPOSITORY = Path(__file__).parents[2] / "docs"
INSTALLED = Path(__file__).parents[1] / "docs"
"""In a wheel the guides lie inside the package (see pyproject.toml)."""

FOLDERS = ("guides", "runbook")
TAG = "guide"
SEEDED = "guides"


def seed_guides(catalog: Catalog, sources: Sources) -> int:
    """Add guides that are new or changed since they were last added; one that a person deleted stays deleted. Returns how many.

    None where a quota has no room for them: a service is worth having without.
    """
    guides = {path.stem: path.read_text() for path in _files()}
    if not _fresh(catalog, guides):
        return 0
    try:
        return _add(catalog, sources, guides)
    except (QuotaReached, TooManyRequests) as error:
        structlog.get_logger(__name__).warning("guides_left_out", error=str(error))
        return 0


def _add(catalog: Catalog, sources: Sources, guides: dict[str, str]) -> int:
    with catalog.database.write():
        catalog.database.hold(SEEDED)  # processes that start together: the second finds that there is nothing left to add
        fresh = _fresh(catalog, guides)
        if fresh:
            texts = [
                NewText(_title(name, text), text, uri=f"localmind:guide/{name}", tags=(TAG,), kind="guide") for name, text in fresh.items()
            ]
            sources.add_texts(PERSONAL, texts)
            catalog.set_setting(SEEDED, _hashes(catalog) | {name: text_hash(text) for name, text in fresh.items()})
    return len(fresh)


def _fresh(catalog: Catalog, guides: dict[str, str]) -> dict[str, str]:
    hashes = _hashes(catalog)
    return {name: text for name, text in guides.items() if hashes.get(name) != text_hash(text)}


def _hashes(catalog: Catalog) -> dict[str, str]:
    known = catalog.setting(SEEDED)
    return dict(known) if isinstance(known, dict) else {}


def _files() -> list[Path]:
    root = REPOSITORY if REPOSITORY.is_dir() else INSTALLED
    return sorted(path for folder in FOLDERS for path in (root / folder).glob("*.md"))


def _title(name: str, text: str) -> str:
    first = text.lstrip().splitlines()[0] if text.strip() else ""
    return first.lstrip("# ").strip() or name
