"""The errors that callers can tell apart. An adapter translates its engine's errors into these.

LocalMindError
├── InvalidInput            the caller's mistake: names the input and the way out
│   ├── TooLarge
│   ├── UnsupportedType
│   └── BadCursor
├── NotFound
├── Unauthenticated         who asks is not known: no credentials, or none that hold
├── Forbidden               who asks may not do this: names the role that is needed
├── TooManyAttempts         logins failed too often: says when to try again
├── TooManyRequests         a rate or a number of jobs is reached: says when to try again
├── QuotaReached            a tenant has all that it may have: names the limit and what is held
├── TimedOut                the request took longer than it may
├── Conflict                the state does not allow it (retry of a job that runs, data directory in use)
│   └── DataDirInUse
├── ReadError               a file can't be read; a retry gives the same
│   ├── Encrypted
│   ├── Broken
│   ├── NoText
│   └── ReaderLimit         the reader took too long or too much memory
├── DimensionMismatch       vectors of another model lie in the store: `localmind reembed`
├── CorruptIndex            an index can't be opened: `localmind rebuild`
├── DiskFull
├── MissingExtra            an optional package is not installed
├── BudgetSpent             what may be spent on an LLM is: it goes on in the next period
├── ConfigurationError      a setting is missing or contradicts another
└── Unavailable             worth a retry
    ├── StoreUnavailable
    ├── UnderMaintenance    nothing can be changed for a while: says when to try again
    └── LLMUnavailable
"""

from __future__ import annotations

import re
from typing import Any, ClassVar


class LocalMindError(Exception):
    """Base of all. `message` names what happened, `hint` the way out; `data` is for machines."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.data = data

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    @property
    def error_type(self) -> str:
        """The class's name in snake_case, as problem+json and jobs show it."""
        name = type(self).__name__
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class InvalidInput(LocalMindError): ...


class TooLarge(InvalidInput): ...


class UnsupportedType(InvalidInput): ...


class BadCursor(InvalidInput): ...


class NotFound(LocalMindError): ...


class Unauthenticated(LocalMindError): ...


class Forbidden(LocalMindError): ...


class TooManyAttempts(LocalMindError):
    """data: retry_after_s."""


class TooManyRequests(LocalMindError):
    """data: retry_after_s."""


class QuotaReached(LocalMindError): ...


class TimedOut(LocalMindError): ...


class Conflict(LocalMindError): ...


class DataDirInUse(Conflict): ...


class ReadError(LocalMindError): ...


class Encrypted(ReadError): ...


class Broken(ReadError): ...


class NoText(ReadError): ...


class ReaderLimit(ReadError): ...


class DimensionMismatch(LocalMindError): ...


class CorruptIndex(LocalMindError): ...


class DiskFull(LocalMindError): ...


class MissingExtra(LocalMindError): ...


class BudgetSpent(LocalMindError): ...


class ConfigurationError(LocalMindError): ...


class Cancelled(LocalMindError): ...


class Unavailable(LocalMindError):
    retryable = True


class StoreUnavailable(Unavailable): ...


class UnderMaintenance(Unavailable):
    """data: retry_after_s."""


class LLMUnavailable(Unavailable): ...
