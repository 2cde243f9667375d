"""Several processes' figures under one /metrics."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from localmind.operations import shared_metrics

COUNT = """
from localmind.operations import shared_metrics
shared_metrics.share()
from localmind.operations import metrics
metrics.chunks_created_total.inc(7)
metrics.embedded_texts_total.labels("query").inc(3)
"""
TELL = "from localmind.operations import shared_metrics; print(shared_metrics.text().decode())"
HOLD = """
import sys
from localmind.operations import shared_metrics
shared_metrics.share()
from prometheus_client import Gauge
Gauge("open_now", "Processes.", multiprocess_mode="livesum", registry=None).set(1)
print("held", flush=True)
sys.stdin.read()
"""
SERVE = """
import sys
from localmind.operations import shared_metrics
shared_metrics.share()
shared_metrics.serve("127.0.0.1", int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


def run(program: str, folder: Path) -> str:
    environment = {**os.environ, shared_metrics.VARIABLE: str(folder)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout


def test_counters_of_all_processes_are_added_up(tmp_path: Path) -> None:
    for _ in range(3):
        run(COUNT, tmp_path / "shared")
    told = run(TELL, tmp_path / "shared")
    assert "chunks_created_total 21.0" in told.splitlines()
    assert 'embedded_texts_total{kind="query"} 9.0' in told.splitlines()


def test_what_a_process_holds_ends_with_it_even_if_it_was_killed(tmp_path: Path) -> None:
    environment = {**os.environ, shared_metrics.VARIABLE: str(tmp_path)}
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            assert "open_now 1.0" in run(TELL, tmp_path).splitlines()
        finally:
            holder.kill()
    assert "open_now" not in run(TELL, tmp_path)


def test_without_a_shared_folder_a_process_tells_its_own() -> None:
    assert shared_metrics.VARIABLE not in os.environ
    assert b"# TYPE chunks_created_total counter" in shared_metrics.text()


def test_folders_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    program = "from localmind.operations import shared_metrics; print(shared_metrics.share())"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    told = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert not Path(told[0]).exists() and Path(told[1]).is_dir()
    assert Path(told[1]).stat().st_mode & 0o777 == 0o700


def test_a_parent_answers_for_its_children(tmp_path: Path) -> None:
    run(COUNT, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, shared_metrics.VARIABLE: str(tmp_path)}
    command = [sys.executable, "-c", SERVE, str(port)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None and server.stdout.readline() == "ready\n"
            told = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            assert "chunks_created_total 7.0" in told.splitlines()
        finally:
            server.kill()
