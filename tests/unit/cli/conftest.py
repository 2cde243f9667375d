"""The command line, called as its entry point is, beside a running service and without one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from apps.backend.config import get_settings
from apps.cli.main import run

START_S = 60


@dataclass
class Result:
    code: int
    out: str
    err: str


Localmind = Callable[..., Result]


def environment(data_dir: Path, port: int) -> dict[str, str]:
    return {"DATA_DIR": str(data_dir), "PORT": str(port), "HOST": "127.0.0.1", "SEED_GUIDES": "false", "WEB": "false", "MAX_UPLOAD_MB": "2"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def localmind(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Localmind]:
    """Runs `localmind ARGS...` in this process; env: its settings. Without a DATA_DIR among them, one that nobody else uses."""

    def call(*args: str | Path, env: dict[str, str]) -> Result:
        for name, value in {"DATA_DIR": str(tmp_path / "own"), **env}.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["localmind", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run()
        told = capsys.readouterr()
        return Result(int(ended.value.code or 0), told.out, told.err)

    yield call
    get_settings.cache_clear()


@dataclass
class Service:
    process: subprocess.Popen[str]
    env: dict[str, str]
    data_dir: Path
    url: str
    starting: str
    """What it told while it started."""

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


Start = Callable[..., Service]


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """Starts `localmind serve` on a data directory, with settings beside the usual ones, and waits until it is ready."""
    started: list[subprocess.Popen[str]] = []

    def go(folder: Path, **changes: str) -> Service:
        env = {**environment(folder, free_port()), **changes}
        log = (folder / "stderr.txt").open("w+")
        command = [sys.executable, "-c", "from apps.cli.main import run; run()", "serve"]
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stderr=log, text=True)
        started.append(process)
        url = f"http://127.0.0.1:{env['PORT']}"
        deadline = time.monotonic() + START_S
        while not is_ready(url):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "stderr.txt").read_text()
            time.sleep(0.05)
        log.close()
        return Service(process, env, folder, url, (folder / "stderr.txt").read_text())

    yield go
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def service(start: Start, new_data_dir: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service. Started once a test process."""
    service = start(new_data_dir(tmp_path_factory.mktemp("served") / "data"))
    yield service
    service.stop()
