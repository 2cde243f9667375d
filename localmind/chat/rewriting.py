"""Follow-up questions: "And who paid for it?" alone finds nothing, so it is put together with what was asked before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from localmind.chat import markers, prompt, reasoning
from localmind.chat.terms import content_words, stems
from localmind.errors import ConfigurationError, LLMUnavailable
from localmind.llm.port import LLM, Turn
from localmind.model import Message, Usage

MAX_TOKENS = 200
MAX_MESSAGE_CHARS = 1000
"""Of each earlier message, what a rewriting LLM gets to see."""

MAX_TURNS = 6
SHORT_WORDS = 2
"""A question with at most so many words that carry meaning leans on the one before."""

MAX_CARRIED_WORDS = 12

_POINTS_BACK = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|former|latter|same|(?:other|this|that) ones?|these|those)\b"
    r"|\b(?:this|that)\b(?=\s*(?:$|[?.!,]|(?:is|was|are|were|do|does|did|can|could|will|would|has|had|work|mean|happen)\b))"
    r"|\b(?:about|of|for|with|by|after|before|in|on|like|than|do|does) (?:this|that)\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"^\W*(?:and|but|or|so|then|also|what about|how about|what else|anything else|why not|what if|really)\b", re.IGNORECASE
)


class Question(NamedTuple):
    """search: what the indexes are asked. question: what is answered."""

    search: str
    question: str
    usage: Usage = Usage()
    degraded: bool = False
    """The LLM was asked and is away."""


def standalone(message: str, history: Sequence[Message], llm: LLM | None) -> Question:
    """The question as it can be understood without the conversation. history: oldest first; empty: it is a first question."""
    if not history:
        return Question(message, message)
    if llm is None:
        return Question(with_earlier_words(message, history), message)
    try:
        text, usage = llm.complete(_turns(message, history), max_tokens=MAX_TOKENS)
    except (LLMUnavailable, ConfigurationError):
        return Question(with_earlier_words(message, history), message, degraded=True)
    rewritten = _one_line(reasoning.of_whole(text))
    if not _is_plausible(rewritten, message):
        return Question(with_earlier_words(message, history), message, usage)
    return Question(rewritten, rewritten, usage)


def with_earlier_words(message: str, history: Sequence[Message]) -> str:
    """The question, with the words of those before it that it leans on; without an LLM nobody can tell more."""
    carried: dict[str, str] = {}
    current = message
    for earlier in (turn.text for turn in reversed(history) if turn.role == "user"):
        if not leans_on_earlier(current):
            break
        carried |= {word.casefold(): word for word in content_words(earlier) if word.casefold() not in carried}
        current = earlier
    there = stems(message)
    missing = [word for word in carried.values() if not stems(word) <= there]
    return " ".join([message, *missing[:MAX_CARRIED_WORDS]])


def leans_on_earlier(message: str) -> bool:
    """Whether a question is too short to stand alone, begins as a continuation, or points back with a pronoun."""
    return len(content_words(message)) <= SHORT_WORDS or bool(_GOES_ON.search(message) or _POINTS_BACK.search(message))


def _turns(message: str, history: Sequence[Message]) -> list[Turn]:
    told = "\n".join(f"{turn.role}: {_clipped(turn.text)}" for turn in history[-MAX_TURNS:])
    asked = f"Conversation:\n{told}\n\nLast question: {message}\n\nThe last question, understandable alone:"
    return [Turn("system", prompt.instructions(prompt.REWRITING)), Turn("user", asked)]


def _clipped(text: str) -> str:
    return " ".join(markers.without(text[:MAX_MESSAGE_CHARS]).split())


def _one_line(text: str) -> str:
    """The last line of what the model said: models that explain themselves do so before it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].strip("\"'“”`* ") if lines else ""


def _is_plausible(rewritten: str, message: str) -> bool:
    """Not empty, not an essay, and still about something that was asked."""
    if not rewritten or len(rewritten) > len(message) + 400:
        return False
    asked = stems(message)
    return not asked or bool(asked & stems(rewritten))
