"""The real service in a process of its own, and Chromium in front of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

START_TIMEOUT_S = 60
READ_TIMEOUT_S = 30
MAX_UPLOAD_MB = 1

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Service:
    """A running service and its API."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of whoever puts things in."""

    def add(self, name: str, data: bytes) -> str:
        """Puts a file in and waits until it is read; its source's id."""
        files = {"file": (name, data)}
        answer = httpx.post(f"{self.url}/api/v1/sources/upload", files=files, headers=self.headers, timeout=10).raise_for_status()
        source = answer.json()["sources"][0]
        self.wait_for_job(source["job_id"])
        return str(source["source_id"])

    def wait_for_job(self, job_id: str) -> None:
        with httpx.stream("GET", f"{self.url}/api/v1/jobs/{job_id}/events", headers=self.headers, timeout=READ_TIMEOUT_S) as events:
            for _ in events.iter_lines():
                pass  # the stream ends with the job

    def clear(self) -> None:
        for source in httpx.get(f"{self.url}/api/v1/sources", timeout=10).json()["items"]:
            job = httpx.delete(f"{self.url}/api/v1/sources/{source['source_id']}", timeout=10).json()
            self.wait_for_job(job["job_id"])


@dataclass
class Seen:
    """What a page did that a person does not see."""

    foreign: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)


@contextmanager
def serving(data_dir: Path, **changes: str) -> Iterator[Service]:
    """The service on the data directory. changes: settings, by their names in the environment."""
    port = _free_port()
    settings = {"DATA_DIR": str(data_dir), "PORT": str(port), "SEED_GUIDES": "false", "MAX_UPLOAD_MB": str(MAX_UPLOAD_MB)}
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH")}
    with (data_dir / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from apps.cli.main import run; run()", "serve"],
            cwd=Path(__file__).parents[2],
            env=kept | settings | changes,
            stdout=log,
            stderr=log,
        )
        try:
            service = Service(f"http://127.0.0.1:{port}")
            _wait_until_up(service, process, data_dir / "log")
            yield service
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def running_service(tmp_path_factory: pytest.TempPathFactory, new_data_dir: Callable[[Path], Path]) -> Iterator[Service]:
    with serving(new_data_dir(tmp_path_factory.mktemp("service") / "data")) as service:
        yield service


@pytest.fixture
def service(running_service: Service) -> Service:
    """The running service, empty."""
    running_service.clear()
    return running_service


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium. Not for the session: while Playwright runs, no other test of this process could start an event loop."""
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        pytest.skip(f"no Chromium: none of {', '.join(CHROMIUM_NAMES)} is on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, service: Service) -> Iterator[Callable[..., Any]]:
    """Opens an address of the service in a browser of its own. In the end: no request elsewhere, nothing in the console."""
    contexts, seen = [], Seen()

    def open_page(path: str = "/", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
        contexts.append(context)
        context.on("page", lambda page: watch(page, service.url, seen))
        context.set_default_timeout(READ_TIMEOUT_S * 1000)
        page = context.new_page()
        page.goto(service.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert seen == Seen()


def watch(page: Any, own: str, seen: Seen) -> None:
    ours = (own + "/", own.replace("http:", "ws:") + "/", "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(ours) else seen.foreign.append(request.url))
    page.on("websocket", lambda websocket: None if websocket.url.startswith(ours) else seen.foreign.append(websocket.url))
    page.on("console", lambda message: seen.console.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.console.append(str(error)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(service: Service, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the web page is there, which comes last."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            # Where people log in, it leads to the login.
            if httpx.get(service.url, headers={"Accept": "text/html"}, timeout=5).status_code < 400:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the service did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}")
