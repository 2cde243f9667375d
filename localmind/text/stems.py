"""Words as an index holds them whose engine only parts them at spaces: folded and stemmed here, as FTS5 does it inside SQLite.

Pure functions: a change to `stemmed` needs the index to be built anew.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import lru_cache
from typing import Protocol

from localmind.text.words import indexable

LONGEST_WORD = 100
"""Longer ones are cut, here and in queries: what is longer is no word, and engines cut it somewhere else."""

SHORTEST_STEMMED = 3
"""As in FTS5: nothing would be left of "s"."""

_PLAIN = re.compile(r"[a-z0-9]+")
_ACCENTS = re.compile("(?<=[a-z\u0370-\u03ff])[\u0300-\u036f]+")


def stemmed(text: str) -> str:
    """The text's words in the form that they are looked up by, in their order, one space between them."""
    text = indexable(text).lower()
    words = _PLAIN.findall(text) if text.isascii() else text.translate(_SPACES).split()
    return " ".join(map(stem, words))


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """A word in lower case without accents and English endings."""
    if not word.isascii():
        word = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", word)))
    word = word[:LONGEST_WORD]
    return _stemmer().stemWord(word) if word.isascii() and len(word) >= SHORTEST_STEMMED else word


class _Spaces(dict[int, int | str]):
    """For str.translate: letters, digits and marks stay, everything else becomes a space. Filled as it is asked."""

    def __missing__(self, code: int) -> int | str:
        category = unicodedata.category(chr(code))
        value: int | str = code if category[0] in "LNM" or category == "Co" else " "
        self[code] = value
        return value


_SPACES = _Spaces()


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...


class _PerThread(threading.local):
    """A stemmer keeps its place in the word, so two threads can't share one."""

    stemmer: _Stemmer | None = None


_per_thread = _PerThread()


def _stemmer() -> _Stemmer:
    if _per_thread.stemmer is None:
        import snowballstemmer

        _per_thread.stemmer = snowballstemmer.stemmer("porter")
    return _per_thread.stemmer
