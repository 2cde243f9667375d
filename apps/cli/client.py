"""The command line's one way to the product: REST, to the running service or to one of its own on a Unix socket."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from apps.cli import service_file
from apps.cli.exits import Refused
from localmind.errors import DataDirInUse, LocalMindError, Unavailable
from localmind.settings import Settings

PROBE_TIMEOUT_S = 2.0
START_TIMEOUT_S = 120.0
"""A service that is found starting is waited for; the first start builds the model."""

MOST_WAITS, MOST_WAIT_S = 20, 60.0
"""How often a request is sent again because there were too many, and how long it waits at most in between."""

CONNECT_TIMEOUT_S = 10.0
"""Answers have no limit: a rebuild takes as long as it takes."""


class Api:
    """Calls, their answers as JSON. Raises Refused for a problem, Unavailable where nobody answers."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, **params: Any) -> Any:
        return self._call("GET", path, params={name: value for name, value in params.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._call("POST", path, json=body) if body is not None else self._call("POST", path)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def health(self) -> Any:
        """How the service is; an answer also where it isn't well."""
        with _translated():
            return self._http.get("/health").json()

    def upload(self, filename: str, data: BinaryIO, *, uri: str | None, tags: list[str]) -> Any:
        """The accepted source. The file is read as it is sent."""
        form: dict[str, Any] = {"tags": tags} | ({"uri": uri} if uri else {})
        return self._call("POST", "/api/v1/sources/upload", data=form, files={"file": (filename, data)})["sources"][0]

    def items(self, path: str, *, limit: int | None, **params: Any) -> Iterator[Any]:
        """A list's items over its pages, `limit` at most."""
        left, cursor = limit, None
        while left is None or left > 0:
            page = self.get(path, limit=min(left or 200, 200), cursor=cursor, **params)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return
            left = None if left is None else left - len(page["items"])

    def events(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Iterator[tuple[str, Any]]:
        """(name, data) of each server-sent event. Raises Refused for an `error` event too."""
        with _translated(), self._http.stream(method, path, json=body) as response:
            if response.is_error:
                response.read()
                raise _refused(response)
            name = "message"
            for line in response.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    data = json.loads(value)
                    if name == "error":
                        raise _problem(data)
                    yield name, data

    def _call(self, method: str, path: str, **options: Any) -> Any:
        for _ in range(MOST_WAITS):
            with _translated():
                response = self._http.request(method, path, **options)
            wait_s = _asked_to_wait(response)
            if wait_s is None:
                break
            time.sleep(wait_s)
            for _, data in options.get("files", {}).values():
                data.seek(0)
        if response.is_error:
            raise _refused(response)
        return response.json() if response.content else None


@contextmanager
def connect(settings: Settings) -> Iterator[Api]:
    """To the service that has the data directory open; without one, to the product opened here for as long as this lasts."""
    running = find(settings)
    if running is not None:
        with httpx.Client(base_url=running.url, headers=_headers(settings), timeout=_timeout(), trust_env=False) as http:
            _wait_until_ready(http)
            yield Api(http)
        return
    with _own_service(settings) as http:
        yield Api(http)


def find(settings: Settings) -> service_file.Running | None:
    """The running service, if its process lives and it is the one that wrote the file."""
    running = service_file.read(settings.data_dir)
    if running is None or not service_file.is_alive(running.pid):
        return None
    try:
        answer = httpx.get(f"{running.url}/livez", timeout=PROBE_TIMEOUT_S, trust_env=False)
        return running if answer.json().get("instance") == running.instance else None
    except (httpx.HTTPError, ValueError):
        return None


def _wait_until_ready(http: httpx.Client) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with _translated():
            health = http.get("/health").json()
        if health["status"] != "starting" or time.monotonic() > deadline:
            return  # where it isn't well, the call itself says so, and better
        time.sleep(0.2)


@contextmanager
def _own_service(settings: Settings) -> Iterator[httpx.Client]:
    import uvicorn

    from apps.backend.app import create_app

    # Whoever can open the catalog need not log in to it, but an API key says whose documents these are.
    auth = "required" if settings.localmind_api_key.get_secret_value() else "auto"
    quiet = settings.model_copy(update={"web": False, "host": "127.0.0.1", "log_level": "ERROR", "auth": auth})
    app = create_app(quiet, patient=False, log_to="stderr")
    with tempfile.TemporaryDirectory(prefix="localmind-") as folder:  # for its owner alone, so the socket is
        socket = str(Path(folder) / "api.sock")
        server = uvicorn.Server(uvicorn.Config(app, uds=socket, log_config=None, lifespan="on", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, name="service", daemon=True)
        thread.start()
        try:
            _wait_until_open(app.state.service, server, thread, settings)
            transport = httpx.HTTPTransport(uds=socket)
            with httpx.Client(transport=transport, base_url="http://localhost", headers=_headers(settings), timeout=_timeout()) as http:
                yield http
        finally:
            server.should_exit = True
            thread.join()


def _wait_until_open(service: Any, server: Any, thread: threading.Thread, settings: Settings) -> None:
    while not (server.started and service.wait(0.02)):
        if not thread.is_alive():
            raise Unavailable("The service could not be started here.", hint="`localmind doctor` looks for the cause.")
    if isinstance(service.error, DataDirInUse):
        raise DataDirInUse(
            f"Another process has {settings.data_dir} open, but no service answers for it.",
            hint="Wait for it to end, or stop it; `localmind doctor` says which it is.",
        ) from service.error
    if isinstance(service.error, LocalMindError):
        raise service.error
    if service.error is not None:  # its traceback is in the log above
        raise Unavailable(f"The product can't be opened: {service.error}.", hint="`localmind doctor` looks for the cause.")


def _headers(settings: Settings) -> dict[str, str]:
    """Who asks, and in which space, where the settings say."""
    key, space = settings.localmind_api_key.get_secret_value(), settings.localmind_space
    return ({"Authorization": f"Bearer {key}"} if key else {}) | ({"X-Space": space} if space else {})


def _timeout() -> httpx.Timeout:
    return httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise Unavailable(f"The service does not answer: {error or type(error).__name__}.", hint="`localmind doctor` says why.") from error


def _asked_to_wait(response: httpx.Response) -> float | None:
    """Seconds, where the service takes so many requests and no more; None: it did not refuse for that."""
    if response.status_code != 429 or "too_many_requests" not in response.text:
        return None
    given = response.headers.get("retry-after", "")
    return min(float(given), MOST_WAIT_S) if given.isdigit() else None


def _refused(response: httpx.Response) -> Refused:
    try:
        return _problem(response.json())
    except (ValueError, KeyError, TypeError):
        return Refused(f"The service answered {response.status_code}.", status=response.status_code, kind="unknown")


def _problem(body: Mapping[str, Any]) -> Refused:
    hint = body.get("hint") or ""
    detail = str(body["detail"]).removesuffix(hint).strip()  # the detail ends with its hint
    return Refused(detail, hint=hint, status=int(body["status"]), kind=str(body["error_type"]))
