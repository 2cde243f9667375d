"""The stack as an operator has it: up, a cited answer, every service restarted under load, down and up again.

The tests are one story, told in order: `make test-compose`. Needs a container engine with the images (scripts/images).
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.compose.compose import EMAIL, PASSWORD, Compose, eventually, stack_in
from tests.compose.load import HEALTHY_S, answers, finished, is_well, restart_each

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

START_S = 5
QUESTION = "At what pressure does the relief valve of the boiler open?"
TEXT = "Boiler manual. The relief valve of the boiler opens at 3.5 bar. The pump is oiled once a year by the caretaker."


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    with stack_in(tmp_path_factory.mktemp("compose")) as compose:
        yield compose


def test_the_stack_is_healthy_within_two_minutes(stack: Compose) -> None:
    begun = time.monotonic()
    stack("up", "-d")
    eventually(lambda: not stack.unwell(), stack.unwell, HEALTHY_S)
    took_s = time.monotonic() - begun
    print(f"up -d to healthy: {took_s:.1f} s")
    assert took_s < HEALTHY_S


def test_up_again_changes_nothing(stack: Compose) -> None:
    ids = {name: each["ID"] for name, each in stack.services().items()}
    stack("up", "-d")
    assert {name: each["ID"] for name, each in stack.services().items()} == ids and not stack.unwell()


def test_a_document_gets_a_cited_answer(stack: Compose) -> None:
    stack.in_backend("localmind", "admin", "create-user", "--email", EMAIL, LOCALMIND_ADMIN_PASSWORD=PASSWORD)
    stack.log_in()
    sent = stack.client.post("/api/v1/sources/upload", files={"file": ("boiler.md", TEXT.encode())})
    assert sent.status_code == 202, sent.text
    finished(stack, [sent.json()["sources"][0]["job_id"]])
    answer = stack.client.post("/api/v1/chat", json={"message": QUESTION}).json()
    assert "3.5 bar" in answer["answer"] and answer["citations"][0]["title"].startswith(("boiler", "Boiler"))


def test_the_product_runs_as_nobody_on_a_root_that_is_read_only(stack: Compose) -> None:
    assert stack.in_backend("id", "-u").strip() == "10001"
    assert "Read-only" in stack.in_backend("sh", "-c", "touch /app/x", ok=False)
    assert "ModuleNotFoundError" in stack.in_backend("python", "-c", "import torch", ok=False)
    sbom = json.loads(stack.in_backend("cat", "/app/sbom.cdx.json"))
    assert sbom["bomFormat"] == "CycloneDX" and {"fastapi", "neo4j", "pymilvus"} <= {each["name"] for each in sbom["components"]}


def test_the_backend_starts_in_seconds(stack: Compose) -> None:
    took_s = []
    for _ in range(3):  # the machine may have other work meanwhile
        stack("stop", "backend")
        begun = time.monotonic()
        subprocess.run(["docker", "start", "sce-backend"], check=True, capture_output=True)  # compose looks at all the others first
        eventually(lambda: answers(stack), lambda: stack("logs", "--tail", "5", "backend"), 60)
        took_s.append(time.monotonic() - begun)
    print(f"backend start to ready: {', '.join(f'{each:.1f}' for each in took_s)} s")
    assert min(took_s) < START_S


def test_every_service_may_be_restarted_under_load(stack: Compose) -> None:
    restart_each(stack, ("catalog", "redis", "neo4j", "etcd", "minio", "milvus", "worker", "maintenance", "backend"))


def test_down_and_up_again_loses_nothing(stack: Compose) -> None:
    stack.log_in()
    before = stack.counts()
    stack("down", "--timeout", "60")
    begun = time.monotonic()
    stack("up", "-d")
    eventually(lambda: not stack.unwell() and is_well(stack), stack.unwell, HEALTHY_S)
    print(f"up -d to healthy with data: {time.monotonic() - begun:.1f} s; {before}")
    assert stack.counts() == before
    assert stack.differences() == {"clean": True, "count": 0}
    assert "3.5 bar" in stack.client.post("/api/v1/chat", json={"message": QUESTION}).json()["answer"]
