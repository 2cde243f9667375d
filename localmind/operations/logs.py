"""Logging is set up here, once: JSON lines for machines, colours for a terminal."""

from __future__ import annotations

import json
import logging
import sys
from typing import ClassVar, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from localmind.accounts.acting import current
from localmind.operations import tracing

QUIET = ("alembic", "httpx", "httpx2", "httpcore", "asyncio", "watchfiles", "python_multipart", "sse_starlette")
"""Libraries that log each call: from WARNING on."""

OURS = ("localmind", "apps")

Target = Literal["stdout", "stderr"]


class StandardHandler(logging.StreamHandler[TextIO]):
    """Writes to what sys.stdout or sys.stderr is at that moment: a progress bar puts itself in its place while it is shown."""

    def __init__(self, target: Target) -> None:
        self._target = target
        super().__init__()

    @property
    def stream(self) -> TextIO:
        out: TextIO = getattr(sys, self._target)
        return out

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """The base class sets it once; there is nothing to keep."""


def configure(level: str = "INFO", *, target: Target = "stdout") -> None:
    """Send structlog and the standard library's loggers to one of the process's streams, never to a file. Safe to call again.

    A service and a worker write to standard output; a command, whose output is its answer, to standard error. Who acts, and for which
    request, stands in every line, as do values bound with `structlog.contextvars` (job_id). Other people's code is never asked for
    DEBUG: the clients of databases and models write down then what they send, and that is documents.
    """
    handler = StandardHandler(target)
    renderers = _renderers(terminal=handler.stream.isatty())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers]
        )
    )
    # In place: a logger keeps the list that it found at its first line.
    _PROCESSORS[:] = [_from(logging.getLevelNamesMapping()[level]), *_SHARED, *renderers]
    _Lines.target = target
    # Our own lines go past the standard library, and their loggers are made once: every request writes one (benchmarks/observing.py).
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=lambda *_: _Lines(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel("INFO" if level == "DEBUG" else level)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # Uvicorn brings handlers of its own; its access log is replaced by ours.
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"


_PROCESSORS: list[Processor] = []


def _from(least: int) -> Processor:
    """Drops lower levels. First of the processors and not in the logger, so that a test that looks at lines sees all of them."""
    dropped = {name.lower() for name, number in logging.getLevelNamesMapping().items() if number < least}

    def keep(_logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        if method in dropped:
            raise structlog.DropEvent
        return line

    return keep


class _Lines:
    """A logger that only writes, to what the stream is at that moment; one call, so that lines of several threads don't mix."""

    target: ClassVar[Target] = "stdout"

    def msg(self, line: str) -> None:
        out: TextIO = getattr(sys, self.target)
        out.write(line + "\n")
        out.flush()

    debug = info = warning = error = critical = exception = msg


def _as_json(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    try:
        return orjson.dumps(line, default=repr).decode()
    except TypeError:  # half a character of a file's name, or a number beyond 64 bits: neither may cost the line, or its request
        return json.dumps(line, default=repr)


def _add_actor(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Ids alone. What the line says itself, or is bound, holds."""
    actor = current()
    if actor.request_id is not None:
        line.setdefault("request_id", actor.request_id)
    trace_id = tracing.trace_id()
    if trace_id is not None:
        line.setdefault("trace_id", trace_id)
    if actor.principal is not None:
        line.setdefault("tenant_id", actor.principal.tenant)
        if actor.user_id is not None:
            line.setdefault("user_id", actor.user_id)
    return line


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    _add_actor,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def _renderers(*, terminal: bool) -> list[Processor]:
    if terminal:
        # Plain tracebacks: the renderer's own show local variables, and so a document's text, or a secret.
        return [structlog.dev.ConsoleRenderer(pad_event_to=24, exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, _as_json]
