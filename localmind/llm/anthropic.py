"""Anthropic's Messages API, over plain HTTP: one call and one stream do not need a client library."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from localmind.errors import LLMUnavailable
from localmind.llm import refusals
from localmind.llm.messages import messages
from localmind.llm.patience import Patience
from localmind.llm.port import Completion, RequestRefused, Turn
from localmind.model import Usage

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "https://api.anthropic.com/v1"
API_VERSION = "2023-06-01"
MOST_ANSWER_BYTES = 8_000_000
TOOL = "answer"


class AnthropicLLM:
    """The LLM port over the Messages API. base_url: "" for Anthropic's own. patience: for tests with another clock."""

    def __init__(
        self, base_url: str, api_key: str, model: str, *, timeout_s: float, attempts: int = 3, patience: Patience | None = None
    ) -> None:
        self._endpoint = refusals.Endpoint((base_url or DEFAULT_URL).rstrip("/"), model, api_key, timeout_s)
        self._patience = patience or Patience(attempts=attempts)
        self._takes_tools = True  # until a server of this protocol says otherwise
        self._lock = threading.Lock()
        self._opened: httpx.Client | None = None

    @property
    def model(self) -> str:
        return self._endpoint.model

    def complete(
        self, turns: Sequence[Turn], *, max_tokens: int, schema: Mapping[str, Any] | None = None, timeout_s: float | None = None
    ) -> Completion:
        limit_s = timeout_s or self._endpoint.timeout_s
        return self._patience.run(lambda: self._structured(turns, max_tokens, schema, limit_s), attempts=1 if timeout_s else None)

    @property
    def mode(self) -> str:
        """How the server takes a JSON schema, as far as it was found out: tool or text."""
        return "tool" if self._takes_tools else "text"

    def stream(self, turns: Sequence[Turn], *, max_tokens: int) -> Iterator[str | Usage]:
        body = _body(turns, model=self.model, max_tokens=max_tokens) | {"stream": True}
        # Only the start is repeated: a person has read what came before a break.
        response, held = self._patience.run(lambda: self._begin(body))
        with held, self._translated():
            yield from _pieces(response.iter_lines(), self._endpoint)

    def close(self) -> None:
        with self._lock:
            client, self._opened = self._opened, None
        if client is not None:
            client.close()

    def _client(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._opened is None:
                headers = {"x-api-key": self._endpoint.secret, "anthropic-version": API_VERSION}
                self._opened = httpx.Client(base_url=self._endpoint.base_url, headers=headers, timeout=self._endpoint.timeout_s)
            return self._opened

    def _structured(self, turns: Sequence[Turn], max_tokens: int, schema: Mapping[str, Any] | None, limit_s: float) -> Completion:
        """With the schema as a tool to call; a server that refuses tools is asked in words, and not with a tool again."""
        if schema is not None and self._takes_tools:
            body = _body(turns, model=self.model, max_tokens=max_tokens)
            tool = {"name": TOOL, "description": "Gives the answer.", "input_schema": schema}
            try:
                return self._complete(body | {"tools": [tool], "tool_choice": {"type": "tool", "name": TOOL}}, limit_s)
            except RequestRefused as refusal:
                if "tool" not in refusal.message:
                    raise
                self._takes_tools = False
        return self._complete(_body(turns, model=self.model, max_tokens=max_tokens, schema=schema), limit_s)

    def _complete(self, body: Mapping[str, Any], limit_s: float) -> Completion:
        self._client()
        deadline = time.monotonic() + limit_s  # not before: to import the client alone takes time
        response, held = self._begin(body, limit_s)
        with held, self._translated(limit_s):
            data = bytearray()
            for piece in response.iter_bytes():
                data += piece
                if len(data) > MOST_ANSWER_BYTES:
                    raise refusals.not_understood(self._endpoint, f"the answer is longer than {MOST_ANSWER_BYTES:,} bytes")
                if time.monotonic() > deadline:  # a server that sends a byte now and then never times out by itself
                    raise refusals.too_slow(self._endpoint, limit_s)
        return _completion(bytes(data), self._endpoint)

    def _begin(self, body: Mapping[str, Any], limit_s: float | None = None) -> tuple[httpx.Response, contextlib.ExitStack]:
        """The answer to a request that was taken, and what closes it."""
        with contextlib.ExitStack() as stack, self._translated(limit_s):
            timeout_s = limit_s or self._endpoint.timeout_s
            response = stack.enter_context(self._client().stream("POST", "/messages", json=body, timeout=timeout_s))
            if response.status_code >= 400:
                detail = next(response.iter_bytes(10_000), b"")
                raise refusals.refused(self._endpoint, response.status_code, _detail(detail), response.headers)
            return response, stack.pop_all()

    @contextlib.contextmanager
    def _translated(self, limit_s: float | None = None) -> Iterator[None]:
        """`from None`: nothing of the request, which holds the API key, may reach a log."""
        import httpx

        try:
            yield
        except httpx.TimeoutException:
            raise refusals.too_slow(self._endpoint, limit_s) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise refusals.unreachable(self._endpoint) from None


def _body(turns: Sequence[Turn], *, model: str, max_tokens: int, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    sent = messages(turns)
    system = "\n\n".join(message["content"] for message in sent if message["role"] == "system")
    if schema is not None:
        system += f"\n\nAnswer with JSON alone. It keeps to this JSON schema:\n{json.dumps(schema)}"
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": max_tokens,
        "messages": [message for message in sent if message["role"] != "system"],
    }
    if system:
        body["system"] = system.strip()
    return body


def _detail(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"]["message"])
    except (ValueError, TypeError, KeyError):
        return data.decode("utf-8", "replace")


def _completion(data: bytes, endpoint: refusals.Endpoint) -> Completion:
    try:
        answer = json.loads(data)
        called = [json.dumps(block["input"]) for block in answer["content"] if block.get("type") == "tool_use"]
        text = called[0] if called else "".join(block["text"] for block in answer["content"] if block.get("type") == "text")
        usage = Usage(int(answer["usage"]["input_tokens"]), int(answer["usage"]["output_tokens"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise refusals.not_understood(endpoint, "not the JSON that was expected") from None
    return Completion(text, usage)


def _pieces(lines: Iterator[str], endpoint: refusals.Endpoint) -> Iterator[str | Usage]:
    """Server-sent events to pieces of text, then the usage. The last event says that the answer is whole."""
    usage = Usage()
    for line in lines:
        if not line.startswith("data:"):
            continue
        try:
            event = json.loads(line[5:])
            match event["type"]:
                case "content_block_delta" if event["delta"]["type"] == "text_delta":
                    yield event["delta"]["text"]
                case "message_start":
                    usage = Usage(event["message"]["usage"]["input_tokens"], 0)
                case "message_delta":
                    usage = Usage(usage.prompt_tokens, event["usage"]["output_tokens"])
                case "error":
                    told = endpoint.redacted(str(event["error"]["message"]))
                    raise LLMUnavailable(f"The LLM at {endpoint.address} broke off: {told}", hint="Try again.")
                case "message_stop":
                    yield usage
                    return
        except (ValueError, TypeError, KeyError):
            raise refusals.not_understood(endpoint, "an event of the stream can't be read") from None
    raise LLMUnavailable(f"The LLM at {endpoint.address} broke off before the end.", hint="Try again.")
