"""What an LLM is asked for entities: the prompt's files, filled in; and how many passages fit into one call. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from localmind.extraction.port import Passage
from localmind.ids import text_hash
from localmind.llm.port import Turn
from localmind.llm.tokens import estimated_tokens
from localmind.readers.cleaning import one_line

PROMPT = "entities-2"
"""A folder of prompts/: rules, schema and example. Its name is part of the cache's key, so a changed prompt is a new folder."""

MOST_ANSWER_TOKENS = 3000
ANSWER_TOKENS_A_PASSAGE = 1200
"""Room for an answer about one of several passages; 15 entities and 15 relations of 25 words fill it, most take a third."""

EXPECTED_ANSWER_TOKENS = 350
"""What an answer about a chunk of 256 tokens is taken to have when costs are estimated: about 6 entities and 5 relations."""

LEAST_ANSWER_TOKENS = 256
TURN_TOKENS = 8
"""What a chat template puts around a turn, rounded up."""


def schema(count: int) -> Mapping[str, Any]:
    """The JSON schema of an answer about so many passages."""
    return _schema() if count == 1 else _several_schema()


def turns(passages: Sequence[Passage], types: Sequence[str]) -> list[Turn]:
    """The system prompt and the user's message; each passage's text stands in it verbatim."""
    rules = system(tuple(types))
    if len(passages) == 1:
        return [Turn("system", rules), Turn("user", user_message(passages[0]))]
    return [Turn("system", f"{rules}\n{_file('several.md')}"), Turn("user", _several_message(passages))]


@cache
def system(types: tuple[str, ...]) -> str:
    """The rules for one passage. A type is data of the settings: braces in it are not filled in."""
    example = json.loads(_file("example.json"))
    answer = json.dumps(example["answer"], ensure_ascii=False)
    before, after = _file("system.md").split("{types}")
    return before + ", ".join(types) + after.replace("{passage}", example["passage"]).replace("{answer}", answer)


def user_message(passage: Passage) -> str:
    """The text verbatim between two marks that it can't contain, since they are made of its hash: it can't close them itself."""
    framed = _framed(passage.text, f"PASSAGE {text_hash(passage.text)[:8]}")
    return f"Title: {one_line(passage.title)}\nHeading: {one_line(passage.heading)}\n\n{framed}"


def ids(passages: Sequence[Passage]) -> list[str]:
    """By which an answer names each of several passages: its place, from 1, and a hash over all texts, which none of them can hold."""
    digest = text_hash("".join(passage.text for passage in passages))[:6]
    return [f"{place}-{digest}" for place in range(1, len(passages) + 1)]


def _several_message(passages: Sequence[Passage]) -> str:
    title = passages[0].title
    told = [f"Title: {one_line(title)}" if all(passage.title == title for passage in passages) else ""]
    for id_, passage in zip(ids(passages), passages, strict=True):
        above = "" if told[0] else f"Title: {one_line(passage.title)}\n"
        told.append(f"{above}Heading: {one_line(passage.heading)}\n{_framed(passage.text, f'PASSAGE {id_}')}")
    return "\n\n".join(told).strip()


def _framed(text: str, mark: str) -> str:
    return f"--- {mark} ---\n{text}\n--- END OF {mark} ---"


def groups(passages: Sequence[Passage], *, most: int, context_tokens: int, types: Sequence[str]) -> list[list[int]]:
    """Places of the passages that share a call, in order: at most `most`, and no more than the context takes with their answers."""
    room = context_tokens - estimated_tokens(system(tuple(types)) + _file("several.md")) - 2 * TURN_TOKENS
    made: list[list[int]] = []
    used = room
    for place, passage in enumerate(passages):
        needed = estimated_tokens(user_message(passage)) + ANSWER_TOKENS_A_PASSAGE
        if made and len(made[-1]) < most and used + needed <= room:
            made[-1].append(place)
            used += needed
        else:
            made.append([place])
            used = needed
    return made


def answer_tokens(asked: Sequence[Turn], count: int, *, context_tokens: int) -> int:
    """Most tokens of the answer about so many passages."""
    left = context_tokens - sum(estimated_tokens(turn.content) + TURN_TOKENS for turn in asked)
    return max(LEAST_ANSWER_TOKENS, min(MOST_ANSWER_TOKENS if count == 1 else ANSWER_TOKENS_A_PASSAGE * count, left))


@cache
def _schema() -> Mapping[str, Any]:
    read: Mapping[str, Any] = json.loads(_file("schema.json"))
    return read


@cache
def _several_schema() -> Mapping[str, Any]:
    one = _schema()
    passage = {**one, "properties": {"id": {"type": "string"}, **one["properties"]}, "required": ["id", *one["required"]]}
    listed = {"type": "array", "items": passage}
    return {"type": "object", "properties": {"passages": listed}, "required": ["passages"]}


@cache
def _file(name: str) -> str:
    return files(__package__).joinpath("prompts", PROMPT, name).read_text(encoding="utf-8")
