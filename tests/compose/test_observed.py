"""The stack watched by its own Prometheus and Alertmanager: all is scraped, all panels have data, and a stopped Neo4j is told in time.

The tests are one story, told in order: `make test-compose`. Needs the images of both beside the others (scripts/images).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import yaml

from localmind.operations import alerts
from tests.compose.compose import EMAIL, PASSWORD, PROJECT, ROOT, Compose, eventually, stack_in
from tests.compose.load import HEALTHY_S, finished, is_well, restart_each
from tests.llm_server import Failure, LLMServer, Request
from tests.stack.fleet import free_port
from tests.stack.panels import check_panel, each_query

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

VISIBLE_S, WOKEN_S, CLEARED_S = 10, 60, 120
FIRST_SCRAPE_S = 60
MACHINES = {"CPUHigh", "MemoryHigh", "DiskFull"}
"""Tell of the machine that the tests run on, and may be right."""


@dataclass(frozen=True)
class Watchers:
    prometheus: str
    alertmanager: str

    def ask(self, path: str, **params: str) -> Any:
        answer = httpx.get(f"{self.prometheus}/api/v1/{path}", params=params, trust_env=False, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    def query(self, expression: str, **params: str) -> list[Any]:
        return list(self.ask("query", query=expression, **params)["result"])

    def firing(self) -> set[str]:
        """What Prometheus holds for true, but for the machine's."""
        found = self.ask("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"} - MACHINES

    def told(self) -> Mapping[str, Mapping[str, str]]:
        """Annotations by name of what has come to Alertmanager and holds still, but for the machine's."""
        found = httpx.get(f"{self.alertmanager}/api/v2/alerts", trust_env=False).raise_for_status().json()
        return {alert["labels"]["alertname"]: alert["annotations"] for alert in found if alert["labels"]["alertname"] not in MACHINES}

    def silences(self) -> set[str]:
        found = httpx.get(f"{self.alertmanager}/api/v2/silences", trust_env=False).raise_for_status().json()
        return {silence["id"] for silence in found}

    def silence(self, name: str) -> str:
        span = {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z"}
        matchers = [{"name": "alertname", "value": name, "isRegex": False, "isEqual": True}]
        asked = {"matchers": matchers, "createdBy": "test", "comment": "known", **span}
        answer = httpx.post(f"{self.alertmanager}/api/v2/silences", json=asked, trust_env=False)
        return str(answer.raise_for_status().json()["silenceID"])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    folder = tmp_path_factory.mktemp("observed")
    (folder / "more.env").write_text("LLM_PRICE_INPUT=1\nLLM_PRICE_OUTPUT=2\n")
    ports = {name: str(free_port()) for name in ("PROMETHEUS_PORT", "ALERTMANAGER_PORT")}
    with stack_in(folder, COMPOSE_PROFILES="metrics", SETTINGS_FILE=str(folder / "more.env"), **ports) as compose:
        yield compose


@pytest.fixture(scope="module")
def llm(stack: Compose) -> Iterator[LLMServer]:
    """A language model on the machine, where the stack's outer network reaches it."""
    stack("up", "--no-start")
    gateway = ["docker", "network", "inspect", f"{PROJECT}_outer", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    host = subprocess.run(gateway, check=True, capture_output=True, text=True).stdout.strip()
    with LLMServer(host=host) as server:
        server.always(said)
        yield server


@pytest.fixture(scope="module")
def watchers(stack: Compose, llm: LLMServer) -> Watchers:
    """Of a stack that is up, with an account."""
    stack.settings |= {"LLM_BASE_URL": llm.base_url, "LLM_MODEL": "scripted"}
    begun = time.monotonic()
    stack("up", "-d")
    eventually(lambda: not stack.unwell() and is_well(stack), stack.unwell, HEALTHY_S)
    print(f"up -d to healthy with Prometheus and Alertmanager: {time.monotonic() - begun:.1f} s")
    stack.in_backend("localmind", "admin", "create-user", "--email", EMAIL, LOCALMIND_ADMIN_PASSWORD=PASSWORD)
    stack.log_in()
    return Watchers(*(f"http://127.0.0.1:{stack.settings[name]}" for name in ("PROMETHEUS_PORT", "ALERTMANAGER_PORT")))


def test_every_job_is_scraped(watchers: Watchers) -> None:
    asked = {job["job_name"] for job in yaml.safe_load((ROOT / "infrastructure/prometheus/prometheus.yml").read_text())["scrape_configs"]}

    def targets() -> dict[str, str]:
        return {each["labels"]["job"]: each["lastError"] or each["health"] for each in watchers.ask("targets")["activeTargets"]}

    eventually(lambda: targets() == dict.fromkeys(asked, "up"), targets, FIRST_SCRAPE_S)


def test_every_rule_is_loaded_and_well(watchers: Watchers) -> None:
    rules = [rule for group in watchers.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {alert.name for alert in alerts.load()}
    eventually(lambda: all(rule["health"] != "unknown" for group in watchers.ask("rules")["groups"] for rule in group["rules"]), list, 60)
    ill = [rule for group in watchers.ask("rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"]
    assert ill == []


def test_a_start_wakes_nobody(watchers: Watchers) -> None:
    fired = watchers.query('count by (alertname) (last_over_time(ALERTS{alertstate="firing"}[10m]))')
    assert {series["metric"]["alertname"] for series in fired} - MACHINES == set()
    assert not watchers.told()


@pytest.fixture(scope="module")
def at_work(stack: Compose, watchers: Watchers, llm: LLMServer) -> Watchers:
    """Prometheus that saw documents, searches, answers, failures and maintenance."""
    for deed in ("backup", "restore-drill"):
        stack.in_backend("localmind", "maintenance", "mark", deed)
    work(stack, llm, "before")
    eventually(lambda: bool(watchers.query("ingestion_failures_total and on() llm_errors_total")), lambda: "Nothing failed.", 60)
    work(stack, llm, "meanwhile")
    counted = "sum(increase(ingestion_failures_total[2m])) > 0 and sum(increase(llm_errors_total[2m])) > 0"
    eventually(lambda: bool(watchers.query(counted)), lambda: "Prometheus did not see what was done.", 90)
    scraped = 'min(count_over_time(up{job=~"backend|worker"}[10m])) >= 5'
    eventually(lambda: bool(watchers.query(scraped)), lambda: "Prometheus did not come again.", 90)
    return watchers


@each_query
def test_a_panel_has_data(at_work: Watchers, board: str, title: str, expression: str) -> None:
    check_panel(at_work.query, board, title, expression)


def test_a_stopped_neo4j_is_told_and_its_end_too(stack: Compose, watchers: Watchers) -> None:
    assert not watchers.firing(), "something is told before anything happened"
    seen: set[str] = set()

    def tells(name: str) -> bool:
        told = watchers.told()
        seen.update(told)
        return name in told

    stopped = time.monotonic()
    stack("stop", "--timeout", "0", "neo4j")
    eventually(lambda: health(stack)["neo4j"] == "unhealthy", lambda: health(stack), 60)
    visible_s = time.monotonic() - stopped
    eventually(lambda: tells("Neo4jUnhealthy"), watchers.told, 120)
    woken_s = time.monotonic() - stopped
    assert watchers.told()["Neo4jUnhealthy"]["runbook"] == "docs/runbook/neo4j-unhealthy.md"

    stack("start", "neo4j")
    started = time.monotonic()
    eventually(lambda: not tells("Neo4jUnhealthy"), watchers.told, CLEARED_S)
    cleared_s = time.monotonic() - started
    print(f"a stopped Neo4j: in /health after {visible_s:.1f} s, alert after {woken_s:.1f} s, cleared {cleared_s:.1f} s after its start")
    assert visible_s < VISIBLE_S and woken_s < WOKEN_S
    assert seen == {"Neo4jUnhealthy"}, "nothing else woke anybody"


def test_the_watchers_may_be_restarted_under_load(stack: Compose, watchers: Watchers) -> None:
    before, silence = str(time.time()), watchers.silence("DiskFull")
    seen = {series["metric"]["job"] for series in watchers.query("up == 1", time=before)}
    restart_each(stack, ("prometheus", "alertmanager"))
    assert {series["metric"]["job"] for series in watchers.query("up == 1", time=before)} == seen and len(seen) > 7
    assert silence in watchers.silences()
    eventually(lambda: not watchers.query("up == 0") and len(watchers.query("up == 1")) >= len(seen), lambda: watchers.query("up"), 60)


# --- what the tests ask


def said(request: Request) -> Any:
    """The model: what it is asked to extract, or an answer."""
    if "entities" in request.system:
        return {"entities": [{"name": "boiler", "type": "product", "description": "It heats."}], "relations": []}
    return "Every 90 days [1]."


def work(stack: Compose, llm: LLMServer, word: str) -> None:
    """Documents that are found and one that can't be read, searches, questions, a model that fails, and a look over the stores."""
    stack.log_in()
    texts = [{"title": f"Manual {n}", "text": f"The boiler {word} {n} has to be descaled every 90 days."} for n in range(3)]
    finished(stack, [stack.client.post("/api/v1/sources/text", json=text).raise_for_status().json()["job_id"] for text in texts])
    sent = stack.client.post("/api/v1/sources/upload", files={"file": ("a.pdf", f"%PDF-1.7 {word}".encode())}).raise_for_status().json()
    job = f"/api/v1/jobs/{sent['sources'][0]['job_id']}"
    eventually(lambda: stack.client.get(job).json()["status"] == "failed", lambda: stack.client.get(job).text, 60)
    for mode in ("vector", "text", "graph", "hybrid"):
        stack.client.post("/api/v1/search", json={"query": f"boiler {word} in {mode}", "mode": mode}).raise_for_status()
    answer = stack.client.post("/api/v1/chat", json={"message": f"How often does the boiler {word} have to be descaled?"})
    assert "90 days" in answer.raise_for_status().json()["answer"]
    llm.always(Failure(400, "no"))
    for _ in range(3):
        stack.client.post("/api/v1/chat", json={"message": "How often?"})
    llm.always(said)
    assert stack.differences()["clean"]


def health(stack: Compose) -> Mapping[str, str]:
    return dict(stack.client.get("/health").json()["services"])
