"""Every panel's query, asked of a real Prometheus that scraped a fleet at work: it returns data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.llm_server import Failure, LLMServer, Request
from tests.stack.fleet import ROOT, Fleet, eventually
from tests.stack.panels import check_panel, each_query
from tests.stack.test_fleet import servers  # noqa: F401 - a fixture
from tests.stack.watchers import Watchers, Webhook
from tests.stack_servers import stack_values

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


def said(request: Request) -> Any:
    """The model: what it is asked to extract, or an answer."""
    if "entities" in request.system:
        return {"entities": [{"name": "boiler", "type": "product", "description": "It heats."}], "relations": []}
    return "Every 90 days [1]."


@pytest.fixture(scope="module")
def llm() -> Iterator[LLMServer]:
    with LLMServer() as server:
        server.always(said)
        yield server


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory,
    model_cache: Path,
    servers: dict[str, str],  # noqa: F811
    llm: LLMServer,
) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(model_cache, target_is_directory=True)
    model = {"LLM_BASE_URL": llm.base_url, "LLM_MODEL": "scripted", "LLM_PRICE_INPUT": "1", "LLM_PRICE_OUTPUT": "2"}
    fleet = Fleet(folder, {**servers, **model, "RATE_LIMITS": "on", "RATE_LIMIT_CHAT": "12"})
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.close()


@pytest.fixture(scope="module")
def watchers(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet, llm: LLMServer) -> Iterator[Watchers]:
    if shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None:
        reason = "Prometheus or Alertmanager is not installed: scripts/stack prepare --install"
        pytest.fail(reason) if os.environ.get("STACK") else pytest.skip(reason)
    mark(fleet, "backup")
    mark(fleet, "restore-drill")
    work(fleet, llm, "before", questions=3)
    ports = stack_values()
    targets = {
        "backend": f"127.0.0.1:{fleet.port}",
        "worker": f"127.0.0.1:{fleet.metrics_port}",
        "etcd": f"127.0.0.1:{ports['STACK_ETCD_PORT']}",
        "milvus": f"127.0.0.1:{ports['STACK_MILVUS_METRICS_PORT']}",
    }
    with Webhook() as webhook, Watchers(tmp_path_factory.mktemp("watchers"), targets, webhook) as watchers:
        eventually(lambda: len(watchers.query("up == 1")) == len(targets), "Prometheus does not reach all", 60)
        work(fleet, llm, "meanwhile", questions=12)  # more than RATE_LIMIT_CHAT lets in
        counted = "sum(increase(ingestion_failures_total[2m])) > 0 and sum(increase(llm_errors_total[2m])) > 0"
        eventually(lambda: bool(watchers.query(counted)), "Prometheus did not see what was done", 90)
        scraped = 'min(count_over_time(up{job=~"backend|worker"}[10m])) >= 5'
        eventually(lambda: bool(watchers.query(scraped)), "Prometheus did not come again", 90)
        yield watchers


def mark(fleet: Fleet, deed: str) -> None:
    command = [sys.executable, "-c", "from apps.cli.main import run; run()", "maintenance", "mark", deed]
    environment = {**os.environ, **fleet.environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def work(fleet: Fleet, llm: LLMServer, word: str, *, questions: int) -> None:
    """Documents that are found and one that can't be read, searches, questions, and a model that fails for so many of them."""
    fleet.wait_for(*(fleet.put_in(f"Manual {n}", f"The boiler {word} {n} has to be descaled every 90 days.") for n in range(3)))
    broken = fleet.call("POST", "/api/v1/sources/upload", files={"file": ("a.pdf", f"%PDF-1.7 {word}".encode())}).json()["sources"][0]
    eventually(lambda: fleet.get(f"/api/v1/jobs/{broken['job_id']}")["status"] == "failed", "the broken file must fail", 60)
    for mode in ("vector", "text", "graph", "hybrid"):
        fleet.post("/api/v1/search", {"query": f"boiler {word} in {mode}", "mode": mode})
    fleet.post("/api/v1/chat", {"message": f"How often does the boiler {word} have to be descaled?"})
    llm.always(Failure(400, "no"))
    for _ in range(questions):
        fleet.call("POST", "/api/v1/chat", json={"message": "How often?"})
    llm.always(said)
    fleet.post("/api/v1/maintenance/reconcile", {"check": True})


@each_query
def test_a_panel_has_data(watchers: Watchers, board: str, title: str, expression: str) -> None:
    check_panel(watchers.query, board, title, expression)
