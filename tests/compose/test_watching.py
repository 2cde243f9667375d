"""Metrics, logs and dashboards of the compose stack, as an operator has them: the profile `full`, as far as its images are there."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import yaml

from tests.compose.compose import EMAIL, PASSWORD, ROOT, Compose, eventually, problem
from tests.stack.fleet import free_port

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

HEALTHY_S = 240
SHIPPED_S = 60
REQUEST = "asked-by-the-test-of-logs"
GRAFANA = ROOT / "infrastructure/grafana"
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
PANELS = [
    (path.stem, panel["title"], target)
    for path in BOARDS
    for panel in json.loads(path.read_text())["panels"]
    for target in panel.get("targets", ())
]
SOURCES = yaml.safe_load((GRAFANA / "provisioning/datasources/localmind.yaml").read_text())["datasources"]
READY = {"prometheus": "/-/ready", "loki": "/ready", "alertmanager": "/-/ready"}
USED = {
    "overview: Requests a second",
    "overview: Documents",
    "overview: Services",
    "ingestion: Jobs by state",
    "search: Searches a second",
    "stores: Answers Prometheus",
    "stores: What is stored",
    "tenants: Tenants",
}
"""Panels that have data after so little work; tests/stack sees to the data of all of them."""

ASKED = re.findall(r"^((?:\{|sum).*?)(?:  .*)?$", (ROOT / "docs/guides/logs.md").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    profiles = "metrics,logs" if problem("full") else "full"
    why = problem(profiles)
    if why:
        pytest.skip(why)
    ports = {f"{name}_PORT": str(free_port()) for name in ("PROMETHEUS", "ALERTMANAGER", "GRAFANA")}
    socket = os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock"
    compose = Compose(tmp_path_factory.mktemp("watching"), COMPOSE_PROFILES=profiles, ENGINE_SOCKET=socket, **ports)
    try:
        compose("up", "-d", timeout_s=600)
        eventually(lambda: not compose.unwell(), compose.unwell, HEALTHY_S)
        use(compose)
        yield compose
    finally:
        compose("down", "--volumes", "--remove-orphans", "--timeout", "20", ok=False)
        compose.client.close()


def use(stack: Compose) -> None:
    """A document that is found and one that can't be read, each kind of search, and a question."""
    stack.in_backend("localmind", "admin", "create-user", "--email", EMAIL, LOCALMIND_ADMIN_PASSWORD=PASSWORD)
    stack.log_in()
    call = stack.client.post
    text = {"title": "Boiler", "text": "The relief valve of the boiler opens at 3.5 bar."}
    jobs = [call("/api/v1/sources/text", json=text, headers={"X-Request-ID": REQUEST}).raise_for_status().json()["job_id"]]
    broken = call("/api/v1/sources/upload", files={"file": ("broken.pdf", b"%PDF-1.7 nothing")}).raise_for_status().json()
    jobs.append(broken["sources"][0]["job_id"])
    for mode in ("vector", "text", "graph", "hybrid"):
        call("/api/v1/search", json={"query": "relief valve", "mode": mode}).raise_for_status()
    call("/api/v1/chat", json={"message": "At what pressure does the relief valve open?"})
    call("/api/v1/maintenance/reconcile", json={"check": True}, timeout=120).raise_for_status()
    for job, end in zip(jobs, ("succeeded", "failed"), strict=True):

        def state(job: str = job) -> str:
            return str(stack.client.get(f"/api/v1/jobs/{job}").json().get("status"))

        eventually(lambda: state() in ("succeeded", "failed"), state, 120)
        assert state() == end


def inside(stack: Compose, url: str, **asked: str) -> str:
    """Asked on the inner network, where Grafana would ask."""
    return stack("exec", "-T", "loki", "wget", "-q", "-O", "-", f"{url}?{urlencode(asked)}")


def found(stack: Compose, query: str) -> list[dict[str, Any]]:
    """Streams or series of the last hour."""
    answer = json.loads(inside(stack, "http://127.0.0.1:3100/loki/api/v1/query_range", query=query, limit="1000"))
    assert answer["status"] == "success"
    return list(answer["data"]["result"])


def services(streams: list[dict[str, Any]]) -> set[str]:
    return {stream["stream"]["service"] for stream in streams}


# --- logs


def test_every_container_has_its_lines_in_loki(stack: Compose) -> None:
    wordy = {"backend", "worker", "maintenance", "catalog", "neo4j", "minio", "milvus", "redis", "prometheus", "alloy"}
    lines = 'sum by (service) (count_over_time({project="localmind-test"}[1h]))'  # more of them than Loki gives at once

    def silent() -> set[str]:
        return wordy - {series["metric"]["service"] for series in found(stack, lines)}

    eventually(lambda: not silent(), silent, SHIPPED_S)


def test_lines_are_found_by_service_and_level(stack: Compose) -> None:
    (lines, *_) = [stream["values"] for stream in found(stack, '{service="backend", level="info"}')]
    assert all(json.loads(line)["level"] == "info" for _, line in lines)
    assert found(stack, '{service="worker"} | json | event="document_indexed"')
    eventually(lambda: bool(found(stack, '{service="worker", level=~"warning|error"}')), lambda: "the failed job has no line", SHIPPED_S)


def test_a_request_is_followed_into_the_worker(stack: Compose) -> None:
    its = f'{{service=~"backend|worker"}} | json | request_id="{REQUEST}"'
    eventually(lambda: services(found(stack, its)) == {"backend", "worker"}, lambda: found(stack, its), SHIPPED_S)
    for stream in found(stack, its):
        for kept, line in stream["values"]:
            told = datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
            assert abs(int(kept) / 1e9 - told) < 0.001, "Loki keeps the time that the line tells"


@pytest.mark.parametrize("query", ASKED)
def test_what_the_guide_asks_is_answered(stack: Compose, query: str) -> None:
    found(stack, query)


# --- metrics and dashboards


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source["uid"])
def test_a_data_source_is_where_grafana_is_told(stack: Compose, source: dict[str, Any]) -> None:
    inside(stack, source["url"] + READY[source["uid"]])


def test_every_panel_is_answered(stack: Compose) -> None:
    address = f"http://127.0.0.1:{stack.settings['PROMETHEUS_PORT']}/api/v1/"
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as prometheus:

        def value(expression: str) -> list[Any]:
            answer = prometheus.post("query", data={"query": expression})
            assert answer.status_code == 200, (expression, answer.text)
            return [one["value"][1] for one in answer.json()["data"]["result"] if math.isfinite(float(one["value"][1]))]

        eventually(lambda: bool(value("min(count_over_time(up{job=~'backend|worker'}[10m])) >= 5")), lambda: value("up"), 120)
        asked = [(board, title, re.sub(r"\$__\w+", "5m", target["expr"])) for board, title, target in PANELS]
        empty = {f"{board}: {title}" for board, title, expression in asked if not value(expression)}
    print(f"{len(asked)} queries, without data: {sorted(empty)}")
    assert not empty & USED


@pytest.fixture(scope="module")
def grafana(stack: Compose) -> Iterator[httpx.Client]:
    if "grafana" not in stack.services():
        pytest.skip("the engine lacks the image of Grafana: pull it")
    account = ("admin", stack.settings["GRAFANA_PASSWORD"])
    address = f"http://127.0.0.1:{stack.settings['GRAFANA_PORT']}/api/"
    with httpx.Client(base_url=address, auth=account, timeout=30, trust_env=False) as client:
        yield client


def test_grafana_has_the_data_sources_and_dashboards(grafana: httpx.Client) -> None:
    uids = {source["uid"] for source in grafana.get("datasources").raise_for_status().json()}
    assert uids == {source["uid"] for source in SOURCES}
    for uid, asked in (("prometheus", "up"), ("loki", '{service="backend"}')):
        query = {"refId": "A", "datasource": {"uid": uid}, "expr": asked, "queryType": "range", "range": True, "maxDataPoints": 100}
        answer = grafana.post("ds/query", json={"queries": [query], "from": "now-30m", "to": "now"}).raise_for_status().json()
        assert len(answer["results"]["A"]["frames"][0]["data"]["values"][0]) > 0, uid
    boards = grafana.get("search", params={"type": "dash-db"}).raise_for_status().json()
    assert {board["uid"] for board in boards} == {json.loads(path.read_text())["uid"] for path in BOARDS}
    assert {board["folderTitle"] for board in boards} == {"Local Mind"}


@pytest.mark.parametrize(("board", "title", "target"), PANELS, ids=[f"{board}-{title}-{n}" for n, (board, title, _) in enumerate(PANELS)])
def test_grafana_answers_a_panel(grafana: httpx.Client, board: str, title: str, target: dict[str, Any]) -> None:
    query = {**target, "datasource": {"uid": "prometheus"}, "intervalMs": 15000, "maxDataPoints": 500}
    answer = grafana.post("ds/query", json={"queries": [query], "from": "now-30m", "to": "now"})
    assert answer.status_code == 200, answer.text
    frames = answer.json()["results"][target["refId"]]["frames"]
    assert any(len(frame["data"]["values"]) > 1 for frame in frames) or f"{board}: {title}" not in USED
