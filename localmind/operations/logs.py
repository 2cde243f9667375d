"""Logging is set up here, once: JSON lines for machines, colours for a terminal."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

QUIET = ("alembic", "httpx", "httpcore", "asyncio", "watchfiles", "python_multipart", "sse_starlette")
"""Libraries that log each call: from WARNING on."""


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is at that moment: a progress bar puts itself in its place while it is shown."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """The base class sets it once; there is nothing to keep."""


def configure(level: str = "INFO") -> None:
    """Send structlog and the standard library's loggers to standard error. Safe to call again.

    Values bound with `structlog.contextvars.bind_contextvars` (request_id, job_id) stand in every line of that context.
    """
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(terminal=sys.stderr.isatty())],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # Uvicorn brings handlers of its own; its access log is replaced by ours.
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
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
