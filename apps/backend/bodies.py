"""Bodies that FastAPI can't declare: NDJSON, and a PUT that takes a file or a text. Also how large bodies may be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from apps.backend.schemas.sources import TextIn, TextReplacement

MAX_BULK_LINES = 10_000
JSON_BYTES = 1_000_000
FORMS = ("/login", "/join", "/logout", "/logout/everywhere")
"""The page's own, read into memory as JSON is."""

OVERHEAD_BYTES = 1_000_000
"""Multipart headers and form fields beside the files."""

ESCAPED = 3
"""JSON may write a character of 2 bytes in 6 (\\u00e9); the text itself is measured by the library."""

ModelT = TypeVar("ModelT", bound=BaseModel)
Replacement = UploadFile | TextReplacement


def limits(max_upload_bytes: int) -> Callable[[str, str], int]:
    """The most bytes of a body, by method and path. Uploads are spooled to disk; JSON has to fit in memory."""

    def limit_of(method: str, path: str) -> int:
        if not path.startswith("/api/v1/sources"):
            is_small = path.startswith("/api/") or path in FORMS
            return JSON_BYTES if is_small else max_upload_bytes + OVERHEAD_BYTES
        if path.endswith(("/text", "/bulk")):
            return ESCAPED * max_upload_bytes + OVERHEAD_BYTES
        return max_upload_bytes + OVERHEAD_BYTES if path.endswith("/upload") or method == "PUT" else JSON_BYTES

    return limit_of


async def bulk_texts(request: Request) -> list[TextIn]:
    """The body's lines; empty ones are skipped. A bad line is named, and none is taken."""
    texts: list[TextIn] = []
    async for number, line in _lines(request):
        if len(texts) == MAX_BULK_LINES:
            raise _malformed(("body",), f"more than {MAX_BULK_LINES} lines; send them in several requests")
        texts.append(_parsed(TextIn, line, "body", f"line {number}"))
    if not texts:
        raise _malformed(("body",), "no line; send one JSON object a line")
    return texts


async def replacement(request: Request) -> AsyncIterator[Replacement]:
    """A multipart `file` or a JSON text. The file is closed with the request."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        yield _parsed(TextReplacement, await request.body(), "body")
        return
    async with request.form(max_files=1, max_fields=10) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise _malformed(("body", "file"), "a file is required")
        yield file


async def _lines(request: Request) -> AsyncIterator[tuple[int, bytes]]:
    """(number from 1, line) of each line that is not blank, as the body comes in."""
    number = 0
    begun: list[bytes] = []  # pieces of a line whose end has not come; joined once, since one line may be 100 MB
    async for piece in request.stream():
        *ended, rest = piece.split(b"\n")
        for end in ended:
            number += 1
            line = b"".join([*begun, end])
            begun.clear()
            if line.strip():
                yield number, line
        begun.append(rest)
    last = b"".join(begun)
    if last.strip():
        yield number + 1, last


def _parsed(model: type[ModelT], data: bytes, *loc: str) -> ModelT:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        found = [{**entry, "loc": (*loc, *entry["loc"])} for entry in error.errors(include_input=False, include_context=False)]
        raise RequestValidationError(found) from error


def _malformed(loc: tuple[str, ...], message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": loc, "msg": message, "type": "malformed"}])
