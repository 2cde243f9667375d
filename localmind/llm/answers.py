"""The JSON in what a model answers, whatever stands around it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MOST_STARTS = 50
MOST_ANSWER_CHARS = 200_000
"""What is longer is no answer: a model gives at most a few thousand tokens when it is asked for that many."""

_THOUGHTS = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL)
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*+"|,(?=\s*[}\]])', re.DOTALL)
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Unreadable(Exception):
    """An answer that is not what was asked for. Its text completes "That can't be used: ...", for the model and for a person."""


def json_objects(answer: str) -> Iterator[dict[str, Any] | Unreadable]:
    """The answer's JSON objects from left to right, none inside another; at a brace that begins none, what is wrong with it.

    Thoughts before the answer, fences, prose, line breaks within strings and trailing commas do not matter.
    """
    if len(answer) > MOST_ANSWER_CHARS:
        yield Unreadable(f"it has {len(answer):,} characters")
        return
    rest = _THOUGHTS.sub("", answer)
    decoder = json.JSONDecoder(strict=False)  # line breaks within strings are common
    for _ in range(MOST_STARTS):
        start = rest.find("{")
        if start < 0:
            return
        # Without trailing commas; from this brace on, since prose before it may hold a lone quotation mark.
        rest = _STRING_OR_COMMA.sub(lambda match: "" if match[0] == "," else match[0], rest[start:])
        try:
            found, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError) as error:
            yield Unreadable(str(error))
            rest = rest[1:]
            continue
        yield found
        rest = rest[end:]


def object_with(answer: str, *fields: str) -> dict[str, Any]:
    """The first object in the answer that has all the fields; {} where none has."""
    objects = (found for found in json_objects(answer) if isinstance(found, dict))
    return next((found for found in objects if all(field in found for field in fields)), {})


def one_line(text: str) -> str:
    """A value as it can be kept and shown: no line breaks, and none of the characters that a database or XML refuses."""
    return " ".join(_UNWRITABLE.sub(" ", text).split())
