"""Traces for OpenTelemetry. Off, nothing of it is imported, and each call here is one check.

A span says which operation, engine, model and route, counts, the status, the error's type, and the ids of tenant, job and request.
Never text, titles, queries, addresses, ids of documents, or an error's message: that may quote any of these. Names of attributes are those
of the semantic conventions (https://opentelemetry.io/docs/specs/semconv/) where they have one, else ours, under `localmind.`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec, TypeVar

import structlog

from localmind.errors import Cancelled, LocalMindError, MissingExtra
from localmind.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import Span, SpanKind, Tracer

P = ParamSpec("P")
T = TypeVar("T")

Attributes = Mapping[str, str | int | float | bool]
Kind = Literal["internal", "server", "client", "consumer"]

FLUSH_S = 5.0
"""Longest wait for a collector at the end; what it has not taken by then is lost."""


class _On(NamedTuple):
    tracer: Tracer
    provider: TracerProvider
    exporter: OTLPSpanExporter


_on: _On | None = None
_NOTHING: AbstractContextManager[None] = nullcontext()


# --- on and off


def start(settings: Settings, service: str) -> bool:
    """Trace from now on, under that name, if the settings want it. True: whoever called has to call stop()."""
    global _on
    if not settings.otel_exporter_otlp_endpoint or _on is not None:
        return False
    try:
        _on = _build(settings, service)
    except ImportError as error:  # what a service does it can do untraced: it must not stay away for that
        log = structlog.get_logger(__name__)
        log.warning("tracing_off", error=str(missing()), lacks=error.name)
        return False
    return True


def stop() -> None:
    """Send what is left, for as long as FLUSH_S. Safe to call twice."""
    global _on
    on, _on = _on, None
    if on is None:
        return
    flushing = threading.Thread(target=on.provider.shutdown, name="flush-traces", daemon=True)
    flushing.start()
    flushing.join(FLUSH_S)
    if flushing.is_alive():
        on.exporter.shutdown()  # type: ignore[no-untyped-call]  # no more tries


def is_on() -> bool:
    return _on is not None


def is_installed() -> bool:
    try:
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: F401
    except ImportError:
        return False
    return True


def missing() -> MissingExtra:
    return MissingExtra("OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed.", hint="pip install 'localmind[tracing]'")


# --- spans


@contextmanager
def serving(name: str, traceparent: str | None, attributes: Attributes) -> Iterator[Span | None]:
    """A request's span, under the client's if that sent one. Only while it is on."""
    from opentelemetry import trace

    span = _start(name, _context(traceparent), "server", attributes)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield span


def begin(name: str, traceparent: str | None, attributes: Attributes) -> Span:
    """The span of work that begins in one thread and ends in another, by end(). Only while it is on."""
    return _start(name, _context(traceparent), "consumer", attributes)


def end(span: Span, error: BaseException | None = None) -> None:
    if error is not None:
        _fail(span, error)
    span.end()


def span(name: str, attributes: Attributes | None = None, *, kind: Kind = "internal") -> AbstractContextManager[Span | None]:
    """Around a part of what is traced; None where this context is no part of a trace: it begins none."""
    return _around(name, attributes, kind) if _is_followed() else _NOTHING


def aside(name: str, attributes: Attributes | None = None, *, kind: Kind = "internal") -> AbstractContextManager[Span | None]:
    """As span(), for what has no parts, and may end in another context than it began in, as a generator does."""
    return _beside(name, attributes, kind) if _is_followed() else _NOTHING


def shared(name: str, traceparents: Iterable[str | None], attributes: Attributes | None = None) -> AbstractContextManager[None]:
    """Around what is done for several traces at once: each gets a span, the first the parts, and the others a link to it."""
    if _on is None:
        return _NOTHING
    parents = [parent for parent in dict.fromkeys(traceparents) if parent is not None and _is_sampled(parent)]
    return _together(name, parents, attributes) if parents else _NOTHING


def continued(traceparent: str | None) -> AbstractContextManager[None]:
    """What is done in the block is part of that span, wherever it began."""
    return _NOTHING if _on is None or traceparent is None else _within(traceparent)


def carried(call: Callable[P, T]) -> Callable[P, T]:
    """The call as part of this trace, for another thread to make."""
    if not _is_followed():
        return call
    from opentelemetry import context

    here = context.get_current()

    @wraps(call)
    def carrying(*args: P.args, **kwargs: P.kwargs) -> T:
        token = context.attach(here)
        try:
            return call(*args, **kwargs)
        finally:
            context.detach(token)

    return carrying


# --- ids


def traceparent(span: Span | None = None) -> str | None:
    """Of the span, or of this context's, as W3C writes it: what it hands on, sampled or not. None where nothing is traced."""
    if _on is None:
        return None
    from opentelemetry import trace

    said = (span or trace.get_current_span()).get_span_context()
    return f"00-{said.trace_id:032x}-{said.span_id:016x}-{said.trace_flags:02x}" if said.is_valid else None


def trace_id() -> str | None:
    """By which this context's trace is found, if it is recorded."""
    said = traceparent()
    return said.split("-")[1] if said is not None and _is_sampled(said) else None


def error_type(error: BaseException) -> str:
    return error.error_type if isinstance(error, LocalMindError) else type(error).__qualname__


# --- inside


def _is_sampled(traceparent: str) -> bool:
    """By the lowest of the flags in its last byte. Source: https://www.w3.org/TR/trace-context/#trace-flags."""
    return bool(int(traceparent[-2:], 16) & 1)


def _is_followed() -> bool:
    if _on is None:
        return False
    from opentelemetry import trace

    return trace.get_current_span().get_span_context().trace_flags.sampled


def _start(name: str, parent: Context | None, kind: Kind, attributes: Attributes | None, links: Sequence[Span] = ()) -> Span:
    from opentelemetry.trace import INVALID_SPAN, Link

    if _on is None:  # it was stopped a moment ago
        return INVALID_SPAN
    to = [Link(each.get_span_context()) for each in links]
    return _on.tracer.start_span(name, context=parent, kind=_kind(kind), attributes=attributes, links=to)


def _kind(kind: Kind) -> SpanKind:
    from opentelemetry.trace import SpanKind

    return SpanKind[kind.upper()]


@contextmanager
def _around(name: str, attributes: Attributes | None, kind: Kind) -> Iterator[Span]:
    from opentelemetry import trace

    with _beside(name, attributes, kind) as span, trace.use_span(span, record_exception=False, set_status_on_exception=False):
        yield span


@contextmanager
def _beside(name: str, attributes: Attributes | None, kind: Kind) -> Iterator[Span]:
    span = _start(name, None, kind, attributes)
    try:
        yield span
    except Exception as error:
        _fail(span, error)
        raise
    finally:
        span.end()


@contextmanager
def _together(name: str, parents: Sequence[str], attributes: Attributes | None) -> Iterator[None]:
    from opentelemetry import trace

    first = _start(name, _context(parents[0]), "internal", attributes)
    spans = [first, *(_start(name, _context(parent), "internal", attributes, [first]) for parent in parents[1:])]
    try:
        with trace.use_span(first, record_exception=False, set_status_on_exception=False):
            yield
    except Exception as error:
        for each in spans:
            _fail(each, error)
        raise
    finally:
        for each in spans:
            each.end()


@contextmanager
def _within(traceparent: str) -> Iterator[None]:
    from opentelemetry import context

    token = context.attach(_context(traceparent))
    try:
        yield
    finally:
        context.detach(token)


def _context(traceparent: str | None) -> Context:
    """That of a trace which began elsewhere; an empty one where that says nothing that can be read."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {} if traceparent is None else {"traceparent": traceparent}
    return TraceContextTextMapPropagator().extract(carrier, context=Context())


def _fail(span: Span, error: BaseException) -> None:
    """By its type alone. That somebody wanted it stopped is no error."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", error_type(error))
    if not isinstance(error, Cancelled):
        span.set_status(StatusCode.ERROR)


def _build(settings: Settings, service: str) -> _On:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.util.re import parse_env_headers

    # A collector that is away is one line each time it was given up, not one for each try.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    logging.getLogger("opentelemetry.util.re").setLevel(logging.CRITICAL)  # it quotes headers that it can't read, and they are secrets
    endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/")
    given = settings.otel_exporter_otlp_headers.get_secret_value()
    headers = parse_env_headers(given, liberal=True)
    if given and not headers:
        structlog.get_logger(__name__).warning("tracing_headers_unreadable", hint="OTEL_EXPORTER_OTLP_HEADERS is name=value, with commas.")
    exporter = OTLPSpanExporter(f"{endpoint}/v1/traces", headers=headers)
    # Not the process's provider, to which other libraries would add spans of their own: theirs quote statements and prompts.
    provider = TracerProvider(sampler=_sampler(settings), resource=_resource(settings, service), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return _On(provider.get_tracer("localmind"), provider, exporter)


def _sampler(settings: Settings) -> Sampler:
    from opentelemetry.sdk.trace import sampling

    share = settings.otel_traces_sampler_arg
    samplers: dict[str, Sampler] = {
        "always_on": sampling.ALWAYS_ON,
        "always_off": sampling.ALWAYS_OFF,
        "traceidratio": sampling.TraceIdRatioBased(share),
        "parentbased_always_on": sampling.DEFAULT_ON,
        "parentbased_always_off": sampling.DEFAULT_OFF,
        "parentbased_traceidratio": sampling.ParentBasedTraceIdRatio(share),
    }
    return samplers[settings.otel_traces_sampler]


def _resource(settings: Settings, service: str) -> Resource:
    """What the SDK knows (OTEL_RESOURCE_ATTRIBUTES), under a name that says which process it is where nobody gave one."""
    from importlib import metadata

    from opentelemetry.sdk.resources import Resource

    known = Resource.create({})
    name = settings.otel_service_name or str(known.attributes.get("service.name", ""))
    ours: dict[str, Any] = {"service.name": service if name.startswith("unknown_service") else name}
    return Resource({"service.version": metadata.version("localmind")}).merge(known).merge(Resource(ours))
