"""Title and summary of a community by an LLM: one call, its answer checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from localmind.chat import markers, reasoning
from localmind.communities.describing import Text
from localmind.ids import text_hash
from localmind.llm.answers import object_with, one_line
from localmind.llm.port import LLM, Turn
from localmind.llm.tokens import estimated_tokens
from localmind.model import CentralEntity, Usage

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


def write(llm: LLM, entities: Sequence[CentralEntity], texts: Sequence[Text]) -> tuple[Written | None, Usage]:
    """None where the answer can't be used. Raises LLMUnavailable, ConfigurationError."""
    rules = (files("localmind.communities") / "prompts" / f"{PROMPT}.md").read_text("utf-8").strip()
    turns = [Turn("system", rules), Turn("user", _message(entities, texts))]
    text, usage = llm.complete(turns, max_tokens=MAX_TOKENS, schema=_SCHEMA)
    return parse(reasoning.of_whole(text)), usage


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
    tag = f"passage-{text_hash(''.join(each.text for each in texts))[:10]}"  # no text can hold a hash over itself
    left, blocks = PASSAGE_TOKENS, []
    for each in texts:
        taken = each.text[: left * 3]
        blocks.append(f"<{tag}>\n{taken}\n</{tag}>")
        left -= estimated_tokens(taken)
        if left < 50:
            break
    return f"Names: {json.dumps([each.name for each in entities], ensure_ascii=False)}\n\n" + "\n".join(blocks)
