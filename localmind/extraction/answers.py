"""What an LLM answers when it is asked for entities, read as far as it can be read. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, field_validator

from localmind.graph.naming import entity_key
from localmind.model import ExtractedEntity, ExtractedRelation, Extraction

MOST_NAME_CHARS = 200
MOST_TYPE_CHARS = 64
MOST_DESCRIPTION_CHARS = 500
MOST_STARTS = 50

_TEXT = {"type": "string"}


def _list_of(*names: str) -> dict[str, Any]:
    item = {"type": "object", "properties": dict.fromkeys(names, _TEXT), "required": list(names), "additionalProperties": False}
    return {"type": "array", "items": item}


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"entities": _list_of("name", "type", "description"), "relations": _list_of("source", "target", "type", "description")},
    "required": ["entities", "relations"],
    "additionalProperties": False,
}
"""The JSON schema of an answer."""

_THOUGHTS = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL)
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*+"|,(?=\s*[}\]])', re.DOTALL)
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Unreadable(Exception):
    """An answer that is not what was asked for. Its text completes "That can't be used: ...", for the model and for a person."""


class _Item(BaseModel):
    """Small models leave fields out or null; a name they must give."""

    type: str = ""
    description: str = ""

    @field_validator("*", mode="before")
    @classmethod
    def _clean(cls, value: object) -> object:
        if value is None:
            return ""
        return " ".join(_UNWRITABLE.sub(" ", value).split()) if isinstance(value, str) else value


class _Entity(_Item):
    name: str


class _Relation(_Item):
    source: str
    target: str


I = TypeVar("I", bound=_Item)  # noqa: E741


def read_answer(answer: str, text: str) -> Extraction:
    """The extraction in an answer: fences, prose around it and trailing commas do not matter. text: the passage.

    Left out: relations with an end that is no entity, or with one end; names without a letter or digit or over 200 characters;
    second spellings of one name. weight: how often the passage has the name, at least 1. Raises Unreadable.
    """
    found = _json_object(answer)
    entities: dict[str, ExtractedEntity] = {}
    for item in _items(found, "entities", _Entity):
        key = entity_key(item.name)
        if key and len(item.name) <= MOST_NAME_CHARS and key not in entities:
            entities[key] = _entity(item, text)
    relations: dict[tuple[str, str, str], ExtractedRelation] = {}
    for link in _items(found, "relations", _Relation):
        source, target = entity_key(link.source), entity_key(link.target)
        if source in entities and target in entities and source != target:
            kind = link.type.lower()[:MOST_TYPE_CHARS] or "related"
            description = link.description[:MOST_DESCRIPTION_CHARS]
            relations.setdefault((source, target, kind), ExtractedRelation(entities[source].name, entities[target].name, kind, description))
    return Extraction(tuple(entities.values()), tuple(relations.values()))


def _entity(item: _Entity, text: str) -> ExtractedEntity:
    named = max(1, text.casefold().count(item.name.casefold()))
    return ExtractedEntity(
        item.name, item.type.lower()[:MOST_TYPE_CHARS] or "concept", item.description[:MOST_DESCRIPTION_CHARS], float(named)
    )


def _json_object(answer: str) -> Mapping[str, Any]:
    """The first JSON object in the answer that has entities or relations."""
    answer = _THOUGHTS.sub("", answer)
    decoder = json.JSONDecoder(strict=False)  # line breaks within strings are common
    problem = "there is no JSON object in it"
    for start in islice(re.finditer(r"\{", answer), MOST_STARTS):
        text = _STRING_OR_COMMA.sub(lambda match: "" if match[0] == "," else match[0], answer[start.start() :])
        try:
            found, _ = decoder.raw_decode(text)
        except (ValueError, RecursionError) as error:
            problem = str(error)
            continue
        if "entities" in found or "relations" in found:
            return dict(found)
        problem = "the JSON object has no entities"
    raise Unreadable(problem)


def _items(found: Mapping[str, Any], name: str, model: type[I]) -> Iterator[I]:
    """Items that can't be read are left out; where none can, the answer is unreadable."""
    items = found.get(name) or []
    if not isinstance(items, list):
        raise Unreadable(f"{name} is not a list")
    problems = []
    for item in items:
        try:
            yield model.model_validate(item)
        except ValidationError as error:
            first = error.errors()[0]
            problems.append(f"{name}: {'.'.join(map(str, first['loc']))} {first['msg']}".strip())
    if items and len(problems) == len(items):
        raise Unreadable(problems[0])
