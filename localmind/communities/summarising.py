"""Title and summary of communities by an LLM: one call each, its answer checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import NamedTuple

import structlog
from pydantic import BaseModel, ValidationError

from localmind.chat import markers, reasoning
from localmind.communities.describing import Text
from localmind.errors import ConfigurationError, LLMUnavailable
from localmind.ids import text_hash
from localmind.llm.answers import object_with, one_line
from localmind.llm.metering import Meter, Spent
from localmind.llm.port import LLM, RequestRefused, Turn
from localmind.llm.tokens import estimated_tokens
from localmind.model import CentralEntity
from localmind.operations import metrics

PROMPT = "community.v1"
MAX_TOKENS = 400
PASSAGE_TOKENS = 1_500
"""Of all passages together."""

PROMPT_TOKENS = PASSAGE_TOKENS + 500
"""Of a call, about: with the rules and the names."""

TITLE_CHARS, SUMMARY_CHARS = 100, 1_200

_SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "summary": {"type": "string"}},
    "required": ["title", "summary"],
    "additionalProperties": False,
}


class Written(NamedTuple):
    title: str
    summary: str


class _Answer(BaseModel):
    title: str
    summary: str


def version(llm: LLM) -> str:
    """Which model and prompt: what another one wrote is written anew."""
    return f"{llm.model} {PROMPT}"[:128]


class Asked(NamedTuple):
    """A community that the LLM is asked about: its central entities, and passages of it."""

    entities: Sequence[CentralEntity]
    texts: Sequence[Text]


def write_all(llm: LLM, asked: Sequence[Asked], *, at_once: int) -> tuple[list[Written | None], Spent]:
    """One call each, and what the answered ones cost. None where there is no answer, or none that can be used: the community keeps its
    own words, and is asked about again at the next change.
    """
    meter = Meter()
    with ThreadPoolExecutor(at_once, thread_name_prefix="communities-llm") as pool:
        written = list(pool.map(lambda one: _write(llm, one, meter), asked))
    return written, meter.spent


def _write(llm: LLM, asked: Asked, meter: Meter) -> Written | None:
    rules = (files("localmind.communities") / "prompts" / f"{PROMPT}.md").read_text("utf-8").strip()
    turns = [Turn("system", rules), Turn("user", _message(*asked))]
    try:
        completion = llm.complete(turns, max_tokens=MAX_TOKENS, schema=_SCHEMA)
    except (LLMUnavailable, ConfigurationError) as error:
        if not isinstance(error, RequestRefused):
            structlog.get_logger(__name__).warning("llm_failed", during="communities", error_type=error.error_type)
        metrics.community_summaries_total.labels("failed").inc()
        return None
    meter.add(turns, completion)
    written = parse(reasoning.of_whole(completion.text))
    metrics.community_summaries_total.labels("written" if written else "unusable").inc()
    return written


def parse(answer: str) -> Written | None:
    """The JSON object in an answer, whatever stands around it."""
    try:
        found = _Answer.model_validate(object_with(answer, *_Answer.model_fields))
    except ValidationError:
        return None
    title = one_line(markers.without(found.title)).strip(" .")[:TITLE_CHARS]
    summary = one_line(markers.without(found.summary))[:SUMMARY_CHARS]
    return Written(title, summary) if title and summary else None


def _message(entities: Sequence[CentralEntity], texts: Sequence[Text]) -> str:
    names = json.dumps([each.name for each in entities], ensure_ascii=False)
    tag = f"passage-{text_hash(names + ''.join(each.text for each in texts))[:10]}"  # nothing can hold a hash over itself
    left, blocks = PASSAGE_TOKENS, []
    for each in texts:
        taken = each.text[: left * 3]
        blocks.append(f"<{tag}>\n{taken}\n</{tag}>")
        left -= estimated_tokens(taken)
        if left < 50:
            break
    return f"Names: {names}\n\n" + "\n".join(blocks)
