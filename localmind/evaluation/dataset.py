"""Questions with the evidence that an answer needs, one JSON object a line.

    {"question": "How long does the soup simmer?", "sources": ["Soup"], "strings": ["20 minutes"]}
    {"question": "Who maintains the pump?", "sources": [{"source": "manual.pdf", "page": 12}]}

Every source and every string is one piece of evidence. A source is named by its id, address (uri), file name or title; with a page (or
several) only that page of it counts. A string counts wherever a passage holds it; case and white space make no difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localmind.errors import InvalidInput

MOST_QUESTIONS = 100_000
EXAMPLE = '{"question": "How long does the soup simmer?", "sources": ["Soup"], "strings": ["20 minutes"]}'


@dataclass(frozen=True, slots=True)
class ExpectedSource:
    """name: id, address, file name or title. pages: any of these; empty: wherever in it."""

    name: str
    pages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    question: str
    sources: tuple[ExpectedSource, ...] = ()
    strings: tuple[str, ...] = ()


def load(path: Path) -> list[Case]:
    """Raises InvalidInput, which names the line that can't be used and says what it should be."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text.", hint="A dataset is JSON, one object a line.") from error
    except OSError as error:
        raise InvalidInput(f"{path} can't be read: {error.strerror}.", hint="Name a file of questions.") from error
    cases: list[Case] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            case = parse(line)
        except ValueError as error:
            raise InvalidInput(f"{path}, line {number}: {error}", hint=f"A line looks so: {EXAMPLE}") from error
        if case.question in lines:
            hint = "Ask each question once, with all its evidence."
            raise InvalidInput(f"{path}, line {number}: the question of line {lines[case.question]} again.", hint=hint)
        lines[case.question] = number
        cases.append(case)
    if not cases:
        raise InvalidInput(f"{path} holds no question.", hint=f"A line looks so: {EXAMPLE}")
    if len(cases) > MOST_QUESTIONS:
        raise InvalidInput(f"{path} holds {len(cases):,} questions; at most {MOST_QUESTIONS:,} are taken.", hint="Split the file.")
    return cases


def parse(line: str) -> Case:
    """Raises ValueError, whose text says what is wrong."""
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = f"{error.msg} at character {error.colno}" if isinstance(error, json.JSONDecodeError) else "nested too deep"
        raise ValueError(f"this is no JSON ({reason}).") from error
    if not isinstance(value, dict):
        raise ValueError("this is no JSON object.")
    unknown = sorted(value.keys() - {"question", "sources", "strings", "id", "note"})
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not known; a line has question, sources and strings (and may have id and note).")
    question = value.get("question")
    if not isinstance(question, str) or not question.strip():
        raise ValueError("question is missing or empty.")
    sources = tuple(_source(each) for each in _list(value, "sources"))
    strings = tuple(_filled(each, "a string") for each in _list(value, "strings"))
    if not sources and not strings:
        raise ValueError("neither sources nor strings say what the answer needs.")
    return Case(question.strip(), tuple(dict.fromkeys(sources)), tuple(dict.fromkeys(strings)))


def _list(value: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = value.get(name, [])
    if not isinstance(found, list):
        raise ValueError(f"{name} is no list.")
    return found


def _source(value: Any) -> ExpectedSource:
    if isinstance(value, str):
        return ExpectedSource(_filled(value, "a source"))
    if not isinstance(value, dict) or value.keys() - {"source", "page", "pages"}:
        raise ValueError('a source is a name, or {"source": name, "page": number}.')
    pages = value.get("pages", [value["page"]] if "page" in value else [])
    if not isinstance(pages, list) or not all(isinstance(page, int) and not isinstance(page, bool) and page > 0 for page in pages):
        raise ValueError("a page is a number from 1 on.")
    return ExpectedSource(_filled(value.get("source"), "a source"), tuple(pages))


def _filled(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is empty, or no text.")
    return value.strip()
