"""Errors become RFC 9457 problem+json here: one table from error class to status and title, and the handlers that use it."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from localmind import errors

TYPE_BASE = "urn:localmind:error:"
"""A problem's `type`: a name, not an address, since the service may run where there is no network."""

RETRY_AFTER_S = 5


class Kind(NamedTuple):
    status: int
    title: str


TABLE: Mapping[type[Exception], Kind] = {
    errors.TooLarge: Kind(413, "The upload is too large"),
    errors.UnsupportedType: Kind(415, "This type of file can't be read"),
    errors.BadCursor: Kind(400, "The cursor is not valid"),
    errors.InvalidInput: Kind(400, "The request can't be carried out as it is"),
    errors.NotFound: Kind(404, "Not found"),
    errors.Unauthenticated: Kind(401, "Credentials are needed"),
    errors.Forbidden: Kind(403, "Not allowed"),
    errors.TooManyAttempts: Kind(429, "Too many attempts"),
    errors.TooManyRequests: Kind(429, "Too many requests"),
    errors.QuotaReached: Kind(403, "A limit of the tenant is reached"),
    errors.TimedOut: Kind(504, "The request took too long"),
    errors.DataDirInUse: Kind(503, "The data directory is in use"),
    errors.Conflict: Kind(409, "The state does not allow it"),
    errors.ReadError: Kind(400, "The file can't be read"),
    errors.DimensionMismatch: Kind(503, "The vectors belong to another embedding model"),
    errors.CorruptIndex: Kind(503, "An index is damaged"),
    errors.DiskFull: Kind(507, "The disk is full"),
    errors.MissingExtra: Kind(501, "An optional package is not installed"),
    errors.BudgetSpent: Kind(402, "The budget is spent"),
    errors.ConfigurationError: Kind(503, "The service is not configured for this"),
    errors.Cancelled: Kind(409, "The work was cancelled"),
    errors.UnderMaintenance: Kind(503, "The service is under maintenance"),
    errors.LLMUnavailable: Kind(503, "The language model does not answer"),
    errors.Unavailable: Kind(503, "A service that is needed does not answer"),
    errors.LocalMindError: Kind(500, "Something went wrong"),
}
"""Looked up along the class's ancestors, so a family's entry serves its members."""


class Problem(NamedTuple):
    """What problem+json says. fields: extension members, such as `hint` and `errors`."""

    error_type: str
    status: int
    title: str
    detail: str
    fields: Mapping[str, Any] = {}

    def body(self, request_id: str) -> dict[str, Any]:
        return {
            "type": TYPE_BASE + self.error_type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            "error_type": self.error_type,
            **self.fields,
        }

    def response(self, scope: Scope, headers: Mapping[str, str] | None = None) -> Response:
        """The request's log line says error_type too."""
        scope["state"]["error_type"] = self.error_type
        # JSON in ASCII: a detail may quote what a client sent, and a lone surrogate has no UTF-8.
        content = json.dumps(self.body(request_id(scope))).encode()
        return Response(content, self.status, dict(headers or {}), media_type="application/problem+json")


def from_error(error: errors.LocalMindError) -> Problem:
    kind = next(TABLE[cls] for cls in type(error).__mro__ if cls in TABLE)
    fields: dict[str, Any] = {"hint": error.hint} if error.hint else {}
    return Problem(error.error_type, kind.status, kind.title, str(error), fields)


def headers_of(error: errors.LocalMindError) -> dict[str, str]:
    """What the answer's header has to say too (RFC 9110: 401 names a scheme, 429 and 503 a time)."""
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="localmind"'}
    if "retry_after_s" in error.data:
        return {"Retry-After": str(error.data["retry_after_s"])}
    return {"Retry-After": str(RETRY_AFTER_S)} if error.retryable else {}


def from_validation(found: Sequence[Mapping[str, Any]]) -> Problem:
    """A request that doesn't fit its schema; lists the fields. What was sent is not repeated: it may be secret, or huge."""
    listed = [{"field": ".".join(map(str, entry["loc"])), "message": str(entry["msg"])} for entry in found]
    detail = "; ".join(f"{entry['field']}: {entry['message']}" for entry in listed[:5])
    if len(listed) > 5:
        detail += f"; and {len(listed) - 5} more"
    return Problem("malformed_request", 422, "The request is malformed", detail, {"errors": listed})


def from_status(status: int, detail: str) -> Problem:
    """An error of the router or of body parsing (404, 405, 400, 413)."""
    phrase = HTTPStatus(status).phrase
    return Problem(phrase.lower().replace(" ", "_"), status, phrase, detail)


def from_cause(error: BaseException | None) -> Problem | None:
    """A problem of this machine that a framework's error hides: its disk is full while an upload is spooled."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return from_error(errors.DiskFull("The upload can't be kept: the disk is full.", hint="Free some space and send it again."))
    return None


UNEXPECTED = Problem(
    "internal_error", 500, "Something went wrong", "An unexpected error; the service's log has it under this request's id."
)


def request_id(scope: Scope) -> str:
    """The request's id; RequestContext put it there."""
    return str(scope["state"]["request_id"])


def install(app: FastAPI) -> None:
    """Unexpected exceptions are the middleware's (RequestContext), since only it sees those of other middleware."""
    app.add_exception_handler(errors.LocalMindError, _ours)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)


UNPARSED = "There was an error parsing the body"
"""FastAPI's word for JSON that is no UTF-8, say. It sends 400 for that, and 422 for other JSON that can't be read."""


def _allowed(request: Request) -> str:
    """The methods of all routes at this path, those of its very name first; the router names those of one route alone."""
    path = request.url.path
    there: list[APIRoute] = [route for route in request.app.state.routes if route.path_regex.match(path)]
    named = [route for route in there if route.path == path]
    return ", ".join(sorted({method for route in named or there for method in route.methods or ()}))


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.LocalMindError)
    return from_error(error).response(request.scope, headers_of(error))


async def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return from_validation(error.errors()).response(request.scope)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = from_cause(error.__cause__) or _explained(request, error)
    headers = {"Allow": _allowed(request)} if problem.status == 405 else error.headers
    return problem.response(request.scope, headers)


def _explained(request: Request, error: HTTPException) -> Problem:
    match error.status_code:
        case 400 if error.detail == UNPARSED:
            return from_validation([{"loc": ("body",), "msg": "can't be parsed"}])
        case 404:
            return from_status(404, f"There is nothing at {request.url.path}; /docs lists what there is.")
        case 405:
            return from_status(405, f"{request.url.path} takes {_allowed(request)}.")
        case 413:
            return Problem("too_large", *TABLE[errors.TooLarge], str(error.detail))
        case status:
            return from_status(status, str(error.detail))
