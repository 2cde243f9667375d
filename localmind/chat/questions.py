"""What kind of answer a question wants, and whether a sentence has its shape."""

from __future__ import annotations

import re
from enum import Enum

from localmind.chat.sentences import Kind
from localmind.chat.terms import stems, words


class Wanted(Enum):
    TIME = "time"
    NUMBER = "number"
    PERSON = "person"
    PLACE = "place"
    STEPS = "steps"
    ANYTHING = "anything"


_QUESTIONS = (
    (
        Wanted.NUMBER,
        re.compile(
            r"\bhow (?:many|much|long|far|old|big|large|often|fast|tall|high|deep|heavy)\b|\bwhat (?:percentage|share|number|amount|size)\b"
        ),
    ),
    (
        Wanted.TIME,
        re.compile(
            r"\b(?:when|since when)\b|\b(?:what|which|in what|in which) (?:year|date|day|month|century|decade|time)\b|\bhow long ago\b"
        ),
    ),
    (Wanted.PERSON, re.compile(r"\b(?:who|whom|whose)\b")),
    (Wanted.PLACE, re.compile(r"\bwhere\b|\b(?:what|which) (?:city|country|place|town|state|folder|directory|file|path)\b")),
    (
        Wanted.STEPS,
        re.compile(
            r"\bhow (?:do|can|could|should|would) (?:i|we|you|one)\b|\bhow to\b|\bwhat (?:do|should|can) i do\b|\bwhich (?:command|steps)\b"
        ),
    ),
)

_MONTH = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
_SHAPES = {
    Wanted.TIME: re.compile(
        rf"\b(?:1\d{{3}}|20\d{{2}})\b|\b\d{{1,2}} {_MONTH}|\b{_MONTH} \d|\b\d{{1,2}}:\d\d\b|\b\d+ (?:years?|days?|hours?) ago\b",
        re.IGNORECASE,
    ),
    Wanted.NUMBER: re.compile(
        r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|hundred|thousand|million|billion|half|dozen)\b",
        re.IGNORECASE,
    ),
    Wanted.PERSON: re.compile(
        r"[^\W\d_]\S* (?:[A-Z]\. )*[A-Z]\w+ (?:[A-Z]\. )*[A-Z]\w+|^[A-Z]\w+ (?:[A-Z]\. )*[A-Z]\w+ |\b(?:person|people|team|company)\b"
    ),
    Wanted.PLACE: re.compile(r"\b(?:in|at|near|from|to|under|on|of) (?:the )?(?:[A-Z/~`]|[a-z_]+/)"),
}

_LINKS_OR_NOISE = re.compile(r"(?:https?://\S+|[\W\d_]+)")


def wants(question: str) -> Wanted:
    folded = question.casefold()
    return next((wanted for wanted, pattern in _QUESTIONS if pattern.search(folded)), Wanted.ANYTHING)


def names(question: str) -> frozenset[str]:
    """Stems of the words that name something: capitals and digits, but not the first word, whose capital says nothing."""
    first, *others = list(words(question)) or [""]
    named = [word for word in others if word[0].isupper() or word[0].isdigit()]
    return stems(" ".join([*named, *([first] if first[:1].isdigit() else [])]))


def shape_of(text: str, kind: Kind, wanted: Wanted) -> float:
    """What a sentence's form adds to its score, about -0.3 to 0.1: what the question asks for, whole sentences, no questions."""
    score = 0.0
    if wanted is Wanted.STEPS:
        score += 0.04 if kind in (Kind.ITEM, Kind.CODE) or text.endswith(":") or "`" in text else 0.0
    elif wanted in _SHAPES and _SHAPES[wanted].search(text):
        score += 0.06
    if text.endswith("?"):
        score -= 0.15
    if kind is Kind.PROSE and (text[:1].islower() or text[-1:] not in '.!:。！"”’)'):
        score -= 0.05  # a piece of a sentence, a caption, a line of a table
    if kind is Kind.CODE or _LINKS_OR_NOISE.fullmatch(text):
        score -= 0.1
    if len(text.split()) < 4 and text.isascii():
        score -= 0.1
    return score
