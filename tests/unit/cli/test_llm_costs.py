"""`localmind estimate` and `localmind reingest --missing`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.llm_server import LLMServer
from tests.unit.cli.conftest import Localmind, environment, free_port

TEXT = "".join(f"# Hall {n}\n\nThe engine Number{n} stands in hall {n}. {'It drives the pumps of the yard. ' * 20}\n\n" for n in range(8))
FOUND = {"entities": [{"name": "Number1", "type": "engine", "description": ""}], "relations": []}


@pytest.fixture
def env(new_data_dir: Callable[[Path], Path], tmp_path: Path, llm_server: LLMServer) -> dict[str, str]:
    llm = {"LLM_MODEL": "scripted", "LLM_BASE_URL": llm_server.base_url, "EXTRACTION_CHUNKS_PER_CALL": "1", "JOB_ATTEMPTS": "1"}
    return {**environment(new_data_dir(tmp_path / "data"), free_port()), **llm}


def test_the_estimate_is_what_the_ingest_then_does(
    localmind: Localmind, env: dict[str, str], tmp_path: Path, llm_server: LLMServer
) -> None:
    llm_server.always(FOUND)
    (tmp_path / "halls.md").write_text(TEXT)
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    prices = {"LLM_PRICE_INPUT": "10", "LLM_PRICE_OUTPUT": "100"}
    (Path(env["DATA_DIR"]) / "catalog.db").unlink()

    told = json.loads(localmind("estimate", tmp_path / "halls.md", tmp_path / "broken.pdf", "--json", env={**env, **prices}).out)

    assert told["documents"] == 1 and told["calls"] == told["chunks"] >= 8
    assert told["completion_tokens"] == 350 * told["chunks"] and 400 < told["prompt_tokens"] / told["chunks"] < 900
    assert told["cost"] == pytest.approx((told["prompt_tokens"] * 10 + told["completion_tokens"] * 100) / 1e6)
    later = told["later"]
    assert 1 < later["calls"] < told["chunks"] and later["prompt_tokens"] > 1_000 * later["calls"]
    assert later["cost"] == pytest.approx((later["prompt_tokens"] * 10 + later["completion_tokens"] * 100) / 1e6)
    assert [Path(one["path"]).name for one in told["failed"]] == ["broken.pdf"]
    assert llm_server.requests == [] and not (Path(env["DATA_DIR"]) / "catalog.db").exists()

    localmind("ingest", tmp_path / "halls.md", env=env)
    assert len(llm_server.requests) == told["calls"]


def test_an_estimate_without_prices_or_a_model_says_so(localmind: Localmind, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "halls.md").write_text(TEXT)

    told = localmind("estimate", tmp_path / "halls.md", env={**env, "LLM_MODEL": "mock"})

    assert told.code == 0
    assert "LLM_PRICE_INPUT" in told.out and "LLM_MODEL=mock" in told.out
    assert "words for themes" in told.out and "calls" in told.out


def test_what_is_missing_is_told_and_filled_in(localmind: Localmind, env: dict[str, str], tmp_path: Path, llm_server: LLMServer) -> None:
    llm_server.always("no")
    (tmp_path / "note.md").write_text("The engine Number1 stands in a hall.")

    told = localmind("ingest", tmp_path / "note.md", env=env)
    assert told.code == 0 and "1 of 1 chunks" in told.out and "reingest --missing" in told.out

    llm_server.always(FOUND)
    assert "succeeded" in localmind("reingest", "--missing", env=env).out
    assert "Nothing is missing" in localmind("reingest", "--missing", env=env).out


def test_reingest_names_what_it_needs(localmind: Localmind, env: dict[str, str]) -> None:
    told = localmind("reingest", env=env)
    assert told.code == 1 and "--missing" in told.err
    assert localmind("reingest", "nobody", env=env).code == 4
