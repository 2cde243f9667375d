"""One description out of many: the sentences that say something new, each with the chunks that say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from localmind.graph.port import Statement
from localmind.model import ChunkKey

MOST_CHARS = 600
MOST_SENTENCES = 8
MOST_SOURCES = 10

SAID_BEFORE = 0.7
"""Share of a sentence's words that another one has, from which it says nothing new."""

_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+")
_WORD = re.compile(r"\w+")


class Condensed(NamedTuple):
    """sources: chunks that say so, or nearly."""

    text: str
    sources: tuple[ChunkKey, ...]


def condense(statements: Sequence[Statement]) -> list[Condensed]:
    """Distinct sentences in the order given, as many as MOST_CHARS has room for; the first is cut where it alone is longer."""
    kept: list[tuple[str, frozenset[str], list[ChunkKey]]] = []
    room = MOST_CHARS
    for statement in statements:
        for sentence in _SENTENCE.split(" ".join(statement.text.split())):
            words = frozenset(_WORD.findall(sentence.casefold()))
            if not words:
                continue
            known = next((sources for _, others, sources in kept if len(words & others) >= SAID_BEFORE * len(words)), None)
            if known is not None:
                if statement.chunk not in known and len(known) < MOST_SOURCES:
                    known.append(statement.chunk)
            elif not kept or (len(sentence) <= room and len(kept) < MOST_SENTENCES):
                kept.append((sentence[:MOST_CHARS], words, [statement.chunk]))
                room -= len(sentence) + 1
    return [Condensed(sentence, tuple(sources)) for sentence, _, sources in kept]
