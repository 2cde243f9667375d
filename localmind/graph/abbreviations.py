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

MOST_OF_A_WORD = 3

_SHORT = r"[^\W\d_][\w&/.-]{0,8}\w"
_AFTER = re.compile(rf"[\"'“”‘’`]?\s?[(\[][\"'“‘`]?({_SHORT})[\"'”’`]?(?:[)\]]|[,;] )")
_BEFORE = re.compile(rf"(?<![\w-])({_SHORT}) [(]([^\W\d_][^()\n]{{5,80}})[)]")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_END = re.compile(r"[.;:!?()\[\]{}|<>*#`\"“”]|\n\s*\n|\s['‘]|'\s")
_PLACE = re.compile(r"\s(?:of|in|for)\s(?:the\s)?[A-Z][^\W\d_]+$")
_SMALL_WORDS = """
a an and as at based by de del der des di die du en et for from in la le les of on or the to und von with y
"""
_SMALL = frozenset(_SMALL_WORDS.split())


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
    """The fewest words before the bracket whose first letters are the short form, else those whose letters can be it."""
    for match in _AFTER.finditer(text):
        short = match[1]
        if short.islower() or not any(map(str.isupper, short)):
            continue
        before = _END.split(text[max(0, match.start() - MOST_LONG_CHARS) : match.start()])[-1]
        longs = [" ".join(before[word.start() :].split()) for word in reversed(list(_WORD.finditer(before))[-MOST_WORDS_BEFORE:])]
        longs = [long for long in longs if long.partition(" ")[0].casefold() not in _SMALL and not long[-1:].isspace()]
        found = next((long for long in longs if abbreviates(short, long, strictly=True)), None)
        found = found or next((long for long in longs if abbreviates(short, long)), None)
        if found:
            yield Definition(short, found)


def _short_first(text: str) -> Iterator[Definition]:
    for match in _BEFORE.finditer(text):
        long = " ".join(match[2].split(",")[0].split(";")[0].strip(" \"'“”‘’`*_").split())
        if abbreviates(match[1], long):
            yield Definition(match[1], long)


def abbreviates(short: str, long: str, *, strictly: bool = False) -> bool:
    """MQ for Message Queue, IETF for Internet Engineering Task Force, UTF for Unicode Transformation Format.

    The first letters of all words but small ones, in order; unless strictly, a word may give further letters (XML for Extensible
    Markup Language), and a place at the end none (NFB for National Film Board of Canada). Also a guard for what an extractor says.
    """
    letters = [letter for letter in (short[:-1] if short[-1:] == "s" else short).casefold() if letter.isalnum()]
    if not 2 <= len(letters) <= MOST_SHORT_CHARS or short.islower() or len(long) > MOST_LONG_CHARS or len(long) <= len(short):
        return False
    if _spells(letters, _words(long), strictly=strictly):
        return True
    place = _PLACE.search(long)
    return not strictly and len(letters) > 2 and place is not None and _spells(letters, _words(long[: place.start()]), strictly=True)


def _words(long: str) -> list[str]:
    """In lower case. Of a word with hyphens the later parts are marked: they may be passed over."""
    found: list[str] = []
    for match in _WORD.finditer(long.casefold()):
        is_part = match.start() > 0 and long[match.start() - 1] in "-‐–/"
        found.append(f"-{match[0]}" if is_part else match[0])
    return found if len(found) > 1 else []


def _spells(letters: list[str], words: list[str], *, strictly: bool) -> bool:
    """Every word but small ones gives one letter or more, the first of them its own first (or second, of words in ex-)."""
    if not words:
        return not letters
    rest = words[1:]
    word = words[0].removeprefix("-")
    if (word in _SMALL or (word != words[0] and not strictly)) and _spells(letters, rest, strictly=strictly):
        return True
    if not letters:
        return False
    start = 0 if word[0] == letters[0] else 1 if word[:2] == "ex" and letters[0] == "x" else -1
    if start < 0:
        return word == "and" and letters[0] == "n" and _spells(letters[1:], rest, strictly=strictly)
    at, taken = start, 1
    while not _spells(letters[taken:], rest, strictly=strictly):
        if strictly or taken == min(len(letters), MOST_OF_A_WORD):
            return False
        at = word.find(letters[taken], at + 1)
        if at < 0:
            return False
        taken += 1
    return True
