"""What the command line's exit codes mean, so that scripts can tell."""

from __future__ import annotations

from enum import IntEnum

from localmind.errors import DataDirInUse, LocalMindError, NotFound, Unavailable


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    NOT_FOUND = 4


MEANING = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the service or a store can't be reached, 4 not found."


class Refused(LocalMindError):
    """The service's answer was a problem. status: of HTTP; kind: its error_type."""

    def __init__(self, message: str, *, hint: str = "", status: int, kind: str) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.kind = kind


def exit_of(error: LocalMindError) -> Exit:
    match error:
        case Refused(status=404) | NotFound():
            return Exit.NOT_FOUND
        case Refused(status=422):
            return Exit.USAGE
        case Refused(status=503) | Unavailable() | DataDirInUse():
            return Exit.UNAVAILABLE
        case _:
            return Exit.FAILED
