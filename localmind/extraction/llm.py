"""Entities and relations by an LLM. What it gets wrong costs one passage its extraction, never the job."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files

from localmind.extraction.answers import SCHEMA, Unreadable, read_answer
from localmind.extraction.port import ExtractionResult, Extractor, Passage
from localmind.ids import text_hash
from localmind.llm.port import LLM, RequestRefused, Turn
from localmind.model import Extraction

PROMPT = "entities-1"
"""A file of prompts/. Its name is part of `version`, the cache's key, so a changed prompt is a new file."""

MOST_ANSWER_TOKENS = 3000
MOST_SHOWN_CHARS = 4000  # of an answer that can't be read, when the model is shown it again


class LLMExtractor:
    """One call a passage, at most `concurrency` at once over all threads; a second one where the answer can't be read.

    fallback: what extracts a passage that was given up; None: nobody.
    """

    costly = True

    def __init__(self, llm: LLM, *, concurrency: int, fallback: Extractor | None = None) -> None:
        self._llm = llm
        self._concurrency = concurrency
        self._turn_to_ask = threading.BoundedSemaphore(concurrency)
        self._fallback = fallback

    @property
    def version(self) -> str:
        return f"{self._llm.model}/{PROMPT}"

    def extract(self, passages: Sequence[Passage]) -> list[ExtractionResult]:
        if not passages:
            return []
        with ThreadPoolExecutor(min(self._concurrency, len(passages)), thread_name_prefix="extract") as pool:
            calls = [pool.submit(self._one, passage) for passage in passages]
            try:
                return [call.result() for call in calls]
            except BaseException:
                # The LLM is away, or somebody stops us: what has not been asked yet is not asked.
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _one(self, passage: Passage) -> ExtractionResult:
        turns = [Turn("system", _prompt()), Turn("user", user_message(passage))]
        try:
            answer = self._ask(turns)
            try:
                return ExtractionResult(read_answer(answer, passage.text))
            except Unreadable as problem:
                turns.append(Turn("assistant", answer[:MOST_SHOWN_CHARS] or "(nothing)"))
                turns.append(Turn("user", f"That can't be used: {problem}. Answer again with the JSON object alone."))
            return ExtractionResult(read_answer(self._ask(turns), passage.text))
        except Unreadable as problem:
            return self._given_up(passage, f"The LLM's entities can't be read: {problem}.")
        except RequestRefused as refusal:  # this text: too long for the model, or against the provider's rules
            return self._given_up(passage, str(refusal))

    def _ask(self, turns: Sequence[Turn]) -> str:
        with self._turn_to_ask:
            return self._llm.complete(turns, max_tokens=MOST_ANSWER_TOKENS, schema=SCHEMA).text

    def _given_up(self, passage: Passage, problem: str) -> ExtractionResult:
        if self._fallback is None:
            return ExtractionResult(Extraction(), problem)
        return ExtractionResult(self._fallback.extract([passage])[0].extraction, f"{problem} Keyphrases stand in for them.")


def user_message(passage: Passage) -> str:
    """The text verbatim between two marks that it can't contain, since they are made of its hash: it can't close them itself."""
    mark = f"PASSAGE {text_hash(passage.text)[:12]}"
    return f"Title: {passage.title}\nHeading: {passage.heading}\n\n--- {mark} ---\n{passage.text}\n--- END OF {mark} ---"


@cache
def _prompt() -> str:
    return files(__package__).joinpath("prompts", f"{PROMPT}.md").read_text(encoding="utf-8")
