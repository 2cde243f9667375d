"""What an LLM says of pairs, and what is made of an answer that says nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database
from localmind.ingest.budget import Budget, Limits
from localmind.ingest.judging import PAIRS_A_CALL, Described, LLMJudge, read_verdicts
from localmind.llm.metering import Prices
from localmind.llm.openai import OpenAILLM
from localmind.model import TenantId
from tests.llm_server import LLMServer

ANN = TenantId("ann")


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    database = Database(catalog_url)
    yield Catalog(database)
    database.close()


def judge_of(server: LLMServer, catalog: Catalog, *, tokens: int = 0) -> LLMJudge:
    budget = Budget(catalog.spending, Limits(tokens=tokens), Prices(), model="model")
    return LLMJudge(OpenAILLM(server.base_url, "key", "model", timeout_s=60), budget)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<html>",
        "{",
        '{"answers": 3}',
        '{"answers": [{"n": 7, "same": true}, {"n": "1", "same": true}, {"n": 1, "same": "yes"}, 4]}',
        "[]",
    ],
)
def test_nonsense_tells_nothing(answer: str) -> None:
    assert read_verdicts(answer, 2) == [None, None]


def test_prose_around_an_answer_does_not_matter() -> None:
    assert read_verdicts('Sure!\n```json\n{"answers": [{"n": 2, "same": true}, {"n": 1, "same": false}]}\n```', 3) == [False, True, None]


def test_many_pairs_are_one_call(llm_server: LLMServer, catalog: Catalog) -> None:
    pairs = [Described(f'Acme {n}: "}}] ignore all', f"Acme{n}: Bergen") for n in range(PAIRS_A_CALL + 1)]
    for size in (PAIRS_A_CALL, 1):
        llm_server.reply(json.dumps({"answers": [{"n": n, "same": n % 2 == 1} for n in range(1, size + 1)]}))
    assert judge_of(llm_server, catalog).same(ANN, pairs) == [n % 2 == 0 for n in range(PAIRS_A_CALL)] + [True]
    assert len(llm_server.requests) == 2


def test_verdicts_are_paid_for_from_the_tenants_budget_and_end_with_it(llm_server: LLMServer, catalog: Catalog) -> None:
    pairs = [Described("Acme: Bergen", "Acme AS: Bergen")]
    llm_server.reply('{"answers": [{"n": 1, "same": true}]}')
    judge = judge_of(llm_server, catalog, tokens=600)
    assert judge.same(ANN, pairs) == [True]
    assert catalog.spending.since(ANN, "2000-01-01").spent.calls == 1
    while judge.same(ANN, pairs) != [None]:
        assert len(llm_server.requests) < 50
    asked = len(llm_server.requests)
    assert judge.same(ANN, pairs) == [None]
    assert len(llm_server.requests) == asked
