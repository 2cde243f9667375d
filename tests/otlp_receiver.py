"""A collector in a thread that takes OTLP over HTTP, and keeps the spans as what they say.

    with OTLPReceiver() as collector:
        settings = Settings(otel_exporter_otlp_endpoint=collector.endpoint)
        ...
        spans = collector.wait_for(lambda spans: any(span.name == "job ingest" for span in spans))

`refuse(status)` has it answer with an error from then on; `hang()` has it take requests and say nothing until its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True)
class Span:
    """ids in hex; parent: "" for a root. error: whether its status is one."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    started: int
    ended: int
    error: bool
    attributes: Mapping[str, Any] = field(hash=False)
    links: tuple[str, ...] = ()


class OTLPReceiver:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.headers: list[Mapping[str, str]] = []
        self.raw = b""
        """All that came, so that nothing is overlooked which no field here shows."""
        self._status = 200
        self._released = threading.Event()
        self._released.set()
        self._arrived = threading.Condition()
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, name="otlp-receiver")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def refuse(self, status: int) -> None:
        self._status = status

    def hang(self) -> None:
        self._released.clear()

    def wait_for(self, is_enough: Callable[[list[Span]], bool], *, timeout_s: float = 20) -> list[Span]:
        with self._arrived:
            if not self._arrived.wait_for(lambda: is_enough(self.spans), timeout_s):
                raise AssertionError(f"not in {timeout_s} s; came: {sorted({span.name for span in self.spans})}")
            return list(self.spans)

    def __enter__(self) -> OTLPReceiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _take(self, headers: Mapping[str, str], body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        spans = [
            _span(str(_values(resource.resource.attributes).get("service.name")), span)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._arrived:
            self.raw += body
            self.headers.append(headers)
            self.spans += spans
            self._arrived.notify_all()


def _span(service: str, span: Any) -> Span:
    return Span(
        service,
        span.name,
        KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == 2,
        _values(span.attributes),
        tuple(link.span_id.hex() for link in span.links),
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, receiver: OTLPReceiver) -> None:
        self.receiver = receiver
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver._released.wait()
        if receiver._status == 200 and self.path == "/v1/traces":
            receiver._take({name.lower(): value for name, value in self.headers.items()}, body)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(receiver._status if self.path == "/v1/traces" else 404)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
