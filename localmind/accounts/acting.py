"""Who acts, and from where: bound once a request, beside its id, so that what is written down about it need not be handed through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from localmind.accounts.model import Principal, UserId


@dataclass(frozen=True, slots=True)
class Actor:
    """principal: None before a login, for a worker, and for whoever has the machine. address: where the request came from.

    traceparent: the span that this is part of, for work that goes on after it (operations/tracing.py); None: it is not traced.
    """

    principal: Principal | None = None
    address: str | None = None
    request_id: str | None = None
    traceparent: str | None = None

    @property
    def user_id(self) -> UserId | None:
        return None if self.principal is None else self.principal.user_id


_NOBODY = Actor()
_current: ContextVar[Actor] = ContextVar("actor", default=_NOBODY)


def current() -> Actor:
    return _current.get()


def act_as(principal: Principal) -> None:
    """From now on in this context, which is the request's."""
    _current.set(replace(_current.get(), principal=principal))


@contextmanager
def acting(**changes: Any) -> Iterator[None]:
    """With these fields of Actor."""
    token = _current.set(replace(_current.get(), **changes))
    try:
        yield
    finally:
        _current.reset(token)
