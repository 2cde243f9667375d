"""Nothing that the running product does looks up or contacts another host."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.unit.cli.conftest import Localmind, Start

pytestmark = pytest.mark.integration

GUARD = '''
"""Written by a test: every Python process of the product refuses, and notes, what would leave this machine."""
import ipaddress, os, sys

def is_near(address):
    if not isinstance(address, tuple):  # a Unix socket
        return True
    host = address[0]
    if isinstance(host, bytes):
        host = host.decode()
    if host in ("", None, "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

def watch(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        far = args[1] is not None and not is_near(args[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        far = not is_near((args[0],))
    else:
        return
    if far:
        with open(os.environ["GUARD_NOTES"], "a") as notes:
            notes.write(f"{event} {args!r} {sys.argv}\\n")
        raise OSError("the network is off")

sys.addaudithook(watch)
'''


@pytest.fixture
def guarded(tmp_path: Path) -> dict[str, str]:
    """Settings of a process that is watched, with a home of its own."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    return {
        "PYTHONPATH": str(tmp_path / "guard"),
        "GUARD_NOTES": str(tmp_path / "notes.txt"),
        "HOME": str(tmp_path / "home"),
        "WEB": "true",
        "SEED_GUIDES": "true",
        "HTTP_PROXY": "http://192.0.2.1:3128",
        "HTTPS_PROXY": "http://192.0.2.1:3128",
    }


def test_a_day_with_the_product_touches_no_other_host(
    start: Start, localmind: Localmind, new_data_dir: Callable[[Path], Path], guarded: dict[str, str], tmp_path: Path
) -> None:
    service = start(new_data_dir(tmp_path / "data"), **guarded)
    (tmp_path / "soup.md").write_text("# Soup\n\nThe leek soup simmers for twenty minutes.")
    assert localmind("ingest", tmp_path / "soup.md", env=service.env).code == 0
    assert localmind("ask", "How long does the leek soup simmer?", env=service.env).code == 0
    assert localmind("doctor", env=service.env).code == 0
    with httpx.Client(base_url=service.url, trust_env=False) as http:
        assert http.post("/api/v1/search", json={"query": "leek soup"}).json()["hits"]
        eventually(lambda: http.get("/").status_code == 200)
        assert re.findall(r'(?:src|href)="(?:https?:)?//', http.get("/").text) == []
        assert http.get("/api/v1/none").headers["content-type"] == "application/problem+json", "the page leaves the API's paths alone"
        assert http.patch("/api/v1/sources").status_code == 405
        assert http.get("/docs").status_code == http.get("/metrics").status_code == http.get("/api/v1/doctor").status_code == 200
    assert service.stop() == 0
    notes = tmp_path / "notes.txt"
    assert not notes.exists(), notes.read_text()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_guard_itself_works(start: Start, new_data_dir: Callable[[Path], Path], guarded: dict[str, str], tmp_path: Path) -> None:
    """A setting that names another host makes the product look for it; so the test above would have seen it."""
    service = start(new_data_dir(tmp_path / "data"), **{**guarded, "WEB": "false", "SEED_GUIDES": "false"})
    with httpx.Client(base_url=service.url, trust_env=False) as http:
        accepted = http.post("/api/v1/sources/url", json={"url": "http://elsewhere.example/page"}).json()
        told = http.get(f"/api/v1/jobs/{accepted['job_id']}/events", timeout=60).text
    service.stop()
    assert json.loads(told.strip().splitlines()[-1].removeprefix("data: "))["status"] == "failed"
    assert "elsewhere.example" in (tmp_path / "notes.txt").read_text()
