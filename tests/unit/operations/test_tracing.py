"""Traces that are sampled out, shared, or sent to a collector that is not there."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr, ValidationError

from localmind.catalog.jobs import Claim
from localmind.errors import Cancelled, NotFound
from localmind.ingest import job_spans
from localmind.model import Job, JobId, JobStatus, TenantId
from localmind.operations import doctor, tracing
from localmind.settings import Settings
from tests.otlp_receiver import OTLPReceiver

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[OTLPReceiver]:
    with OTLPReceiver() as collector:
        yield collector


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    yield
    tracing.stop()


def start(endpoint: str, **changes: Any) -> bool:
    return tracing.start(settings(endpoint, **changes), "test")


def settings(endpoint: str, **changes: Any) -> Settings:
    return Settings(_env_file=None, otel_exporter_otlp_endpoint=endpoint, **changes)


def claim(traceparent: str | None) -> Claim:
    now = datetime.now(UTC)
    job = Job(JobId("j"), TenantId("t"), "ingest", JobStatus.RUNNING, now, now, traceparent=traceparent)
    return Claim(job, 1, 0, True, False)


@pytest.mark.parametrize(
    ("sampler", "share", "sent", "is_traced"),
    [
        ("parentbased_always_on", 1, None, True),
        ("parentbased_always_on", 1, SAMPLED[:-1] + "0", False),
        ("parentbased_always_off", 1, None, False),
        ("parentbased_always_off", 1, SAMPLED, True),
        ("parentbased_traceidratio", 0, None, False),
        ("traceidratio", 0, SAMPLED, False),
        ("always_off", 1, SAMPLED, False),
        ("always_on", 1, "no traceparent at all", True),
    ],
)
def test_a_sampler_decides_for_a_request_and_its_job(
    collector: OTLPReceiver, sampler: str, share: float, sent: str | None, is_traced: bool
) -> None:
    assert start(collector.endpoint, otel_traces_sampler=sampler, otel_traces_sampler_arg=share)
    with tracing.serving("GET", sent, {}):
        with tracing.span("search vectors") as part:
            assert (part is not None) is is_traced
        handed_on = tracing.traceparent()
        assert (tracing.trace_id() is not None) is is_traced
    assert handed_on is not None
    worked = job_spans.begin(claim(handed_on)).job
    with tracing.continued(worked.traceparent), tracing.span("read"):
        pass
    job_spans.end(worked)
    tracing.stop()
    assert {span.name for span in collector.spans} == ({"GET", "search vectors", "job ingest", "read"} if is_traced else set())


def test_a_batch_of_several_documents_is_in_the_trace_of_each(collector: OTLPReceiver) -> None:
    assert start(collector.endpoint)
    with tracing.shared("embed", [None, SAMPLED, OTHER, SAMPLED, OTHER[:-1] + "0"]), tracing.span("embeddings"):
        pass
    tracing.stop()
    first, second = sorted((span for span in collector.spans if span.name == "embed"), key=lambda span: span.trace)
    assert (first.trace, second.trace) == (SAMPLED.split("-")[1], OTHER.split("-")[1])
    (part,) = (span for span in collector.spans if span.name == "embeddings")
    assert part.parent == first.id and second.links == (first.id,)


def test_a_call_that_another_thread_makes_stays_in_its_trace(collector: OTLPReceiver) -> None:
    assert start(collector.endpoint)

    def ask() -> None:
        with tracing.span("in a thread"):
            pass

    with ThreadPoolExecutor(1) as pool:
        with tracing.serving("GET", None, {}):
            pool.submit(tracing.carried(ask)).result()
        pool.submit(ask).result()
    tracing.stop()
    inside, request = sorted(collector.spans, key=lambda span: span.name == "GET")
    assert inside.parent == request.id and len(collector.spans) == 2, "what belongs to no trace begins none"


def test_errors_are_told_by_type_and_a_cancel_is_none(collector: OTLPReceiver) -> None:
    assert start(collector.endpoint)
    with tracing.continued(SAMPLED):
        for error in (NotFound("no secret"), ValueError("secret"), Cancelled("secret")):
            with pytest.raises(type(error)), tracing.span("asked"):
                raise error
    tracing.stop()
    assert [(span.attributes["error.type"], span.error) for span in collector.spans] == [
        ("not_found", True),
        ("ValueError", True),
        ("cancelled", False),
    ]
    assert b"secret" not in collector.raw


def many(count: int) -> float:
    """Seconds of this thread's CPU that so many requests take."""
    began = time.thread_time()
    for _ in range(count):
        with tracing.serving("GET", None, {}):
            pass
    return time.thread_time() - began


def test_a_collector_that_is_away_costs_nobody_time_and_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "FLUSH_S", 0.2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert start(away)
    assert many(5000) < 5, "of CPU: 1 ms each"
    assert tracing._on is not None
    kept = tracing._on.provider._active_span_processor._span_processors[0]._batch_processor._queue
    assert len(kept) <= 2048
    began = time.perf_counter()
    tracing.stop()
    assert time.perf_counter() - began < 10, "the SDK alone would wait for 30 seconds"


@pytest.mark.parametrize("behaviour", ["hangs", "refuses"])
def test_a_collector_that_takes_nothing_does_not_keep_the_end(
    monkeypatch: pytest.MonkeyPatch, collector: OTLPReceiver, behaviour: str
) -> None:
    monkeypatch.setattr(tracing, "FLUSH_S", 0.2)
    collector.hang() if behaviour == "hangs" else collector.refuse(503)
    assert start(collector.endpoint)
    many(600)
    began = time.perf_counter()
    tracing.stop()
    assert time.perf_counter() - began < 10 and not tracing.is_on()


def test_without_the_extra_the_service_goes_on_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.exporter.otlp.proto.http")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with structlog.testing.capture_logs() as lines:
        assert not start("http://127.0.0.1:4318") and not tracing.is_on()
    assert [line["event"] for line in lines] == ["tracing_off"] and "pip install 'localmind[tracing]'" in lines[0]["error"]
    (check,) = doctor._traces(settings("http://127.0.0.1:4318"))
    assert not check.ok and "localmind[tracing]" in check.hint


def test_doctor_says_where_traces_go_and_nothing_where_they_are_off() -> None:
    (check,) = doctor._traces(settings("http://127.0.0.1:4318"))
    assert check.ok and "127.0.0.1:4318" in check.detail
    assert doctor._traces(settings("")) == []


@pytest.mark.parametrize("changes", [{"otel_traces_sampler": "sometimes"}, {"otel_traces_sampler_arg": 1.5}])
def test_a_setting_that_means_nothing_is_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        settings("", **changes)
    with pytest.raises(ValidationError, match="http://collector:4318"):
        settings("collector:4317")


def test_headers_that_cannot_be_read_are_not_quoted(
    monkeypatch: pytest.MonkeyPatch, collector: OTLPReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "hush hush")  # which the SDK reads as well
    with structlog.testing.capture_logs() as lines:
        assert start(collector.endpoint, otel_exporter_otlp_headers=SecretStr("hush hush"))
    assert [line["event"] for line in lines] == ["tracing_headers_unreadable"]
    assert "hush" not in caplog.text + repr(lines) + repr(settings("", otel_exporter_otlp_headers=SecretStr("hush hush")))


def test_stopping_leaves_no_thread(collector: OTLPReceiver) -> None:
    before = set(threading.enumerate())
    assert start(collector.endpoint)
    many(3)
    tracing.stop()
    tracing.stop()
    assert {thread.name for thread in set(threading.enumerate()) - before if "Otel" in thread.name} == set()
    assert len(collector.spans) == 3


def test_the_service_is_named_by_the_setting(collector: OTLPReceiver, tmp_path: Path) -> None:
    assert start(collector.endpoint, otel_service_name="notes")
    many(1)
    tracing.stop()
    assert collector.spans[0].service == "notes"
