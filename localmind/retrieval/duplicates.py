"""Texts that say the same, told once: a document that was added under two names, a paragraph that stands in many. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from localmind.model import Hit

SHINGLE = 3
ALIKE = 0.9
"""Words of a shingle, and the Jaccard similarity of two sets of shingles (Broder, 1997) from which on two texts are nearly the same."""

NEGATIONS = frozenset(["not", "t", "no", "never", "without", "nicht", "kein", "keine", "ohne", "ne", "pas", "sans", "sin", "non", "senza"])
"""Words that turn a text round; "t" is what is left of "don't"."""


Words = tuple[str, ...]


class _Words(NamedTuple):
    """told: its numbers, names and negations. Two texts that differ in these say different things, however alike they are."""

    all: Words
    told: Words


def distinct(hits: Iterable[Hit]) -> Iterator[Hit]:
    """Of hits with the same text but for case, spacing and punctuation, or nearly the same, the first.

    Nearly: with the same numbers, names and negations in the same order. Invoices and versions that differ in these alone are all kept.
    """
    same: set[Words] = set()
    kept: dict[Words, list[Words]] = {}
    shingles = cache(_shingles)  # few texts tell the same: of the others none is needed
    for hit in hits:
        words = _words(hit.text)
        alike = kept.setdefault(words.told, [])
        if words.all in same or any(_similarity(shingles(words.all), shingles(other)) >= ALIKE for other in alike):
            continue
        same.add(words.all)
        alike.append(words.all)
        yield hit


def _shingles(words: Words) -> frozenset[Words]:
    return frozenset(zip(*(words[n:] for n in range(SHINGLE)), strict=False))


def _similarity(one: frozenset[Words], other: frozenset[Words]) -> float:
    shared = len(one & other)
    return shared / max(len(one) + len(other) - shared, 1)


def _words(text: str) -> _Words:
    words = text.translate(_LETTERS).split()
    folded = tuple(word.casefold() for word in words)
    told = tuple(fold for word, fold in zip(words, folded, strict=True) if not _is_plain(word) or fold in NEGATIONS)
    return _Words(folded, told)


def _is_plain(word: str) -> bool:
    """In lower case throughout, without a digit. No word of a script without case is."""
    return word.islower() and ((word.isascii() and word.isalpha()) or not any(character.isnumeric() for character in word))


class _Letters(dict[int, int]):
    """For str.translate: letters, their marks, digits and symbols (C++, < 5 €) stay; punctuation and spaces part words."""

    def __missing__(self, code: int) -> int:
        self[code] = code if unicodedata.category(chr(code))[0] in "LMNS" else ord(" ")
        return self[code]


_LETTERS = _Letters()
