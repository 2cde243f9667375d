"""Every operation of the OpenAPI document against a service that really runs: no 5xx, and nothing that the document does not say.

SCHEMA_REQUESTS: at least so many requests. A run prints its seeds; schemathesis tells a failing request as a curl command.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

REQUESTS = int(os.environ.get("SCHEMA_REQUESTS", "500"))
START_S = 120
ROOT = Path(__file__).parents[2]
EMAIL, PASSWORD = "operator@example.org", "correct horse battery"
HOOKS = {"SCHEMATHESIS_HOOKS": "tests.security.schemathesis_hooks"}


class Service(NamedTuple):
    """key: an API key of who runs it; key_id: the id of that."""

    address: str
    key_id: str
    key: str


@pytest.fixture
def service(tmp_path: Path, model_cache: Path) -> Iterator[Service]:
    """With logins: embedded engines, no LLM, the guides put in."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(model_cache, target_is_directory=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    basics = {"DATA_DIR": str(tmp_path / "data"), "PORT": str(port), "MAX_UPLOAD_MB": "2", "WEB": "false", "RATE_LIMITS": "off"}
    logins = {
        "AUTH": "required",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "LOCALMIND_ADMIN_PASSWORD": PASSWORD,
        "PASSWORD_MEMORY_KIB": "64",
    }
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH")}
    environment, command = kept | basics | logins, [sys.executable, "-c", "from apps.cli.main import run; run()"]
    subprocess.run([*command, "admin", "create-user", "--email", EMAIL], cwd=ROOT, env=environment, check=True, capture_output=True)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "serve"], cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(address, process)
            yield Service(address, *make_key(address))
            assert process.poll() is None, "the service ended"
            assert "request_crashed" not in (tmp_path / "log").read_text(errors="replace")
        finally:
            process.terminate()
            process.wait(30)


def make_key(address: str) -> tuple[str, str]:
    """Its id, and the key: a token would be over after a quarter of an hour, or with the first logout."""
    login = httpx.post(f"{address}/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD}).raise_for_status().json()
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    made = httpx.post(f"{address}/api/v1/api-keys", headers=headers, json={"name": "All", "scopes": ["admin"]}).raise_for_status().json()
    return made["id"], made["key"]


def wait_until_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{address}/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail("the service did not start")


@pytest.mark.timeout(300 + REQUESTS / 3)
def test_the_service_does_what_its_openapi_document_says(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent, seeds = 0, []
    while sent < REQUESTS:
        seeds.append(secrets.randbelow(2**32))
        told = run_schemathesis(service, seeds[-1], tmp_path, examples=max(1, min(50, REQUESTS // 200)))
        sent += int(re.findall(r"(\d+) generated", told)[-1])
    with capsys.disabled():
        print(f"\nschemathesis: {sent:,} requests, all checks, seeds {seeds}")


def run_schemathesis(service: Service, seed: int, folder: Path, *, examples: int) -> str:
    """What it printed. examples: a phase and operation."""
    options = ["--checks", "all", "--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure"]
    options += ["--request-timeout", "120", "--max-response-time", "120"]  # a rebuild answers when it is done
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(ROOT / "tests" / "security" / "schemathesis.toml")),
            *("run", f"{service.address}/openapi.json", *options),
        ],
        cwd=folder,
        env={**os.environ, **HOOKS, "SCHEMA_KEY_ID": service.key_id, "SCHEMA_KEY": service.key, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-30000:] + done.stderr[-2000:]
    return done.stdout
