"""Abbreviations that a text defines: "Message Queue (MQ)", "MQ (message queue)"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

MOST_SHORT_CHARS = 10
MOST_LONG_CHARS = 120

MOST_WORDS_BEFORE = 12
MOST_DEFINITIONS = 50
"""Of one chunk: a table of abbreviations is read, a page of noise is not."""

MOST_OF_A_WORD = 3
MOST_CHARS_BEFORE = 300
MOST_CLAUSES = 4

_SHORT = r"[^\W\d_][\w&/.-]{0,8}\w"
_AFTER = re.compile(rf"[\"'“”‘’`]?\s?[(\[][\"'“‘`]?({_SHORT})[\"'”’`]?(?:[)\]]|[,;] )")
_BEFORE = re.compile(rf"(?<![\w-])({_SHORT}) [(]([^\W\d_][^()\n]{{5,80}})[)]")
_ABBREVIATED = re.compile(rf"\b(?:abbreviated|shortened)(?:\s(?:to|as))?(?:\sthe)?\s[\"'“‘`*]?({_SHORT})")
_STANDS_FOR = re.compile(rf"(?<![\w-])({_SHORT})[\"'”’`*]?\s(?:stands for|is short for|is an abbreviation of)\s(?:the\s)?")
_CLAUSE = re.compile(r"[,.;:!?()\[\]{}|<>]|\n\s*\n")
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
        found |= dict.fromkeys((*_long_first(text), *_short_first(text)))
    return list(found | dict.fromkeys(_told(text)))[:MOST_DEFINITIONS]


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


def _told(text: str) -> Iterator[Definition]:
    """In so many words: "abbreviated to MQ", "MQ stands for Message Queue"."""
    for match in _ABBREVIATED.finditer(text):
        if match[1].islower():
            continue
        clauses = filter(str.strip, _CLAUSE.split(text[max(0, match.start() - MOST_CHARS_BEFORE) : match.start()]))
        for clause in reversed(list(clauses)[-MOST_CLAUSES:]):
            words = list(_WORD.finditer(clause))[-MOST_WORDS_BEFORE:]
            longs = [" ".join(clause[word.start() :].split()) for word in reversed(words)]
            found = next((long for long in longs if abbreviates(match[1], long, strictly=True)), None)
            if found:
                yield Definition(match[1], found)
                break
    for match in _STANDS_FOR.finditer(text):
        after = _CLAUSE.split(text[match.end() : match.end() + MOST_LONG_CHARS])[0]
        ends = [word.end() for word in list(_WORD.finditer(after))[:MOST_WORDS_BEFORE]]
        longs = [" ".join(after[:end].strip(" \"'“”‘’`*_").split()) for end in ends]
        found = next((long for long in longs if abbreviates(match[1], long, strictly=True)), None)
        if found and not match[1].islower():
            yield Definition(match[1], found)


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

    @cache
    def fits(at: int, place: int) -> bool:
        """Whether the letters from `at` on are those of the words from `place` on."""
        if place == len(words):
            return at == len(letters)
        word = words[place].removeprefix("-")
        if (word in _SMALL or (word != words[place] and not strictly)) and fits(at, place + 1):
            return True
        if at == len(letters):
            return False
        found = 0 if word[0] == letters[at] else 1 if word[:2] == "ex" and letters[at] == "x" else -1
        if found < 0:
            return word == "and" and letters[at] == "n" and fits(at + 1, place + 1)
        for taken in range(1, MOST_OF_A_WORD + 1):
            if fits(at + taken, place + 1):
                return True
            found = -1 if strictly or at + taken == len(letters) else word.find(letters[at + taken], found + 1)
            if found < 0:
                return False
        return False

    return fits(0, 0)
