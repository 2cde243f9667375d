"""A run: what was measured, question by question, kept as JSON so that a later one can be compared with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from localmind.errors import InvalidInput
from localmind.evaluation.dataset import Case
from localmind.evaluation.measures import Found, Known, all_evidence_at, citation_precision, evidence_ranks, recall_at, reciprocal_rank
from localmind.evaluation.statistics import Interval, bootstrap, paired, percentile

FORMAT = "localmind-eval-1"
RECALLS = (1, 5, 10)
ALL_EVIDENCE = 5


@dataclass(slots=True)
class Row:
    """One question in one mode. values: by measure, higher is better. ms: of the search, and of the answer where one was asked for."""

    question: str
    values: dict[str, float]
    search_ms: float
    answer_ms: float | None = None


@dataclass(slots=True)
class Run:
    """rows: by mode."""

    dataset: str
    created_at: str
    version: str
    rows: dict[str, list[Row]] = field(default_factory=dict)


class Difference(NamedTuple):
    mode: str
    measure: str
    questions: int
    interval: Interval


def measured(case: Case, hits: Iterable[Found], known: Known) -> dict[str, float]:
    """Of the hits, best first."""
    ranks = evidence_ranks(case, list(hits), known)
    recalls = {f"recall@{k}": recall_at(ranks, k) for k in RECALLS}
    return recalls | {f"all@{ALL_EVIDENCE}": all_evidence_at(ranks, ALL_EVIDENCE), "mrr": reciprocal_rank(ranks)}


def cited(case: Case, citations: Iterable[Found], known: Known) -> dict[str, float]:
    """answered: 1 with a citation at least. precision is of those that were answered."""
    precision = citation_precision(case, list(citations), known)
    return {"answered": 0.0} if precision is None else {"answered": 1.0, "citation_precision": precision}


def summary(run: Run) -> dict[str, dict[str, Any]]:
    """Of each mode: every measure's interval, and times in milliseconds."""
    told: dict[str, dict[str, Any]] = {}
    for mode, rows in run.rows.items():
        names = list(dict.fromkeys(name for row in rows for name in row.values))
        means = {name: bootstrap([row.values[name] for row in rows if name in row.values])._asdict() for name in names}
        times = {"search": [row.search_ms for row in rows], "answer": [row.answer_ms for row in rows if row.answer_ms is not None]}
        latency = {f"{what}_p{share}_ms": percentile(values, share) for what, values in times.items() if values for share in (50, 95)}
        told[mode] = {"questions": len(rows), "measures": means, **latency}
    return told


def compare(before: Run, after: Run) -> list[Difference]:
    """Mode by mode and measure by measure, over the questions that both asked. Raises InvalidInput where they share none."""
    found: list[Difference] = []
    for mode, rows in after.rows.items():
        old = {row.question: row.values for row in before.rows.get(mode, ())}
        shared = [(old[row.question], row.values) for row in rows if row.question in old]
        for measure in dict.fromkeys(name for _, values in shared for name in values):
            pairs = [(one[measure], other[measure]) for one, other in shared if measure in one and measure in other]
            if pairs:
                found.append(Difference(mode, measure, len(pairs), paired([one for one, _ in pairs], [other for _, other in pairs])))
    if not found:
        raise InvalidInput("The two runs share no question in any mode.", hint="Compare runs of the same dataset.")
    return found


def save(run: Run, path: Path) -> None:
    try:
        path.write_text(json.dumps({"format": FORMAT, **asdict(run)}, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} can't be written: {error.strerror}.", hint="Name a file in a folder that is there.") from error


def load(path: Path) -> Run:
    """Raises InvalidInput where it is no run."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} can't be read: {error.strerror}.", hint="Name a file that --save wrote.") from error
    except ValueError as error:
        raise InvalidInput(f"{path} is no JSON.", hint="Name a file that --save wrote.") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InvalidInput(f"{path} is no run of this version.", hint="Name a file that --save wrote.")
    try:
        rows = {mode: [_row(row) for row in some] for mode, some in value["rows"].items()}
        return Run(str(value["dataset"]), str(value["created_at"]), str(value["version"]), rows)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{path} is damaged: {error!r}.", hint="Name a file that --save wrote.") from error


def _row(value: Mapping[str, Any]) -> Row:
    answer_ms = value["answer_ms"]
    values = {str(name): float(number) for name, number in value["values"].items()}
    return Row(str(value["question"]), values, float(value["search_ms"]), None if answer_ms is None else float(answer_ms))
