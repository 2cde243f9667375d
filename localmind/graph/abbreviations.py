"""Abbreviations that a text defines: "Message Queue (MQ)", "MQ (message queue)"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MOST_SHORT_CHARS = 10
MOST_LONG_CHARS = 120

MOST_WORDS_BEFORE = 12
MOST_DEFINITIONS = 50
"""Of one chunk: a table of abbreviations is read, a page of noise is not."""

_SHORT = r"[^\W\d_][\w&/.-]{0,8}\w"
_AFTER = re.compile(rf"[\"'“”‘’`]?\s?[(\[][\"'“‘`]?({_SHORT})[\"'”’`]?(?:[)\]]|[,;] )")
_BEFORE = re.compile(rf"(?<![\w-])({_SHORT}) [(]([^\W\d_][^()\n]{{5,80}})[)]")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_END = re.compile(r"[.;:!?()\[\]{}|<>]|\n\s*\n")
_SMALL = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "based",
        "by",
        "de",
        "del",
        "der",
        "des",
        "di",
        "die",
        "du",
        "en",
        "et",
        "for",
        "from",
        "in",
        "la",
        "le",
        "les",
        "of",
        "on",
        "or",
        "the",
        "to",
        "und",
        "und",
        "von",
        "with",
        "y",
    ]
)


class Definition(NamedTuple):
    short: str
    long: str


def definitions(text: str) -> list[Definition]:
    """Each once, in the text's order. The long form as the text has it, its white space made one."""
    found: dict[Definition, None] = {}
    if "(" in text or "[" in text:
        for each in (*_long_first(text), *_short_first(text)):
            found.setdefault(each)
            if len(found) == MOST_DEFINITIONS:
                break
    return list(found)


def _long_first(text: str) -> Iterator[Definition]:
    """The fewest words before the bracket that the letters stand for."""
    for match in _AFTER.finditer(text):
        short = match[1]
        if short.islower() or not any(map(str.isupper, short)):
            continue
        before = text[max(0, match.start() - MOST_LONG_CHARS) : match.start()]
        before = _END.split(before)[-1]
        words = list(_WORD.finditer(before))[-MOST_WORDS_BEFORE:]
        for word in reversed(words):
            long = " ".join(before[word.start() :].strip(" \"'“”‘’`*_").split())
            if abbreviates(short, long):
                yield Definition(short, long)
                break


def _short_first(text: str) -> Iterator[Definition]:
    for match in _BEFORE.finditer(text):
        long = " ".join(match[2].split(",")[0].split(";")[0].strip(" \"'“”‘’`*_").split())
        if abbreviates(match[1], long):
            yield Definition(match[1], long)


def abbreviates(short: str, long: str) -> bool:
    """MQ for Message Queue, IETF for Internet Engineering Task Force, UTF for Unicode Transformation Format.

    The first letters of all words but small ones, in order; a word may give further letters (XML for Extensible Markup Language,
    TeX for no such thing). A guard for what an extractor says, an LLM's above all: it finds no pairs by itself.
    """
    letters = [letter for letter in (short[:-1] if short[-1:] == "s" else short).casefold() if letter.isalnum()]
    if not 2 <= len(letters) <= MOST_SHORT_CHARS or short.islower() or len(long) > MOST_LONG_CHARS or len(long) <= len(short):
        return False
    words = [word for word in re.findall(r"[^\W_]+", long.casefold()) if word not in _SMALL or word[0] in letters]
    return len(words) > 1 and _spells(letters, words)


def _spells(letters: list[str], words: list[str]) -> bool:
    """Every word but small ones gives one letter or more, the first of them its own first (or second, of words in ex-)."""
    if not words:
        return not letters
    word, rest = words[0], words[1:]
    if word in _SMALL and _spells(letters, rest):
        return True
    if not letters:
        return False
    start = 0 if word[0] == letters[0] else 1 if word[:2] == "ex" and letters[0] == "x" else -1
    if start < 0:
        return False
    at, taken = start, 1
    while not _spells(letters[taken:], rest):
        if taken == len(letters) or taken == 3:
            return False
        at = word.find(letters[taken], at + 1)
        if at < 0:
            return False
        taken += 1
    return True
