"""Logging is set up here, once: JSON lines for machines, colours for a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from localmind.accounts.acting import current

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
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = StandardHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(terminal=handler.stream.isatty())],
        )
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


def _add_actor(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Ids alone. What the line says itself, or is bound, holds."""
    actor = current()
    if actor.request_id is not None:
        line.setdefault("request_id", actor.request_id)
    if actor.principal is not None:
        line.setdefault("tenant_id", actor.principal.tenant)
        if actor.user_id is not None:
            line.setdefault("user_id", actor.user_id)
    return line


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    _add_actor,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def _renderers(*, terminal: bool) -> list[Processor]:
    if terminal:
        # Plain tracebacks: the renderer's own show local variables, and so a document's text, or a secret.
        return [structlog.dev.ConsoleRenderer(pad_event_to=24, exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
