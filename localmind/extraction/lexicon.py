"""The words that name nothing (words.toml), and the language that they tell."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Language(NamedTuple):
    """breaks: what ends a phrase, of which a name may hold the adjectives (New York). generic: what makes no phrase alone.

    function: articles and the like. nouns_capitalised: as in German.
    """

    code: str
    function: frozenset[str]
    adjectives: frozenset[str]
    breaks: frozenset[str]
    generic: frozenset[str]
    nouns_capitalised: bool


class Lexicon:
    """Every language's words. captions: "figure", "chapter" and the like. The rest is described in words.toml."""

    def __init__(self) -> None:
        tables = tomllib.loads(files(__package__).joinpath("words.toml").read_text(encoding="utf-8"))
        words = {name: {code: frozenset(text.split()) for code, text in table.items()} for name, table in tables.items()}
        self.captions = words["captions"]["all"]
        self.connectors = words["forms"]["connectors"]
        self.takes_for = words["forms"]["takes_for"]
        self.not_adverbs = words["forms"]["not_adverbs"]
        self.abbreviations = words["forms"]["abbreviations"]
        self.calls = words["forms"]["calls"]
        self.kinds = words["kinds"]
        none: frozenset[str] = frozenset()
        weak, verbs, generic = words["weak"], words["verbs"], words["generic"]
        never_alone = words["captions"]["all"] | words["captions"]["calendar"]
        self.languages = tuple(
            Language(
                code,
                function,
                adjectives=weak.get(code, none),
                breaks=function | verbs.get(code, none) | weak.get(code, none),
                generic=generic.get(code, none) | never_alone,
                nouns_capitalised=code == "de",
            )
            for code, function in words["function"].items()
        )
        self._tells: dict[str, tuple[int, ...]] = {}
        for number, function in enumerate(words["function"].values()):
            for word in function:
                self._tells[word] = (*self._tells.get(word, ()), number)

    @property
    def english(self) -> Language:
        return self.languages[0]

    def language(self, words: Iterable[str]) -> Language:
        """The language with the most function words among `words` (lower case); English, the first, where nothing tells."""
        hits = [0.0] * len(self.languages)
        tells = self._tells.get
        for word in words:
            for number in tells(word, ()):
                hits[number] += 1
        return self.languages[max(range(len(hits)), key=lambda number: (hits[number], -number))]


@cache
def lexicon() -> Lexicon:
    return Lexicon()
