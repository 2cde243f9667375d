"""What a community is about, without an LLM: its most central names, and the sentences of its chunks that say most of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from localmind.chat import sentences
from localmind.chat.sentences import Kind
from localmind.chat.terms import stems
from localmind.communities.clustering import association
from localmind.communities.port import Link
from localmind.model import CentralEntity, Entity, EntityId, Quote

NAMED = 12
"""Central entities that are kept."""

TITLE_NAMES = 3
TITLE_CHARS = 80
NAME_CHARS = 40
"""A longer name is a piece of a sentence, seldom a theme's."""

SENTENCES = 3
LEAST_CHARS, MOST_CHARS = 40, 350
_POINTS_BACK = re.compile(
    r"(?:it|its|they|their|he|she|this|these|those|such|so|thus|hence|however|also|instead|otherwise|then|and|but|or|as well)\b",
    re.IGNORECASE,
)

SAME = 0.6
"""Share of common stems from which on a sentence adds nothing."""


class Text(NamedTuple):
    """A chunk's text. source: sentences are taken from several, where there are several."""

    quote_id: str
    source: str
    text: str


def central(members: Mapping[EntityId, int], links: Iterable[Link], *, limit: int = NAMED) -> list[tuple[EntityId, float]]:
    """The most central of some entities, by id with their weights, the first 1.

    members: how often each is mentioned. Strength within the community, times the logarithm of mentions: what is tied to many that
    are not everywhere, and is more than one passage's word.
    """
    at = {entity: n for n, entity in enumerate(members)}
    known = [(at[link.source], at[link.target], link.weight) for link in links if link.source in at and link.target in at]
    counts = np.fromiter(members.values(), np.int64, len(members))
    strength = np.zeros(len(members))
    if known:
        sources, targets, weights = (np.array(column) for column in zip(*known, strict=True))
        tied = association(weights.astype(np.float64), counts[sources], counts[targets])
        np.add.at(strength, sources, tied)
        np.add.at(strength, targets, tied)
    score = (strength + 1e-3) * np.log2(np.maximum(counts, 1) + 0.5)
    ids = list(members)
    best = sorted(range(len(ids)), key=lambda n: (-score[n], ids[n]))[:limit]
    return [(ids[n], float(score[n] / score[best[0]])) for n in best]


def named(entities: Sequence[Entity], weights: Mapping[EntityId, float]) -> tuple[CentralEntity, ...]:
    """With their names, in order; of names that say the same the first."""
    kept: list[CentralEntity] = []
    seen: list[frozenset[str]] = []
    for entity in entities:
        words = stems(entity.name) or frozenset({entity.name.casefold()})
        if any(words <= other or other <= words for other in seen):
            continue
        seen.append(words)
        kept.append(CentralEntity(entity.id, entity.name, round(weights[entity.id], 3)))
    return tuple(kept)


def title(entities: Sequence[CentralEntity]) -> str:
    """The first names, apart by commas."""
    short = [each.name for each in entities if len(each.name) <= NAME_CHARS] or [each.name[:NAME_CHARS] for each in entities]
    chosen = short[:TITLE_NAMES]
    while len(chosen) > 1 and len(", ".join(chosen)) > TITLE_CHARS:
        chosen.pop()
    joined = ", ".join(chosen)
    return joined[:1].upper() + joined[1:]


class Said(NamedTuple):
    """A sentence as it reads, and where it stands."""

    text: str
    quote: Quote


def summary(entities: Sequence[CentralEntity], texts: Sequence[Text], *, limit: int = SENTENCES) -> list[Said]:
    """The sentences that name most of the central entities, by their weights; each of another source as long as there are others."""
    weights: dict[str, float] = {}
    for each in entities:
        words = stems(each.name)
        for stem in words:
            weights[stem] = max(weights.get(stem, 0.0), each.weight / len(words))
    found = [(score, n, text, said, words) for n, text in enumerate(texts) for score, said, words in _scored(text, weights)]
    found.sort(key=lambda one: (-one[0], one[1], one[3].quote.start))
    chosen: list[tuple[Said, frozenset[str], str]] = []
    for fresh in (True, False):
        for _, _, text, said, words in found:
            if len(chosen) == limit:
                break
            if fresh and any(source == text.source for _, _, source in chosen):
                continue
            if not any(_same(words, other) for _, other, _ in chosen):
                chosen.append((said, words, text.source))
    return [said for said, _, _ in chosen]


def _scored(text: Text, weights: Mapping[str, float]) -> Iterable[tuple[float, Said, frozenset[str]]]:
    for piece in sentences.split(text.text):
        raw = text.text[piece.start : piece.end]
        if piece.kind not in (Kind.PROSE, Kind.ITEM) or not LEAST_CHARS <= len(raw) <= MOST_CHARS:
            continue
        words = stems(raw)
        score = sum(weights.get(stem, 0.0) for stem in words) / (8 + len(words)) ** 0.5 * _readable(raw, piece.kind)
        if score > 0:
            yield score, Said(sentences.display(raw, piece.kind), Quote(text.quote_id, piece.start, piece.end)), words  # type: ignore[arg-type]


def _readable(raw: str, kind: Kind) -> float:
    """How well it reads alone, in (0, 1]: pieces of lists and sentences, code, and what points back to a sentence before read badly."""
    wordy = sum(char.isalpha() or char.isspace() for char in raw) / len(raw)
    share = 1.0 if wordy > 0.9 else 0.7 if wordy > 0.8 else 0.15
    if kind is Kind.ITEM or not raw[:1].isalpha() or raw[:1].islower() or raw[-1:] not in ".!。！”’)":
        share *= 0.5
    return share * (0.6 if _POINTS_BACK.match(raw) else 1.0)


def _same(one: frozenset[str], other: frozenset[str]) -> bool:
    smaller = min(len(one), len(other))
    return smaller > 0 and len(one & other) / smaller >= SAME
