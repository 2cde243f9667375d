"""What an LLM answers when it is asked for entities, read as far as it can be read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, field_validator

from localmind.extraction.evidence import place_of
from localmind.graph.naming import entity_key
from localmind.llm.answers import Unreadable, json_objects, one_line
from localmind.model import ExtractedEntity, ExtractedRelation, Extraction

MOST_NAME_CHARS = 200
MOST_TYPE_CHARS = 64
MOST_DESCRIPTION_CHARS = 500
MOST_STARTS = 50
MOST_ITEMS = 100
"""Of entities, and of relations, that one passage is taken to have: a model that repeats itself fills its answer with them."""


class _Item(BaseModel):
    """Small models leave fields out or null; a name they must give."""

    type: str = ""
    description: str = ""

    @field_validator("*", mode="before")
    @classmethod
    def _clean(cls, value: object) -> object:
        if value is None:
            return ""
        return one_line(value) if isinstance(value, str) else value


class _Entity(_Item):
    name: str
    quote: str = ""


class _Relation(_Item):
    source: str
    target: str


I = TypeVar("I", bound=_Item)  # noqa: E741


def read_answer(answer: str, text: str) -> Extraction:
    """The extraction in an answer: fences, prose around it and trailing commas do not matter. text: the passage.

    Left out: relations with an end that is no entity, or with one end; names without a letter or digit or over 200 characters;
    second spellings of one name. weight: how often the passage has the name, at least 1. start and end: where it stands first,
    by its name or the quote; None where neither stands there. Raises Unreadable.
    """
    problem = "there is no JSON object in it"
    for found in json_objects(answer):
        if isinstance(found, Unreadable):
            problem = str(found)
            continue
        for candidate in (found, *found.values()):  # some models wrap it: {"answer": {"entities": ...}}
            if isinstance(candidate, dict) and ("entities" in candidate or "relations" in candidate):
                return _extraction(candidate, text)
        problem = "the JSON object has no entities"
    raise Unreadable(problem)


def read_several(answer: str, texts: Mapping[str, str]) -> dict[str, Extraction]:
    """Extractions by the ids of the passages, of those that can be read: half an answer gives what stands whole in it.

    texts: the passages by the ids that they were sent with; other ids, and a second answer to one, are left out.
    """
    read: dict[str, Extraction] = {}
    for found in json_objects(answer):
        if isinstance(found, Unreadable):
            continue
        listed = found.get("passages", [found])
        for item in listed if isinstance(listed, list) else [listed]:
            if not isinstance(item, dict):
                continue
            key = str(item.get("id", "")).strip()
            if key in texts and key not in read and isinstance(item.get("entities"), list):
                try:
                    read[key] = _extraction(item, texts[key])
                except Unreadable:
                    continue
    return read


def _extraction(found: Mapping[str, Any], text: str) -> Extraction:
    entities: dict[str, ExtractedEntity] = {}
    for item in _items(found, "entities", _Entity):
        key = entity_key(item.name) if len(item.name) <= MOST_NAME_CHARS else ""
        if key and key not in entities:
            entities[key] = _entity(item, text)
    relations: dict[tuple[str, str, str], ExtractedRelation] = {}
    for link in _items(found, "relations", _Relation):
        if max(len(link.source), len(link.target)) > MOST_NAME_CHARS:
            continue
        source, target = entity_key(link.source), entity_key(link.target)
        if source in entities and target in entities and source != target:
            kind = link.type.lower()[:MOST_TYPE_CHARS] or "related"
            description = link.description[:MOST_DESCRIPTION_CHARS]
            relations.setdefault((source, target, kind), ExtractedRelation(entities[source].name, entities[target].name, kind, description))
    return Extraction(tuple(entities.values()), tuple(relations.values()))


def _entity(item: _Entity, text: str) -> ExtractedEntity:
    start, end = place_of(text, item.name, item.quote[:MOST_DESCRIPTION_CHARS]) or (None, None)
    return ExtractedEntity(
        item.name,
        item.type.lower()[:MOST_TYPE_CHARS] or "concept",
        item.description[:MOST_DESCRIPTION_CHARS],
        float(max(1, text.casefold().count(item.name.casefold()))),
        start,
        end,
    )


def _items(found: Mapping[str, Any], name: str, model: type[I]) -> Iterator[I]:
    """Items that can't be read are left out; where none can, the answer is unreadable."""
    items = found.get(name) or []
    if not isinstance(items, list):
        raise Unreadable(f"{name} is not a list")
    problems = []
    for item in items[:MOST_ITEMS]:
        try:
            yield model.model_validate(item)
        except ValidationError as error:
            first = error.errors()[0]
            problems.append(f"{name}: {'.'.join(map(str, first['loc']))} {first['msg']}".strip())
    if items and len(problems) == len(items[:MOST_ITEMS]):
        raise Unreadable(problems[0])
