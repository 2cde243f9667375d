"""Pairs of entities whose names allow that they are one: what they stand among, in figures, and an LLM's word."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from localmind.embedding.port import Embedder
from localmind.graph.port import Graph
from localmind.ingest.budget import Budget
from localmind.llm.answers import object_with
from localmind.llm.metering import Meter, Spent
from localmind.llm.port import LLM, RequestRefused, Turn
from localmind.llm.tokens import estimated_tokens
from localmind.model import Entity, EntityId, TenantId

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEIGHBORS_READ = 30
"""Of each entity, about: the heaviest relations of all that are asked about together."""

NEIGHBORS_NAMED = 8
ENTITIES_AT_ONCE = 64

SURE = 0.90
"""Cosine of name, description and neighbours from which two are one, if they share a neighbour."""

SURE_SHARED = 2
LIKELY = 0.75
"""The same where they share SURE_SHARED neighbours."""

OPEN = 0.50
"""Under which an LLM is not asked. Chosen on one half of tests/data/entity_pairs.jsonl, see its README."""

PROMPT = "same-1"
PAIRS_A_CALL = 20
MOST_ANSWER_TOKENS = 1_000
ANSWER_TOKENS_A_PAIR = 15
MOST_DESCRIPTION_CHARS = 300

_ANY_TYPE = ("concept", "name")


class Pair(NamedTuple):
    one: Entity
    other: Entity


class Evidence(NamedTuple):
    """shared: neighbours of both. similarity: cosine. are_kin: their types allow it."""

    shared: int
    similarity: float
    are_kin: bool


class Score(NamedTuple):
    similarity: float
    is_same: bool
    is_open: bool


class Described(NamedTuple):
    one: str
    other: str


class Judge(Protocol):
    def same(self, tenant: TenantId, pairs: Sequence[Described]) -> list[bool | None]:
        """Whether the two of each pair are one thing; None where that could not be told. Raises LLMUnavailable."""


def weigh(found: Sequence[Evidence]) -> list[Score]:
    return [
        Score(
            each.similarity,
            is_same=each.are_kin
            and ((each.shared >= 1 and each.similarity >= SURE) or (each.shared >= SURE_SHARED and each.similarity >= LIKELY)),
            is_open=each.are_kin and each.similarity >= OPEN,
        )
        for each in found
    ]


class Context:
    """What entities stand among. Only open pairs are embedded, in one batch."""

    def __init__(self, graph: Graph, embedder: Embedder) -> None:
        self._graph, self._embedder = graph, embedder

    def of(self, tenant: TenantId, pairs: Sequence[Pair]) -> list[Evidence]:
        near = self._neighbors(tenant, pairs)
        texts = _texts(pairs, near)
        vectors = self._embedder.embed_documents(list(texts.values()))
        at = {id_: n for n, id_ in enumerate(texts)}
        return [
            Evidence(
                len(near[pair.one.id].keys() & near[pair.other.id].keys()),
                _cosine(vectors, at[pair.one.id], at[pair.other.id]),
                pair.one.type == pair.other.type or pair.one.type in _ANY_TYPE or pair.other.type in _ANY_TYPE,
            )
            for pair in pairs
        ]

    def described(self, tenant: TenantId, pairs: Sequence[Pair]) -> list[Described]:
        texts = _texts(pairs, self._neighbors(tenant, pairs))
        return [Described(texts[pair.one.id], texts[pair.other.id]) for pair in pairs]

    def _neighbors(self, tenant: TenantId, pairs: Sequence[Pair]) -> dict[EntityId, dict[EntityId, str]]:
        """By entity, its neighbours' names, the heaviest relations first."""
        ids = list(dict.fromkeys(entity.id for pair in pairs for entity in pair))
        near: dict[EntityId, dict[EntityId, str]] = defaultdict(dict)
        for at in range(0, len(ids), ENTITIES_AT_ONCE):
            some = ids[at : at + ENTITIES_AT_ONCE]
            for entity, relation in self._graph.neighbors(tenant, some, limit=NEIGHBORS_READ * len(some)):
                end = relation.source if relation.target == entity.id else relation.target
                near[end].setdefault(entity.id, entity.name)
        return near


def _texts(pairs: Sequence[Pair], near: dict[EntityId, dict[EntityId, str]]) -> dict[EntityId, str]:
    entities = {entity.id: entity for pair in pairs for entity in pair}
    return {
        id_: f"{entity.name}: {entity.description[:MOST_DESCRIPTION_CHARS]} {', '.join(list(near[id_].values())[:NEIGHBORS_NAMED])}".strip()
        for id_, entity in entities.items()
    }


def _cosine(vectors: NDArray[np.float32], one: int, other: int) -> float:
    return float(vectors[one] @ vectors[other])


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "answers": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"n": {"type": "integer"}, "same": {"type": "boolean"}},
                "required": ["n", "same"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["answers"],
    "additionalProperties": False,
}


class LLMJudge:
    """One call for PAIRS_A_CALL pairs, as far as the tenant's budget goes. What can't be read tells nothing."""

    def __init__(self, llm: LLM, budget: Budget) -> None:
        self._llm, self._budget = llm, budget

    def same(self, tenant: TenantId, pairs: Sequence[Described]) -> list[bool | None]:
        found: list[bool | None] = []
        for at in range(0, len(pairs), PAIRS_A_CALL):
            found += self._ask(tenant, pairs[at : at + PAIRS_A_CALL])
        return found

    def _ask(self, tenant: TenantId, pairs: Sequence[Described]) -> list[bool | None]:
        listed = json.dumps([{"n": n, "a": pair.one, "b": pair.other} for n, pair in enumerate(pairs, start=1)], ensure_ascii=False)
        turns = [Turn("system", _prompt()), Turn("user", listed)]
        expected = Spent(1, sum(estimated_tokens(turn.content) for turn in turns), ANSWER_TOKENS_A_PAIR * len(pairs))
        if not self._budget.allows(self._budget.account(tenant), expected):
            return [None] * len(pairs)
        try:
            completion = self._llm.complete(turns, max_tokens=MOST_ANSWER_TOKENS, schema=SCHEMA)
        except RequestRefused:
            return [None] * len(pairs)
        meter = Meter()
        meter.add(turns, completion)
        self._budget.spend(tenant, meter.spent)
        return read_verdicts(completion.text, len(pairs))


def read_verdicts(answer: str, count: int) -> list[bool | None]:
    """By number; None for what the answer does not tell in so many words."""
    items = object_with(answer, "answers").get("answers")
    verdicts: list[bool | None] = [None] * count
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and type(n := item.get("n")) is int and 1 <= n <= count and isinstance(item.get("same"), bool):
            verdicts[n - 1] = item["same"]
    return verdicts


@cache
def _prompt() -> str:
    return files("localmind.graph").joinpath("prompts", f"{PROMPT}.md").read_text(encoding="utf-8")
