"""Runs are kept, read again and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localmind.errors import InvalidInput
from localmind.evaluation.runs import Row, Run, compare, load, save, summary


def run(*recalls: float, mode: str = "hybrid") -> Run:
    rows = [Row(f"q{n}", {"recall@5": value}, 10.0 + n, 20.0) for n, value in enumerate(recalls)]
    return Run("set.jsonl", "2025-01-31T09:30:00+00:00", "0.1.0", {mode: rows})


def test_a_kept_run_is_the_same_run(tmp_path: Path) -> None:
    kept = run(0.0, 0.5, 1.0)
    save(kept, tmp_path / "run.json")
    assert load(tmp_path / "run.json") == kept


def test_the_summary_has_means_and_times() -> None:
    told = summary(run(0.0, 0.5, 1.0))["hybrid"]
    assert told["questions"] == 3
    assert told["measures"]["recall@5"]["mean"] == 0.5
    assert (told["search_p50_ms"], told["answer_p95_ms"]) == (11.0, 20.0)


def test_a_measure_that_some_questions_lack_is_of_the_others() -> None:
    some = run(1.0, 0.0)
    some.rows["hybrid"][0].values["citation_precision"] = 0.5
    assert summary(some)["hybrid"]["measures"]["citation_precision"]["mean"] == 0.5


def test_runs_are_compared_over_the_questions_that_both_asked() -> None:
    (found,) = compare(run(*[0.0] * 20), run(*[1.0] * 30))
    assert (found.mode, found.measure, found.questions) == ("hybrid", "recall@5", 20)
    assert found.interval == (1.0, 1.0, 1.0)
    assert found.interval.verdict == "better"


def test_runs_that_share_nothing_are_refused() -> None:
    with pytest.raises(InvalidInput, match="share no question"):
        compare(run(1.0), run(1.0, mode="vector"))


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": "localmind-eval-1"}', '{"format": "localmind-eval-1", "rows": {"hybrid": [1]}}']
)
def test_what_is_no_run_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InvalidInput):
        load(tmp_path / "run.json")
    with pytest.raises(InvalidInput):
        load(tmp_path / "nothing.json")
    with pytest.raises(InvalidInput):
        save(run(1.0), tmp_path / "no folder" / "run.json")


def test_a_run_is_plain_json(tmp_path: Path) -> None:
    save(run(1.0), tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text())["rows"]["hybrid"][0]["question"] == "q0"
