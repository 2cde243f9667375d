"""What all answers share: lists, problems, text without control characters."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema

ItemT = TypeVar("ItemT")
WRITTEN = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _clean(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL characters")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("must not contain half of a surrogate pair")
    return value


def _written(value: object) -> object:
    """Pydantic takes a number for seconds since 1970; the description says date-time."""
    if not isinstance(value, str) or WRITTEN.match(value) is None:
        raise ValueError("a time is written as 2026-01-31T12:00:00Z")
    return value


def _no_bool(value: object) -> object:
    """Pydantic takes true for 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


Time = Annotated[datetime, PlainSerializer(_iso, return_type=str, when_used="json")]
"""ISO 8601, UTC, with Z."""

NoBool = BeforeValidator(_no_bool)
"""Stands after a number's bounds: before them it keeps them out of the API's description."""

Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
"""A time that is given: ISO 8601 with a zone."""


class Shown:
    """A pattern that the API's description shows; the validator beside it is what checks."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), "pattern": self._pattern}


Clean = Annotated[str, AfterValidator(_clean), Shown(r"^[^\u0000]*$")]
"""Text that every store can keep and every client can read."""

Filled = Annotated[str, AfterValidator(_clean), AfterValidator(_not_blank), Shown(r"^[^\u0000]*[^\s\u0000][^\u0000]*$")]
Tag = Annotated[Filled, Field(min_length=1, max_length=100)]
Tags = Annotated[list[Tag], Field(max_length=50)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]


class Request(BaseModel):
    """A body that a client sends. Unknown members are refused: a misspelt filter must not widen a search."""

    model_config = ConfigDict(extra="forbid")


class Reply(BaseModel):
    """A body that we send, read from the library's dataclasses."""

    model_config = ConfigDict(from_attributes=True)


class Page(Reply, Generic[ItemT]):
    """One page of a list."""

    items: list[ItemT]
    next_cursor: str | None = Field(None, description="Cursor of the next page; null at the end.")


class FieldProblem(Reply):
    field: str
    message: str


class ProblemBody(Reply):
    """RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:localmind:error:not_found",
                    "title": "Not found",
                    "status": 404,
                    "detail": "There is no source 'abc'.",
                    "request_id": "0197a1b2c3d47e5f8a9b0c1d2e3f4a5b",
                    "error_type": "not_found",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    error_type: str
    hint: str | None = Field(None, description="The way out.")
    errors: list[FieldProblem] | None = Field(None, description="The fields of a malformed request.")


def problems(**reasons: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` for statuses: `problems(_404="No such source.")`. 422, 429, 500, 503 and 504 can come from every route."""
    always = {
        "_422": "The request is malformed.",
        "_429": "Too many requests; `Retry-After` says when to ask again.",
        "_500": "Something went wrong.",
        "_503": "Starting, or a store is away.",
        "_504": "It took longer than REQUEST_TIMEOUT_S.",
    }
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {int(status.lstrip("_")): {"description": reason, "content": content} for status, reason in {**always, **reasons}.items()}


def listed(**reasons: str) -> dict[int | str, dict[str, Any]]:
    """The same for a list."""
    return problems(_400="The cursor is not one of this list.", **reasons)
