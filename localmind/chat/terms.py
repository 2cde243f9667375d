"""The words of a text that carry its meaning, and their stems."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

WORD = re.compile(r"\w+(?:['’]\w+)*")

_STOPWORDS = """
    a about after all also am an and any are aren't as at be because been before being between both but by can can't could couldn't did
    didn't do does doesn't doing don't down during each either else etc few for from further get gets give given had has hasn't have
    haven't having he her here hers him his how how's however i i'd i'll i'm i've if in into is isn't it it's its itself just let let's
    like many may me might more most much must my neither no nor not of off on once one ones only or other our ours out over own per
    please same say says she should shouldn't since so some such tell than that that's the their theirs them then there there's these
    they they're this those through to too under until up upon us use used using very was wasn't we were weren't what what's when
    where where's whether which while who who's whom whose why will with within without won't would wouldn't yes yet you you'd you'll
    you're your yours
"""
STOPWORDS = frozenset(_STOPWORDS.split())


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # the library's name for it


class _PerThread(threading.local):
    """A stemmer keeps its place in the word, so two threads can't share one."""

    stemmer: _Stemmer | None = None


_per_thread = _PerThread()


def words(text: str) -> Iterator[str]:
    """Every word as it stands, in order."""
    return (match.group() for match in WORD.finditer(text))


def content_words(text: str) -> list[str]:
    """The words that carry meaning, as they stand, in order, each once."""
    found = {word.casefold(): word for word in reversed(list(words(text))) if _carries_meaning(word)}
    return list(reversed(found.values()))


def stems(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning. A word of capitals, digits or another script is its own stem."""
    return frozenset(stem(word.casefold()) for word in words(text) if _carries_meaning(word))


@lru_cache(maxsize=50_000)  # 40 µs a word without it, and texts repeat their words
def stem(word: str) -> str:
    """English stem of a word in lower case."""
    if _per_thread.stemmer is None:
        import snowballstemmer

        _per_thread.stemmer = snowballstemmer.stemmer("english")
    return _per_thread.stemmer.stemWord(word.replace("’", "'").removesuffix("'s"))


def _carries_meaning(word: str) -> bool:
    return word.casefold().replace("’", "'") not in STOPWORDS and (len(word) > 1 or not word.isascii() or word.isdigit())
