"""`localmind eval`, beside a running service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import Localmind, Service

NOTES = {
    "soup.md": "# Soup\n\nThe leek soup simmers for twenty minutes in the copper pot.",
    "pump.md": "# Pump\n\nThe harbour pump is checked every Monday by Orla Byrne.",
    "lease.md": "# Lease\n\nThe lease of Mill Lane Four ends in June 2031.",
}
QUESTIONS = [
    {"question": "How long does the leek soup simmer?", "sources": ["soup.md"], "strings": ["twenty minutes"]},
    {"question": "Who checks the harbour pump?", "sources": ["Pump"]},
    {"question": "When does the lease of Mill Lane Four end?", "strings": ["June 2031"]},
]


@pytest.fixture
def dataset(localmind: Localmind, service: Service, tmp_path: Path) -> Path:
    for name, text in NOTES.items():
        (tmp_path / name).write_text(text)
    assert localmind("ingest", *(tmp_path / name for name in NOTES), env=service.env).code == 0
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in QUESTIONS))
    return path


def test_it_measures_each_mode_and_leaves_no_conversation(localmind: Localmind, service: Service, dataset: Path) -> None:
    before = conversations(service)
    told = localmind("eval", dataset, "--mode", "hybrid", "--mode", "text", "--json", env=service.env)
    assert told.code == 0, told.err
    found = json.loads(told.out)

    assert list(found["modes"]) == ["hybrid", "text"]
    hybrid = found["modes"]["hybrid"]
    assert hybrid["questions"] == 3
    assert {"recall@1", "recall@5", "all@5", "mrr", "answered", "citation_precision"} <= set(hybrid["measures"])
    assert hybrid["measures"]["recall@5"]["mean"] == 1.0
    assert hybrid["measures"]["citation_precision"]["mean"] > 0
    assert 0 < hybrid["search_p50_ms"] <= hybrid["search_p95_ms"]
    assert [row["question"] for row in found["questions"]["text"]] == [each["question"] for each in QUESTIONS]
    assert conversations(service) == before


def conversations(service: Service) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = httpx.get(f"{service.url}/api/v1/conversations", trust_env=False).json()["items"]
    return items


def test_a_run_is_kept_and_compared_with(localmind: Localmind, service: Service, dataset: Path, tmp_path: Path) -> None:
    kept = tmp_path / "run.json"
    first = localmind("eval", dataset, "-m", "hybrid", "--no-answers", "--save", kept, env=service.env)
    assert first.code == 0 and "recall@5" in first.out and "100.0 [100, 100]" in first.out
    again = localmind("eval", dataset, "-m", "hybrid", "--no-answers", "--compare", kept, env=service.env)
    assert again.code == 0
    assert "Against the kept run" in again.out and "no difference" in again.out
    assert "better" not in again.out and "worse" not in again.out


def test_mistakes_are_named(localmind: Localmind, service: Service, dataset: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "Who?", "strings": ["a"]}\n{"question": "Who?"}\n')
    told = localmind("eval", bad, env=service.env)
    assert told.code == 1 and "line 2" in told.err
    assert "no search mode" in localmind("eval", dataset, "--mode", "magic", env=service.env).err
    assert "can't be read" in localmind("eval", dataset, "--compare", tmp_path / "nothing.json", env=service.env).err

    bad.write_text('{"question": "Who?", "sources": ["nowhere.pdf"]}\n')
    assert "None of the expected sources" in localmind("eval", bad, env=service.env).err
    bad.write_text('{"question": "Who?", "sources": ["nowhere.pdf", "soup.md"]}\n')
    assert "1 of 2 expected sources are not in this base" in localmind("eval", bad, "-m", "text", "--no-answers", env=service.env).err
