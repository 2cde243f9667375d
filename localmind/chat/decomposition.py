"""Questions that need two documents: an LLM takes them apart, and each part is searched for beside the whole."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from localmind.chat import prompt, reasoning
from localmind.chat.terms import content_words, stems
from localmind.errors import ConfigurationError, LLMUnavailable
from localmind.llm.answers import object_with, one_line
from localmind.llm.port import LLM, Turn
from localmind.model import Hit, Usage

log = structlog.get_logger()

MOST_QUESTIONS = 3
MAX_TOKENS = 200
MAX_QUESTION_CHARS = 2000
"""A longer message is a text with a question in it: nobody can tell what its parts would be."""

MAX_PART_CHARS = 300
TIMEOUT_S = 8.0
"""Somebody waits: after that the question is searched for as it is."""

LEAST_WORDS = 4
"""A question with fewer words that carry meaning asks for one thing."""

FAILURES = 3
REST_S = 600.0
"""A model that was too slow so often in a row is not waited for again for so long: every answer would come later for nothing."""

OWN_A_ROUND = 2
MORE_PASSAGES = 4

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"questions": {"type": "array", "items": {"type": "string"}}},
    "required": ["questions"],
}

_TWO_THINGS = re.compile(
    r"\b(?:both|same|either|neither|which of|compared?|compares|versus|vs|difference|differ|than|respectively|while|whereas)\b"
    r"|\b(?:and|or)\b.*\?|,|\?.*\w.*\?",
    re.IGNORECASE | re.DOTALL,
)
_ONE_THROUGH_ANOTHER = re.compile(
    r"\bthe [\w-]+(?: [\w-]+)? (?:of|by|for|from|in|at|that|which|who|whose|where|with)\b"
    r"|['’]s\b|\w\b.*\b(?:whose|that|which|who|whom|where)\b",
    re.IGNORECASE | re.DOTALL,
)


class Parts(NamedTuple):
    """questions: none where the whole is one thing, or nobody could tell."""

    questions: tuple[str, ...] = ()
    usage: Usage = Usage()


def may_need_several(question: str) -> bool:
    """A rule that costs nothing: long enough, and with a sign of two things or of one that is found through another.

    Its words are English; a question without any of them in another script or language is taken for one when it is long.
    """
    if len(question) > MAX_QUESTION_CHARS or len(content_words(question)) < LEAST_WORDS:
        return False
    return bool(_TWO_THINGS.search(question) or _ONE_THROUGH_ANOTHER.search(question)) or not _is_english(question)


class Decomposition:
    """Takes questions apart, while the LLM is quick enough for that. Thread-safe. llm: None: there is nobody to ask."""

    def __init__(self, llm: LLM | None, *, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._llm, self._timeout_s, self._clock = llm, timeout_s, clock
        self._failures = 0
        self._not_before = 0.0

    def parts_of(self, question: str) -> Parts:
        """One small call, only where the rule says so. When the LLM fails, is too slow or tells nonsense there are no parts."""
        if self._llm is None or self._clock() < self._not_before or not may_need_several(question):
            return Parts()
        turns = [Turn("system", prompt.instructions(prompt.SUBQUESTIONS)), Turn("user", f"Question: {question}")]
        try:
            text, usage = self._llm.complete(turns, max_tokens=MAX_TOKENS, schema=SCHEMA, timeout_s=self._timeout_s)
        except (LLMUnavailable, ConfigurationError) as error:
            log.warning("llm_failed", during="decomposition", error_type=error.error_type)
            self._failures += 1
            if self._failures >= FAILURES:
                self._failures, self._not_before = 0, self._clock() + REST_S
            return Parts()
        self._failures = 0
        return Parts(tuple(_read(reasoning.of_whole(text), question)), usage)


def together(own: Sequence[Hit], others: Sequence[Sequence[Hit]], *, limit: int) -> list[Hit]:
    """The hits of the whole question and of its parts, each once, in turns: two of the whole's, then one of each part's.

    Somewhat more than `limit`, so that what the whole question found is crowded out by none of the parts before its first half.
    """
    lists = [iter(own), *map(iter, others)]
    found: dict[str, Hit] = {}
    most = limit + MORE_PASSAGES
    while lists and len(found) < most:
        for hits in list(lists):
            for _ in range(OWN_A_ROUND if hits is lists[0] else 1):
                fresh = next((hit for hit in hits if hit.chunk_id not in found), None)
                if fresh is not None and len(found) < most:
                    found[fresh.chunk_id] = fresh
                elif fresh is None and hits in lists:
                    lists.remove(hits)
                    break
    return list(found.values())


def _read(answer: str, question: str) -> Iterator[str]:
    """Up to three questions that are about something the whole is about; none where there is only one: that is the whole."""
    listed = object_with(answer, "questions").get("questions")
    if not isinstance(listed, list):
        return
    asked = stems(question)
    lines = dict.fromkeys(one_line(part) for part in listed if isinstance(part, str))
    sensible = [line for line in lines if 0 < len(line) <= MAX_PART_CHARS and asked & stems(line) and line != question]
    if len(sensible) > 1:
        yield from sensible[:MOST_QUESTIONS]


def _is_english(question: str) -> bool:
    """Whether it has an English question's small words."""
    return bool(re.search(r"\b(?:the|is|are|was|were|what|which|who|when|where|how|why|did|does|do|of|and)\b", question, re.IGNORECASE))
