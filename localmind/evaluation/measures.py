"""From what was found to figures in [0, 1], question by question. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from localmind.evaluation.dataset import Case, ExpectedSource


class Found(NamedTuple):
    """A hit or a citation. pages: those that its text stands on."""

    source_id: str
    text: str
    pages: tuple[int, ...] = ()


Known = Mapping[str, Collection[str]]
"""The ids of the sources that a name may mean."""


def evidence_ranks(case: Case, found: Sequence[Found], known: Known) -> list[int | None]:
    """Where each piece of evidence is first found, from 1; None where it is not."""
    sources = (next((rank for rank, item in enumerate(found, start=1) if _is_of(item, one, known)), None) for one in case.sources)
    texts = [folded(item.text) for item in found]
    wanted = (folded(one) for one in case.strings)
    strings = (next((rank for rank, text in enumerate(texts, start=1) if one in text), None) for one in wanted)
    return [*sources, *strings]


def recall_at(ranks: Sequence[int | None], k: int) -> float:
    """Share of the evidence among the first k."""
    return sum(rank is not None and rank <= k for rank in ranks) / len(ranks)


def all_evidence_at(ranks: Sequence[int | None], k: int) -> float:
    """1 where all of it is among the first k."""
    return float(all(rank is not None and rank <= k for rank in ranks))


def reciprocal_rank(ranks: Sequence[int | None]) -> float:
    """Of the first piece that is found; 0 where none is."""
    return max((1 / rank for rank in ranks if rank is not None), default=0.0)


def citation_precision(case: Case, citations: Sequence[Found], known: Known) -> float | None:
    """Share of the citations that are evidence: of an expected source and page, or holding an expected string; None without citations."""
    if not citations:
        return None
    wanted = [folded(one) for one in case.strings]
    good = sum(
        any(_is_of(item, one, known) for one in case.sources) or any(one in folded(item.text) for one in wanted) for item in citations
    )
    return good / len(citations)


def folded(text: str) -> str:
    """Without what makes no difference: case and white space."""
    return " ".join(text.casefold().split())


def _is_of(item: Found, expected: ExpectedSource, known: Known) -> bool:
    if item.source_id not in known.get(expected.name, ()):
        return False
    return not expected.pages or any(page in expected.pages for page in item.pages)
