"""Entities and relations by an LLM. What it gets wrong costs one passage its extraction, never the job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

from localmind.errors import ConfigurationError, LLMUnavailable, LocalMindError
from localmind.extraction import prompting
from localmind.extraction.answers import read_answer, read_several
from localmind.extraction.port import Asked, ExtractionResult, Extractor, Passage
from localmind.extraction.prompting import PROMPT
from localmind.ids import text_hash
from localmind.llm.answers import Unreadable
from localmind.llm.metering import Meter, Spent
from localmind.llm.port import LLM, RequestRefused, Turn
from localmind.llm.tokens import estimated_tokens
from localmind.model import ENTITY_TYPES, Extraction
from localmind.operations import tracing

MOST_SHOWN_CHARS = 4000  # of an answer that can't be read, when the model is shown it again
MOST_VERSION_CHARS = 128  # the cache's column

USELESS_GROUPS = 3
"""Calls for several passages in a row without one answer that could be read, after which each passage is asked about by itself."""


class LLMExtractor:
    """At most one call a passage, at most `concurrency` at once over all threads; one more where an answer can't be read.

    types: what an entity is preferably. per_call: passages in one call, as far as context_tokens takes them with their answers;
    those that the answer leaves out are asked about alone. fallback: what extracts a passage that was given up; None: nobody.
    """

    costly = True

    def __init__(
        self,
        llm: LLM,
        *,
        concurrency: int,
        fallback: Extractor | None = None,
        types: Sequence[str] = ENTITY_TYPES,
        per_call: int = 1,
        context_tokens: int = 8192,
    ) -> None:
        self._llm = llm
        self._concurrency = concurrency
        self._turn_to_ask = threading.BoundedSemaphore(concurrency)
        self._fallback = fallback
        self._types = tuple(types)
        self._per_call = per_call
        self._context_tokens = context_tokens
        self._useless_groups = 0

    @property
    def version(self) -> str:
        types = "" if self._types == ENTITY_TYPES else f"/{text_hash(','.join(self._types))[:8]}"
        version = f"{self._llm.model}/{PROMPT}{types}"
        if len(version) <= MOST_VERSION_CHARS:
            return version
        return f"{text_hash(self._llm.model)[:32]}/{PROMPT}{types}"

    def extract(self, passages: Sequence[Passage]) -> list[ExtractionResult]:
        asked = self.ask(passages)
        if asked.stopped is not None:
            raise asked.stopped
        return [result for result in asked.results if result is not None]

    def ask(self, passages: Sequence[Passage]) -> Asked:
        """See PaidExtractor. What has not been asked when the LLM is found to be away is not asked."""
        results: list[ExtractionResult | None] = [None] * len(passages)
        meter = Meter()
        if not passages:
            return Asked(results, meter.spent)
        groups = self._groups(passages)
        stopped: LocalMindError | None = None
        with ThreadPoolExecutor(min(self._concurrency, len(groups)), thread_name_prefix="extract") as pool:
            calls = [pool.submit(tracing.carried(self._group), group, passages, results, meter) for group in groups]
            try:
                for call in calls:
                    try:
                        call.result()
                    except (LLMUnavailable, ConfigurationError) as error:
                        stopped = stopped or error
                        pool.shutdown(wait=False, cancel_futures=True)
                    except CancelledError:
                        continue
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return Asked(results, meter.spent, stopped)

    def estimate(self, passages: Sequence[Passage], count: Callable[[str], int] = estimated_tokens) -> Spent:
        spent = Spent()
        for group in self._groups(passages):
            turns = prompting.turns([passages[place] for place in group], self._types)
            sent = sum(count(turn.content) + prompting.TURN_TOKENS for turn in turns)
            spent = spent.plus(Spent(1, sent, prompting.EXPECTED_ANSWER_TOKENS * len(group)))
        return spent

    def _groups(self, passages: Sequence[Passage]) -> list[list[int]]:
        most = 1 if self._useless_groups >= USELESS_GROUPS else self._per_call
        return prompting.groups(passages, most=most, context_tokens=self._context_tokens, types=self._types)

    def _group(self, places: Sequence[int], passages: Sequence[Passage], results: list[ExtractionResult | None], meter: Meter) -> None:
        """Each result is in its place as soon as it is known."""
        if len(places) > 1:
            for place, extraction in self._several(places, passages, meter).items():
                results[place] = ExtractionResult(extraction)
        for place in places:
            if results[place] is None:
                results[place] = self._one(passages[place], meter)

    def _several(self, places: Iterable[int], passages: Sequence[Passage], meter: Meter) -> Mapping[int, Extraction]:
        """What one call tells of these passages; what it lacks, or refuses for one of the texts, is left out."""
        asked = [passages[place] for place in places]
        by_id = dict(zip(prompting.ids(asked), places, strict=True))
        turns = prompting.turns(asked, self._types)
        try:
            answer = self._ask(turns, len(asked), meter)
        except RequestRefused:
            return {}
        read = read_several(answer, {key: passages[place].text for key, place in by_id.items()})
        self._useless_groups = 0 if read else self._useless_groups + 1
        return {by_id[key]: extraction for key, extraction in read.items()}

    def _one(self, passage: Passage, meter: Meter) -> ExtractionResult:
        turns = prompting.turns([passage], self._types)
        try:
            answer = self._ask(turns, 1, meter)
            try:
                return ExtractionResult(read_answer(answer, passage.text))
            except Unreadable as problem:
                turns.append(Turn("assistant", answer[:MOST_SHOWN_CHARS] or "(nothing)"))
                turns.append(Turn("user", f"That can't be used: {problem}. Answer again with the JSON object alone."))
            return ExtractionResult(read_answer(self._ask(turns, 1, meter), passage.text))
        except Unreadable as problem:
            return self._given_up(passage, f"The LLM's entities can't be read: {problem}.")
        except RequestRefused as refusal:  # this text: too long for the model, or against the provider's rules
            return self._given_up(passage, str(refusal))

    def _ask(self, turns: Sequence[Turn], count: int, meter: Meter) -> str:
        most = prompting.answer_tokens(turns, count, context_tokens=self._context_tokens)
        schema: Mapping[str, Any] = prompting.schema(count)
        with self._turn_to_ask:
            completion = self._llm.complete(turns, max_tokens=most, schema=schema)
        meter.add(turns, completion)
        return completion.text

    def _given_up(self, passage: Passage, problem: str) -> ExtractionResult:
        if self._fallback is None:
            return ExtractionResult(Extraction(), problem)
        return ExtractionResult(self._fallback.extract([passage])[0].extraction, f"{problem} Keyphrases stand in for them.")
