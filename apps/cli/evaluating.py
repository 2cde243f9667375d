"""Asks a base the questions of a dataset, in each mode, and measures what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import localmind
from apps.cli.client import Api
from localmind.errors import InvalidInput
from localmind.evaluation.dataset import Case
from localmind.evaluation.measures import Found, Known
from localmind.evaluation.runs import Difference, Row, Run, cited, measured, summary
from localmind.model import Mode

LIMIT = 10
DEFAULT_MODES = ("vector", "text", "graph", "hybrid")

Report = Callable[[str, int, int], None]


def modes_of(asked: Sequence[str]) -> list[str]:
    """Each once. Raises InvalidInput."""
    known = [mode.value for mode in Mode]
    for mode in asked:
        if mode not in known:
            raise InvalidInput(f"{mode!r} is no search mode.", hint=f"Choose from {', '.join(known)}.")
    return list(dict.fromkeys(asked or DEFAULT_MODES))


def known_sources(api: Api, cases: Sequence[Case]) -> dict[str, set[str]]:
    """The ids that each expected name may mean: by id, address, file name or title, the last two whatever their case."""
    wanted = {source.name for case in cases for source in case.sources}
    found: dict[str, set[str]] = {name: set() for name in wanted}
    if not wanted:
        return found
    folded: dict[str, list[str]] = {}
    for name in wanted:
        folded.setdefault(name.casefold(), []).append(name)
    for source in api.items("/api/v1/sources", limit=None):
        for exact in (source["source_id"], source["uri"]):
            if exact in found:
                found[exact].add(source["source_id"])
        for name in (source["title"], source["filename"], (source["uri"] or "").rpartition("/")[2]):
            for asked in folded.get((name or "").casefold(), ()):
                found[asked].add(source["source_id"])
    return found


def evaluate(
    api: Api, cases: Sequence[Case], modes: Sequence[str], *, dataset: str, with_answers: bool, report: Report, warn: Callable[[str], None]
) -> Run:
    """Mode by mode, one question after another: so times are those of a base at rest."""
    known = known_sources(api, cases)
    missing = not_there(known)
    if len(missing) == len(known) and known and not any(case.strings for case in cases):
        raise InvalidInput(
            f"None of the expected sources is in this base ({missing[0]!r} and {len(missing) - 1} others).",
            hint="`localmind sources` lists ids and titles; a file is named by its path as file://... or by its name.",
        )
    if missing:
        warn(f"{len(missing)} of {len(known)} expected sources are not in this base, {missing[0]!r} for one: they count as not found.")
    run = Run(dataset, datetime.now(UTC).isoformat(timespec="seconds"), localmind.__version__)
    for mode in modes:
        rows = run.rows[mode] = []
        for done, case in enumerate(cases, start=1):
            rows.append(_ask(api, case, mode, known, with_answers=with_answers))
            report(mode, done, len(cases))
    return run


def not_there(known: Known) -> list[str]:
    """Expected names that no source has."""
    return sorted(name for name, ids in known.items() if not ids)


def as_json(run: Run, differences: Sequence[Difference]) -> dict[str, Any]:
    """The figures, and every question's, so that a bad one can be looked at."""
    changes = [
        {"mode": mode, "measure": measure, "questions": questions, **interval._asdict(), "verdict": interval.verdict}
        for mode, measure, questions, interval in differences
    ]
    told = {"dataset": run.dataset, "created_at": run.created_at, "version": run.version, "modes": summary(run)}
    return told | {"questions": {mode: [asdict(row) for row in rows] for mode, rows in run.rows.items()}, "differences": changes}


def _ask(api: Api, case: Case, mode: str, known: Known, *, with_answers: bool) -> Row:
    begun = time.perf_counter()
    answer = api.post("/api/v1/search", {"query": case.question, "mode": mode, "limit": LIMIT})
    row = Row(case.question, {}, (time.perf_counter() - begun) * 1000)
    row.values |= measured(case, [_hit(hit) for hit in answer["hits"]], known)
    if with_answers:
        begun = time.perf_counter()
        said = api.post("/api/v1/chat", {"message": case.question, "mode": mode})
        row.answer_ms = (time.perf_counter() - begun) * 1000
        row.values |= cited(case, [_citation(one) for one in said["citations"]], known)
        if said["conversation_id"]:
            api.delete(f"/api/v1/conversations/{said['conversation_id']}")  # nobody asked for two hundred conversations
    return row


def _hit(hit: Mapping[str, Any]) -> Found:
    pages = () if hit["page"] is None else tuple(range(hit["page"], hit["last_page"] + 1))
    return Found(hit["source_id"], hit["text"], pages)


def _citation(citation: Mapping[str, Any]) -> Found:
    return Found(citation["source_id"], citation["quote"], () if citation["page"] is None else (citation["page"],))
