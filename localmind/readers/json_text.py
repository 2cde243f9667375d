"""JSON and JSON Lines as lines of `path: value`, one record a block."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from localmind.model import Document
from localmind.readers import formats
from localmind.readers.building import DocumentBuilder
from localmind.readers.cleaning import clean
from localmind.readers.encoding import decode
from localmind.readers.formats import Reading

_BEGINNING = re.compile(r'\s*(?:\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})|\[\s*(?:[\[{"\]\d-]|true\b|false\b|null\b))', re.DOTALL)


def begins_json(text: str) -> bool:
    """Whether a text begins as JSON does. "[1] Knuth" and "[link](address)" do not."""
    found = _BEGINNING.match(text)
    if found is None:
        return False
    if found[0].lstrip().startswith("{") or found[0][-1] in "[{":
        return True
    return re.match(r'\s*\[\s*(?:\]\s*\Z|(?:"(?:[^"\\\n]|\\.)*"|[-\d.eE+]+|true|false|null)\s*(?:,|\]\s*\Z))', text) is not None


def read(reading: Reading) -> Document:
    """A file that is no valid JSON is taken as plain text, with a note. Raises NoText."""
    text, encoding = decode(reading.path.read_bytes())
    text = text.lstrip("\ufeff")
    builder = DocumentBuilder()
    notes: list[str] = []
    try:
        records = _records(text)
        for record in records:
            builder.block("\n".join(_lines(record)))
    except (ValueError, RecursionError):
        builder = DocumentBuilder()
        builder.block(text)
        notes.append("The file is no valid JSON: it was taken as plain text.")
    return builder.build(formats.JSON, notes=notes, meta={"encoding": encoding})


def _records(text: str) -> list[Any]:
    """The value; its elements where it is a list; the lines' values where each line is one. Raises ValueError."""
    try:
        value = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(value, list):
        return value if any(isinstance(item, dict | list) for item in value) else [value]
    return [{key: item} for key, item in value.items()] if isinstance(value, dict) else [value]


def _lines(record: Any) -> Iterator[str]:
    """Depth first, in the file's order, without recursion. Null and empty values are left out."""
    stack: list[tuple[str, Any]] = [("", record)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack.extend((f"{path}.{key}" if path else str(key), item) for key, item in reversed(value.items()))
        elif isinstance(value, list):
            if value and not any(isinstance(item, dict | list) for item in value):
                stack.append((path, ", ".join(str(item) for item in value)))
            else:
                stack.extend((f"{path}[{index}]", item) for index, item in reversed(list(enumerate(value, 1))))
        elif value is not None and value != "":
            words = clean(value) if isinstance(value, str) else json.dumps(value)
            yield f"{path}: {words}" if path else words
