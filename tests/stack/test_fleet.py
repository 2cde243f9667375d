"""The whole fleet on the real servers: two backends on one port, a Celery worker with two processes, and what befalls them."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from localmind.graph.neo4j import Neo4jGraph
from localmind.model import PERSONAL
from localmind.settings import Settings
from localmind.text.neo4j import Neo4jText
from tests.milvus_server import vectors_of
from tests.neo4j_server import driver_of
from tests.otlp_receiver import OTLPReceiver
from tests.stack.fleet import Fleet, Process, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def words(seed: str, sentences: int = 4) -> str:
    return " ".join(f"The {seed} valve number {n} of plant {seed} opens at {20 + n} bar." for n in range(sentences))


@pytest.fixture(scope="module")
def servers(stack: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The stack's servers, with a database, a collection and a bucket of our own; Neo4j has but one database: the tenant is cleared."""
    name = f"fleet_{secrets.token_hex(4)}"
    address = stack["DATABASE_URL"].rsplit("/", 1)[0]
    # No pool: between the first statement and the last the server may have been killed.
    admin = sa.create_engine(stack["DATABASE_URL"], isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    forget_personal(stack)
    yield {**stack, "DATABASE_URL": f"{address}/{name}", "MILVUS_COLLECTION": name, "MINIO_BUCKET": name.replace("_", "-")}
    forget_personal(stack)
    vectors = vectors_of(stack["MILVUS_URI"], name)
    vectors.reset()
    vectors.close()
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def forget_personal(stack: Mapping[str, str]) -> None:
    driver = driver_of(stack)
    for index in (Neo4jText(driver), Neo4jGraph(driver)):
        index.open()
        index.clear(PERSONAL)
        index.close()


@pytest.fixture(scope="module")
def collector() -> Iterator[OTLPReceiver]:
    """Gets what clients ask to be traced."""
    with OTLPReceiver() as collector:
        yield collector


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, model_cache: Path, servers: dict[str, str], collector: OTLPReceiver) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(model_cache, target_is_directory=True)
    traces = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }
    fleet = Fleet(folder, {**servers, **traces})
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.close()


def test_what_is_put_in_is_found_and_cited(fleet: Fleet) -> None:
    seed = secrets.token_hex(4)
    fleet.wait_for(fleet.put_in("Boiler manual", f"The boiler {seed} has to be descaled every 90 days. " + words(seed)))
    for mode in ("vector", "text", "graph", "hybrid"):
        found = fleet.post("/api/v1/search", {"query": f"boiler {seed} descaled", "mode": mode})
        assert found["hits"][0]["title"] == "Boiler manual" and not found["degraded"], mode
    answer = fleet.post("/api/v1/chat", {"message": f"How often does the boiler {seed} have to be descaled?"})
    assert "90 days" in answer["answer"] and "90 days" in answer["citations"][0]["quote"]


def test_services_go_by_their_servers_names(fleet: Fleet) -> None:
    assert fleet.get("/health")["services"] == dict.fromkeys(("postgresql", "milvus", "neo4j", "minio", "redis", "workers"), "healthy")


def test_a_request_can_be_followed_into_the_worker(fleet: Fleet) -> None:
    asked, word = f"follow-{secrets.token_hex(4)}", f"q{secrets.token_hex(8)}"
    body = {"title": f"On {word}", "text": f"The {word} boils at ninety degrees."}
    accepted = fleet.call("POST", "/api/v1/sources/text", json=body, headers={"X-Request-ID": asked}).json()
    fleet.wait_for(accepted["job_id"])

    def lines(process: Process) -> list[dict[str, object]]:
        return [json.loads(line) for line in process.log.splitlines() if f'"{asked}"' in line]

    eventually(lambda: any(line["event"] == "document_indexed" for line in lines(fleet.worker)), "the worker must log it", 10)
    (indexed,) = (line for line in lines(fleet.worker) if line["event"] == "document_indexed")
    assert (indexed["source_id"], indexed["job_id"]) == (accepted["source_id"], accepted["job_id"])
    assert {line["event"] for line in lines(fleet.backend)} == {"request", "audit"}
    fleet.post("/api/v1/search", {"query": f"What of {word}?"})
    assert word not in fleet.worker.log and word not in fleet.backend.log


def test_a_document_is_one_trace_from_the_backend_through_the_worker_to_the_servers(fleet: Fleet, collector: OTLPReceiver) -> None:
    trace, seed = secrets.token_hex(16), secrets.token_hex(4)
    body = {"title": "Traced", "text": words(seed)}
    accepted = fleet.call("POST", "/api/v1/sources/text", json=body, headers={"traceparent": f"00-{trace}-{'ab' * 8}-01"}).json()
    fleet.wait_for(accepted["job_id"])
    wanted = {"POST /api/v1/sources/text", "job ingest"}
    spans = collector.wait_for(lambda spans: wanted <= {span.name for span in spans if span.trace == trace})
    ours = {span.name: span for span in spans if span.trace == trace}
    asked, job = (ours[name] for name in sorted(wanted))
    assert (asked.service, asked.parent, job.service, job.parent) == ("localmind-backend", "ab" * 8, "localmind-worker", asked.id)
    assert ours["write"].parent == ours["embed"].parent == job.id and ours["append vectors"].parent == ours["write"].id
    systems = {span.attributes.get("db.system.name") for span in spans if span.trace == trace and span.service == "localmind-worker"}
    assert {"postgresql", "milvus", "neo4j"} <= systems and seed.encode() not in collector.raw
    assert {span.trace for span in spans} == {trace}, "nothing else asked to be traced"


def test_the_backends_figures_are_added_up(fleet: Fleet) -> None:
    label = 'http_requests_total{method="GET",route="/livez",status="200"}'
    before = fleet.metrics(fleet.port).get(label, 0)
    instances = {fleet.get("/livez")["instance"] for _ in range(40)}
    assert len(instances) == 2, "both processes answer"
    assert {fleet.metrics(fleet.port)[label] for _ in range(10)} == {before + 40}


def test_the_workers_figures_are_added_up(fleet: Fleet) -> None:
    before = fleet.metrics(fleet.metrics_port)["chunks_created_total"]
    fleet.wait_for(*(fleet.put_in(f"Sheet {n}", words(secrets.token_hex(4))) for n in range(10)))
    assert fleet.metrics(fleet.metrics_port)["chunks_created_total"] == before + 10


def test_a_flushed_redis_loses_nothing(fleet: Fleet) -> None:
    jobs = [fleet.put_in("Flushed", words(secrets.token_hex(4)))]
    fleet.redis.flush()
    jobs.append(fleet.put_in("Flushed too", words(secrets.token_hex(4))))
    fleet.wait_for(*jobs, timeout_s=30)


def test_without_redis_documents_are_taken_and_worked_off(fleet: Fleet) -> None:
    fleet.redis.kill()
    try:
        began = time.monotonic()
        job = fleet.put_in("Without Redis", words(secrets.token_hex(4)))
        assert time.monotonic() - began < 2
        fleet.wait_for(job, timeout_s=30)
        eventually(lambda: fleet.get("/health")["services"]["redis"] == "unhealthy", "health must tell that Redis is away", 20)
        assert fleet.get("/readyz") == {"status": "ready"}
    finally:
        fleet.redis.start()
    fleet.wait_until_healthy()


def test_a_killed_process_is_replaced_and_its_jobs_are_taken_over(fleet: Fleet) -> None:
    jobs = [fleet.put_in("Long", words(secrets.token_hex(4), 1000)) for _ in range(2)]
    eventually(lambda: fleet.get(f"/api/v1/jobs/{jobs[0]}")["status"] == "running", "a job must begin")
    os.kill(children(fleet.worker)[0], signal.SIGKILL)
    fleet.wait_for(*jobs, timeout_s=60)
    eventually(lambda: len(children(fleet.worker)) == 2, "Celery puts another process in its place")


def test_a_killed_worker_loses_nothing_to_the_next(fleet: Fleet) -> None:
    jobs = [fleet.put_in("Cut off", words(secrets.token_hex(4), 100)) for _ in range(5)]
    fleet.worker.kill()
    jobs += [fleet.put_in("Meanwhile", words(secrets.token_hex(4))) for _ in range(5)]
    fleet.worker.start()
    fleet.wait_for(*jobs, timeout_s=60)


def test_a_killed_backend_keeps_what_it_accepted(fleet: Fleet) -> None:
    jobs = [fleet.put_in("Accepted", words(secrets.token_hex(4), 100)) for _ in range(5)]
    fleet.backend.kill()
    with pytest.raises(httpx.TransportError):
        fleet.get("/livez")
    fleet.backend.start()
    fleet.wait_until_healthy()
    fleet.wait_for(*jobs)


def test_afterwards_the_stores_agree(fleet: Fleet) -> None:
    report = fleet.post("/api/v1/maintenance/reconcile", {"check": True})
    # Neo4j has tenants of other tests, which our catalog knows nothing of.
    assert not [finding for finding in report["findings"] if finding["tenant"] == PERSONAL]
    assert report["checked"]["vectors"] == report["checked"]["chunks"] > 0
    titles = [source["title"] for source in fleet.get("/api/v1/sources", limit=200)["items"]]
    assert titles.count("Cut off") == 5 and titles.count("Boiler manual") == 1, "nothing is done twice"


def test_a_stopped_worker_gives_its_jobs_back_at_once(fleet: Fleet) -> None:
    job = fleet.put_in("Handed back", words(secrets.token_hex(4), 6_000))
    eventually(lambda: fleet.get(f"/api/v1/jobs/{job}")["status"] == "running", "the job must begin")
    assert fleet.worker.stop() == 0
    assert fleet.get(f"/api/v1/jobs/{job}")["status"] == "queued"
    fleet.worker.start()
    fleet.wait_for(job)


def children(process: Process) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()]


@pytest.mark.parametrize(("name", "scheme", "modes"), [("milvus", "http", ["vector"]), ("neo4j", "bolt", ["text", "graph"])])
def test_a_server_that_hangs_slows_nothing_and_hides_no_other(
    fleet: Fleet, servers: dict[str, str], tmp_path: Path, name: str, scheme: str, modes: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = {f"{name}_uri": f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"}
        changes = there | {"redis_url": fleet.redis.url, "data_dir": str(tmp_path)}
        values = {name.lower(): value for name, value in servers.items()} | changes
        settings = Settings(_env_file=None, web=False, seed_guides=False, log_level="ERROR", **values)  # type: ignore[call-arg,arg-type]
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
            assert client.app.state.service.wait(60)  # type: ignore[attr-defined]
            began = time.monotonic()
            health = client.get("/health").json()
            assert time.monotonic() - began < 1
            assert health["status"] == "degraded"
            assert [service for service, state in health["services"].items() if state != "healthy"] == [name]
            assert client.get("/readyz").status_code == 200
            assert client.post("/api/v1/search", json={"query": "valve"}).json()["degraded"] == modes
