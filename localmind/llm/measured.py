"""An LLM whose calls are counted for Prometheus and told to traces, whoever makes them."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from localmind.errors import LocalMindError
from localmind.llm.metering import Meter, Prices
from localmind.llm.port import LLM, Completion, Turn
from localmind.model import Usage
from localmind.operations import metrics, tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class MeasuredLLM:
    """The port over another LLM: calls, errors, time, tokens and money by model. Tokens that a server does not count are estimated."""

    def __init__(self, llm: LLM, prices: Prices, *, provider: str = "openai") -> None:
        """provider: whose protocol it speaks, as traces name it."""
        self._llm, self._prices, self._provider = llm, prices, provider
        self._label = llm.model[:128]

    @property
    def model(self) -> str:
        return self._llm.model

    def complete(
        self, turns: Sequence[Turn], *, max_tokens: int, schema: Mapping[str, Any] | None = None, timeout_s: float | None = None
    ) -> Completion:
        with self._traced(max_tokens) as span:
            with self._measured():
                completion = self._llm.complete(turns, max_tokens=max_tokens, schema=schema, timeout_s=timeout_s)
            self._count(turns, completion, span)
        return completion

    def stream(self, turns: Sequence[Turn], *, max_tokens: int) -> Iterator[str | Usage]:
        said: list[str] = []
        usage = Usage()
        pieces = self._llm.stream(turns, max_tokens=max_tokens)
        with self._traced(max_tokens) as span:
            try:
                with self._measured():
                    for piece in pieces:
                        if isinstance(piece, Usage):
                            usage = piece
                        else:
                            said.append(piece)
                        yield piece
            finally:  # cut off by whoever reads, or by the server: what came was not free
                if isinstance(pieces, Generator):
                    pieces.close()
                if said or usage != Usage():
                    self._count(turns, Completion("".join(said), usage), span)

    def close(self) -> None:
        self._llm.close()

    @contextmanager
    def _measured(self) -> Iterator[None]:
        began = time.perf_counter()
        metrics.llm_requests_total.labels(self._label).inc()
        try:
            yield
        except LocalMindError as error:
            metrics.llm_errors_total.labels(self._label, error.error_type).inc()
            raise
        finally:
            metrics.llm_request_duration_seconds.labels(self._label).observe(time.perf_counter() - began)

    def _traced(self, max_tokens: int) -> AbstractContextManager[Span | None]:
        """A span of the call, without what is said: a stream's may end in another context than it began in."""
        asked: tracing.Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._provider,
            "gen_ai.request.model": self._label,
            "gen_ai.request.max_tokens": max_tokens,
        }
        return tracing.aside(f"chat {self._label}", asked, kind="client")

    def _count(self, turns: Sequence[Turn], completion: Completion, span: Span | None) -> None:
        meter = Meter()
        meter.add(turns, completion)
        spent = meter.spent
        metrics.llm_tokens_total.labels(self._label, "prompt").inc(spent.prompt_tokens)
        metrics.llm_tokens_total.labels(self._label, "completion").inc(spent.completion_tokens)
        metrics.llm_cost_total.labels(self._label).inc(self._prices.of(spent))
        if span is not None:
            span.set_attribute("gen_ai.usage.input_tokens", spent.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", spent.completion_tokens)
