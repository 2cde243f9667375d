"""A scripted language model server in a thread. It speaks the real OpenAI protocol (and Anthropic's Messages API) over HTTP.

    from tests.llm_server import Failure, Hang, LLMServer, rate_limited

    with LLMServer() as server:                       # or the fixture `llm_server`
        llm = OpenAILLM(server.base_url, api_key="", model="scripted", timeout_s=5)
        server.reply("Paris.")                        # the next answer; several arguments are the next answers in order
        server.reply({"entities": [], "relations": []})    # a JSON object, as the answer's text, or the input of the tool that is forced
        server.reply(lambda request: f"You asked: {request.user}")    # computed from the request
        server.reply(rate_limited(retry_after=0), "and then this")
        server.always("I don't know.")                # whenever no scripted answer is left; without it the question is echoed
        ...
        assert server.requests[-1].user == "..."      # what came in, in order: .system, .user, .turns, .body, .headers, .path

Whatever is asked with `stream: true` is streamed word by word. Behaviours beside text: Failure, Hang, Page, HalfJson, Huge, Drop.
`server.release()` ends every Hang. `reply(..., path="/v1/embeddings")` scripts another endpoint; unscripted embeddings are
deterministic unit vectors over the text's words, so texts that share words are close and others are not.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import random
import re
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
MESSAGES = "/v1/messages"
MODELS = "/v1/models"


@dataclass(frozen=True)
class Request:
    """What a client sent. headers: names in lower case. body: parsed JSON, {} without one."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def turns(self) -> list[tuple[str, str]]:
        """(role, text) of each message, in order."""
        return [(message["role"], _text(message["content"])) for message in self.body.get("messages", [])]

    @property
    def system(self) -> str:
        """The system prompt, wherever the protocol puts it."""
        return _text(self.body.get("system", "")) or "\n".join(text for role, text in self.turns if role == "system")

    @property
    def user(self) -> str:
        """The last user message."""
        return next((text for role, text in reversed(self.turns) if role == "user"), "")

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))


@dataclass(frozen=True)
class Failure:
    """An error as the API sends it."""

    status: int
    message: str = "scripted failure"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def rate_limited(*, retry_after: float | str | None = None) -> Failure:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Failure(429, "Rate limit reached", "rate_limit_exceeded", headers)


@dataclass(frozen=True)
class Hang:
    """No byte until `server.release()` (or the server's end), then `text`. after: pieces that are streamed before."""

    text: str = "released"
    after: int = 0


@dataclass(frozen=True)
class Page:
    """A web page where JSON was expected, as a proxy in between sends it."""

    body: str = "<!doctype html><title>Welcome</title><h1>It works!</h1>"
    status: int = 200


@dataclass(frozen=True)
class HalfJson:
    """An answer whose JSON ends in the middle, though the transfer is complete."""


@dataclass(frozen=True)
class Huge:
    """An answer far larger than any model gives."""

    chars: int = 40_000_000


@dataclass(frozen=True)
class Drop:
    """The connection ends without an answer. after: pieces that are streamed before."""

    after: int = 0


Behaviour = Failure | Hang | Page | HalfJson | Huge | Drop
Answer = str | dict[str, Any] | list[Any] | Behaviour
Scripted = Answer | Callable[[Request], Answer]


class LLMServer:
    """See the module's docstring. api_key: where given, other keys get a 401. models: others get a 404; empty: any model goes."""

    def __init__(
        self, *, host: str = "127.0.0.1", api_key: str | None = None, models: tuple[str, ...] = (), embedding_dim: int = 64
    ) -> None:
        self.api_key = api_key
        self.models = models
        self.embedding_dim = embedding_dim
        self.requests: list[Request] = []
        self.running = 0
        self.most_running = 0
        self._scripts: defaultdict[str, deque[Scripted]] = defaultdict(deque)
        self._defaults: dict[str, Scripted] = {}
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._arrived = threading.Condition(self._lock)
        self._http = _Http(self, host)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, name="llm-server")

    @property
    def base_url(self) -> str:
        """With /v1, as an OpenAI client takes it."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    def reply(self, *answers: Scripted, path: str = CHAT) -> None:
        """The next answers, in order."""
        with self._lock:
            self._scripts[path].extend(answers)

    def always(self, answer: Scripted, *, path: str = CHAT) -> None:
        """The answer whenever no scripted one is left."""
        with self._lock:
            self._defaults[path] = answer

    def release(self) -> None:
        """End every Hang, those to come too."""
        self._released.set()

    def wait_for_requests(self, count: int, *, timeout_s: float = 10) -> None:
        """Until `count` requests have come in since the start."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout_s):
                raise AssertionError(f"{len(self.requests)} of {count} requests came in {timeout_s} s")

    def __enter__(self) -> LLMServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _next(self, request: Request) -> Answer | None:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
            script = self._scripts[request.path]
            answer = script.popleft() if script else self._defaults.get(request.path)
        return answer(request) if callable(answer) else answer

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            yield
        finally:
            with self._lock:
                self.running -= 1


class _Http(ThreadingHTTPServer):
    """Ends its connections when it is closed, so that no thread and no socket outlives a test."""

    daemon_threads = False

    def __init__(self, script: LLMServer, host: str) -> None:
        self.script = script
        self.connections: set[socket.socket] = set()
        super().__init__((host, 0), _Handler)

    def server_close(self) -> None:
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


class _Dropped(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: a test that wants to know looks at `requests`."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (_Dropped, OSError):  # the client went, or the script says so
            self.close_connection = True

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(method, self.path.partition("?")[0], headers, json.loads(raw) if raw else {})
        script = self.server.script
        with script._counted():
            answer = script._next(request)
            refusal = _refusal(script, request)
            self._send(request, refusal or answer)

    def _send(self, request: Request, answer: Answer | None) -> None:
        match answer:
            case Failure():
                self._json(_error(request, answer), status=answer.status, headers=answer.headers)
            case Page():
                self._bytes(answer.body.encode(), "text/html; charset=utf-8", status=answer.status)
            case HalfJson():
                whole = json.dumps(_completion(request, "A sentence that never")).encode()
                self._bytes(whole[: len(whole) // 2], "application/json")
            case Drop() if not answer.after:
                raise _Dropped
            case Hang() if not answer.after:
                self.server.script._released.wait()
                self._send(request, answer.text)
            case _ if request.path == MODELS:
                listed = [{"id": model, "object": "model", "created": 0, "owned_by": "test"} for model in self.server.script.models]
                self._json({"object": "list", "data": listed})
            case dict() if request.path == EMBEDDINGS:
                self._json(answer)
            case _ if request.path == EMBEDDINGS:
                self._json(_embeddings(request, self.server.script.embedding_dim))
            case _ if request.path in (CHAT, MESSAGES):
                self._complete(request, answer)
            case _:
                self._json(_error(request, Failure(404, f"no {request.path} here")), status=404)

    def _complete(self, request: Request, answer: Answer | None) -> None:
        text = _answer_text(request, answer)
        if not request.stream:
            self._json(_completion(request, text, calls_tool=isinstance(answer, dict) and "tool_choice" in request.body))
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for count, event in enumerate(_events(request, text)):
            if isinstance(answer, Drop) and count == answer.after:
                raise _Dropped
            if isinstance(answer, Hang) and count == answer.after:
                self.server.script._released.wait()
            self._chunk(event.encode())
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _json(self, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._bytes(json.dumps(value).encode(), "application/json", status=status, headers=headers)

    def _bytes(self, data: bytes, content_type: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


def _refusal(script: LLMServer, request: Request) -> Failure | None:
    key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    if script.api_key is not None and key != script.api_key:
        return Failure(401, f"Incorrect API key provided: {key}", "invalid_api_key")
    model = request.body.get("model")
    if script.models and model and model not in script.models:
        return Failure(404, f"The model `{model}` does not exist", "model_not_found")
    return None


def _answer_text(request: Request, answer: Answer | None) -> str:
    match answer:
        case None:
            return f"You said: {request.user}"
        case str():
            return answer
        case Huge():
            return "x" * answer.chars
        case Hang():
            return " ".join([*(f"piece{n}" for n in range(answer.after)), answer.text])
        case Drop():
            return " ".join(f"piece{n}" for n in range(answer.after + 1))
        case _:
            return json.dumps(answer)


def _usage(request: Request, text: str) -> tuple[int, int]:
    """Tokens as this server counts them: words."""
    return len(request.system.split()) + sum(len(words.split()) for role, words in request.turns if role != "system"), len(text.split())


def _completion(request: Request, text: str, *, calls_tool: bool = False) -> dict[str, Any]:
    prompt, completion = _usage(request, text)
    model = request.body.get("model", "scripted")
    message: dict[str, Any] = {"role": "assistant", "content": text}
    content: dict[str, Any] = {"type": "text", "text": text}
    if calls_tool:
        call = {"id": "call_1", "type": "function", "function": {"name": "answer", "arguments": text}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        content = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": json.loads(text)}
    if request.path == MESSAGES:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [content],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": prompt, "output_tokens": completion},
        }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }


def _events(request: Request, text: str) -> Iterator[str]:
    pieces = re.findall(r"\s*\S+|\s+$", text)
    yield from _anthropic_events(request, text, pieces) if request.path == MESSAGES else _openai_events(request, text, pieces)


def _openai_events(request: Request, text: str, pieces: list[str]) -> Iterator[str]:
    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": request.body.get("model", "scripted")}
        return f"data: {json.dumps(chunk | {'choices': choices} | more)}\n\n"

    for piece in pieces:
        yield event([{"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}])
    yield event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    if (request.body.get("stream_options") or {}).get("include_usage"):
        prompt, completion = _usage(request, text)
        yield event([], usage={"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
    yield "data: [DONE]\n\n"


def _anthropic_events(request: Request, text: str, pieces: list[str]) -> Iterator[str]:
    def event(kind: str, **more: Any) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind} | more)}\n\n"

    prompt, completion = _usage(request, text)
    message = _completion(request, "") | {"content": [], "stop_reason": None, "usage": {"input_tokens": prompt, "output_tokens": 1}}
    yield event("message_start", message=message)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for piece in pieces:
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield event("content_block_stop", index=0)
    yield event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": completion})
    yield event("message_stop")


def _error(request: Request, failure: Failure) -> dict[str, Any]:
    if request.path == MESSAGES:
        return {"type": "error", "error": {"type": failure.code or "api_error", "message": failure.message}}
    return {"error": {"message": failure.message, "type": "invalid_request_error", "param": None, "code": failure.code}}


def _embeddings(request: Request, dim: int) -> dict[str, Any]:
    texts = request.body["input"]
    vectors = [embedding(text, dim) for text in ([texts] if isinstance(texts, str) else texts)]
    as_base64 = request.body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": n, "embedding": base64.b64encode(struct.pack(f"<{dim}f", *v)).decode() if as_base64 else v}
        for n, v in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    return {"object": "list", "model": request.body.get("model", "scripted"), "data": data, "usage": usage}


def embedding(text: str, dim: int) -> list[float]:
    """A unit vector over the text's words: equal texts have equal ones, texts that share words are close."""
    words = re.findall(r"\w+", text.casefold()) or [""]
    total = [math.fsum(column) for column in zip(*(_word_vector(word, dim) for word in words), strict=True)]
    length = math.sqrt(math.fsum(x * x for x in total))
    return [x / length for x in total]


@lru_cache(maxsize=10_000)
def _word_vector(word: str, dim: int) -> list[float]:
    numbers = random.Random(word)
    return [numbers.gauss(0, 1) for _ in range(dim)]


def _text(content: object) -> str:
    """A message's content is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in cast(list[dict[str, Any]], content))
