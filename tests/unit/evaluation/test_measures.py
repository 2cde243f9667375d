"""Figures from what was found."""

from __future__ import annotations

import pytest

from localmind.evaluation.dataset import Case, ExpectedSource
from localmind.evaluation.measures import (
    Found,
    all_evidence_at,
    citation_precision,
    evidence_ranks,
    recall_at,
    reciprocal_rank,
)

KNOWN = {"soup.md": {"s1"}, "manual.pdf": {"m1", "m2"}, "gone.pdf": set()}
HITS = [
    Found("m1", "The pump is checked weekly.", (3,)),
    Found("s1", "Simmer for\n20  Minutes."),
    Found("m2", "Valves.", (7, 8)),
    Found("s1", "Serve hot."),
]


@pytest.mark.parametrize(
    ("case", "ranks"),
    [
        (Case("?", (ExpectedSource("soup.md"),)), [2]),
        (Case("?", (ExpectedSource("manual.pdf"),)), [1]),
        (Case("?", (ExpectedSource("manual.pdf", (8,)),)), [3]),
        (Case("?", (ExpectedSource("manual.pdf", (9,)),)), [None]),
        (Case("?", (ExpectedSource("gone.pdf"), ExpectedSource("unheard of"))), [None, None]),
        (Case("?", (), ("20 minutes", "SERVE", "cold")), [2, 4, None]),
        (Case("?", (ExpectedSource("soup.md"),), ("valves",)), [2, 3]),
    ],
)
def test_each_piece_of_evidence_has_the_rank_at_which_it_is_first_found(case: Case, ranks: list[int | None]) -> None:
    assert evidence_ranks(case, HITS, KNOWN) == ranks


def test_the_measures_go_by_ranks() -> None:
    ranks = [2, 5, None]
    assert [recall_at(ranks, k) for k in (1, 2, 5)] == [0, 1 / 3, 2 / 3]
    assert [all_evidence_at([2, 5], k) for k in (4, 5)] == [0.0, 1.0]
    assert all_evidence_at(ranks, 100) == 0.0
    assert (reciprocal_rank(ranks), reciprocal_rank([None])) == (0.5, 0.0)


def test_a_citation_is_good_by_its_source_or_by_its_words() -> None:
    case = Case("?", (ExpectedSource("manual.pdf", (3,)),), ("serve hot",))
    assert citation_precision(case, HITS, KNOWN) == 0.5
    assert citation_precision(case, [], KNOWN) is None
