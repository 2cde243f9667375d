"""Any server that speaks the OpenAI protocol: Ollama, LM Studio, vLLM, llama.cpp, OpenAI and the like."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from localmind.errors import ConfigurationError, LLMUnavailable, LocalMindError
from localmind.llm import refusals
from localmind.llm.messages import messages
from localmind.llm.patience import Patience
from localmind.llm.port import Completion, Turn
from localmind.model import Usage

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

MOST_ANSWER_BYTES = 8_000_000
"""No model answers that much: what is longer comes from a server gone wild, and would fill the memory."""


TOOL = "answer"
"""The tool whose arguments are the answer, for servers that take a schema only so."""


_ABOUT_FORMAT = re.compile(r"format|schema|json|tool|grammar", re.IGNORECASE)


class OpenAILLM:
    """The LLM port over chat completions. attempts: calls made before one is given up. patience: for tests with another clock."""

    def __init__(
        self, base_url: str, api_key: str, model: str, *, timeout_s: float, attempts: int = 3, patience: Patience | None = None
    ) -> None:
        self._endpoint = refusals.Endpoint(base_url.rstrip("/"), model, api_key, timeout_s)
        self._patience = patience or Patience(attempts=attempts)
        self._parameters = _Parameters()  # as the server took them last, so that finding out is paid once
        self._is_settled = False  # it took a schema in some form: what it refuses from then on it refuses for the text, unless it says so
        self._lock = threading.Lock()
        self._opened: openai.OpenAI | None = None

    @property
    def model(self) -> str:
        return self._endpoint.model

    def complete(
        self, turns: Sequence[Turn], *, max_tokens: int, schema: Mapping[str, Any] | None = None, timeout_s: float | None = None
    ) -> Completion:
        limit_s = timeout_s or self._endpoint.timeout_s
        return self._patience.run(
            lambda: self._negotiated(schema, lambda dialect: self._complete(turns, dialect(max_tokens, schema), limit_s)),
            attempts=1 if timeout_s else None,
        )

    @property
    def mode(self) -> str:
        """How the server takes a JSON schema, as far as it was found out: json_schema, tool, json_object or text."""
        return self._parameters.format

    def stream(self, turns: Sequence[Turn], *, max_tokens: int) -> Iterator[str | Usage]:
        # Only the start is repeated: a person has read what came before a break.
        answer = self._patience.run(lambda: self._negotiated(None, lambda dialect: self._begin(turns, max_tokens, dialect)))
        with contextlib.closing(answer), self._translated():
            yield from _pieces(answer, self._endpoint)

    def close(self) -> None:
        with self._lock:
            client, self._opened = self._opened, None
        if client is not None:
            client.close()

    def _client(self) -> openai.OpenAI:
        import openai

        with self._lock:
            if self._opened is None:
                if not self._endpoint.base_url:
                    raise ConfigurationError(
                        "No LLM endpoint is set.", hint="Set LLM_BASE_URL, for Ollama http://127.0.0.1:11434/v1; LLM_MODEL=mock needs none."
                    )
                self._opened = openai.OpenAI(
                    base_url=self._endpoint.base_url,
                    api_key=self._endpoint.secret or "none",  # local servers take any
                    timeout=self._endpoint.timeout_s,
                    max_retries=0,
                )
                # The client would take them from the environment; settings are our only source.
                self._opened.organization = self._opened.project = None
            return self._opened

    def _negotiated(self, schema: Mapping[str, Any] | None, call: Callable[[_Parameters], T]) -> T:
        parameters: _Parameters | None = self._parameters
        first: LocalMindError | None = None
        while parameters is not None:
            try:
                result = call(parameters)
            except _Unsupported as refusal:
                first = first or refusal.error
                is_about_format = schema is not None and not (self._is_settled and _ABOUT_FORMAT.search(str(refusal)) is None)
                parameters = parameters.conceded(str(refusal), formatted=is_about_format)
            else:
                self._parameters = parameters
                self._is_settled = self._is_settled or schema is not None
                return result
        assert first is not None
        raise first

    def _complete(self, turns: Sequence[Turn], parameters: Mapping[str, Any], limit_s: float) -> Completion:
        completions = self._client().chat.completions.with_streaming_response
        deadline = time.monotonic() + limit_s  # not before: to import the client alone takes a second
        with self._translated(limit_s), completions.create(**self._request(turns), **parameters, timeout=limit_s) as response:
            data = bytearray()
            for piece in response.iter_bytes():
                data += piece
                if len(data) > MOST_ANSWER_BYTES:
                    raise refusals.not_understood(self._endpoint, f"the answer is longer than {MOST_ANSWER_BYTES:,} bytes")
                if time.monotonic() > deadline:  # a server that sends a byte now and then never times out by itself
                    raise refusals.too_slow(self._endpoint, limit_s)
        return _completion(bytes(data), self._endpoint)

    def _begin(self, turns: Sequence[Turn], max_tokens: int, dialect: _Parameters) -> openai.Stream[Any]:
        client = self._client()
        with self._translated():
            stream: openai.Stream[Any] = client.chat.completions.create(
                **self._request(turns), **dialect(max_tokens, None, streamed=True), stream=True
            )
        return stream

    def _request(self, turns: Sequence[Turn]) -> dict[str, Any]:
        return {"model": self.model, "messages": messages(turns)}

    @contextlib.contextmanager
    def _translated(self, limit_s: float | None = None) -> Iterator[None]:
        """`from None`: the client's own errors can repeat the API key, and a log prints causes."""
        import openai

        try:
            yield
        except openai.APITimeoutError:
            raise refusals.too_slow(self._endpoint, limit_s) from None
        except openai.APIConnectionError:
            raise refusals.unreachable(self._endpoint) from None
        except openai.APIStatusError as error:
            told = refusals.refused(self._endpoint, error.status_code, _detail(error), error.response.headers, code=str(error.code or ""))
            raise (_Unsupported(told) if error.status_code in (400, 422, 501) else told) from None
        except openai.APIError as error:  # an error event in a stream
            raise LLMUnavailable(
                f"The LLM at {self._endpoint.address} broke off: {self._endpoint.redacted(str(error))}", hint="Try again."
            ) from None
        except (ValueError, openai.OpenAIError):
            raise refusals.not_understood(self._endpoint, "not the JSON that was expected") from None
        except OSError:
            raise refusals.unreachable(self._endpoint) from None


class _Unsupported(Exception):
    """The server refuses the request, perhaps only for a parameter that we can do without."""

    def __init__(self, error: LocalMindError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True)
class _Parameters:
    """How the optional parameters are written for one server. Each concession makes a request that more servers take."""

    format: str = "json_schema"
    tokens: str = "max_tokens"
    temperature: bool = True
    usage: bool = True

    def __call__(self, max_tokens: int, schema: Mapping[str, Any] | None, *, streamed: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = {self.tokens: max_tokens}
        if schema is not None:
            if self.temperature:
                parameters["temperature"] = 0  # data, not prose
            if self.format == "json_schema":
                parameters["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
            elif self.format == "tool":
                parameters["tools"] = [{"type": "function", "function": {"name": TOOL, "parameters": schema}}]
                parameters["tool_choice"] = {"type": "function", "function": {"name": TOOL}}
            elif self.format == "json_object":
                parameters["response_format"] = {"type": "json_object"}
        if streamed and self.usage:
            parameters["stream_options"] = {"include_usage": True}
        return parameters

    def conceded(self, complaint: str, *, formatted: bool) -> _Parameters | None:
        """Parameters that give way to what the server complains of; else the next plainer format; None when none is left."""
        if "max_completion_tokens" in complaint and self.tokens == "max_tokens":  # OpenAI's reasoning models
            return replace(self, tokens="max_completion_tokens")
        if "temperature" in complaint and self.temperature:
            return replace(self, temperature=False)
        if "stream_options" in complaint and self.usage:
            return replace(self, usage=False)
        plainer = {"json_schema": "tool", "tool": "json_object", "json_object": "text"}.get(self.format)
        return replace(self, format=plainer) if plainer and formatted else None


def _detail(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict):
        return str(body.get("message") or body)
    return error.message


def _completion(data: bytes, endpoint: refusals.Endpoint) -> Completion:
    try:
        answer = json.loads(data)
        message = answer["choices"][0]["message"]
        text = _called_with(message) or message.get("content") or ""
        usage = answer.get("usage") or {}
        counted = Usage(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise refusals.not_understood(endpoint, "not the JSON that was expected") from None
    if not isinstance(text, str):
        raise refusals.not_understood(endpoint, "the answer is not a text")
    return Completion(text, counted)


def _called_with(message: Mapping[str, Any]) -> str:
    """The arguments of the tool that the model calls; "" where it calls none."""
    calls = message.get("tool_calls") or [{"function": {"arguments": ""}}]
    arguments = calls[0]["function"].get("arguments") or ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)  # some servers send the object itself


def _pieces(events: openai.Stream[Any], endpoint: refusals.Endpoint) -> Iterator[str | Usage]:
    usage = Usage()
    anything = False
    for event in events:
        anything = True
        if getattr(event, "usage", None):
            usage = Usage(event.usage.prompt_tokens or 0, event.usage.completion_tokens or 0)
        for choice in event.choices or ():
            if choice.delta and choice.delta.content:
                yield choice.delta.content
    if not anything:
        raise refusals.not_understood(endpoint, "no event came in the stream")
    yield usage
