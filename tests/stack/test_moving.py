"""A base moves from a folder to the servers and back: all of it, without an embedding, and through kills and cuts."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from localmind.catalog import tables
from localmind.errors import ConfigurationError, Conflict, DimensionMismatch, StoreUnavailable
from localmind.ids import random_id
from localmind.model import JobStatus, Mode, TenantId
from localmind.operations.moving import INSTANCE, TABLES
from localmind.settings import Settings
from localmind.wiring import LocalMind, build
from localmind.wiring.roles import Role
from localmind.wiring.upkeep import move_between, reembed
from tests.llm_server import LLMServer
from tests.neo4j_server import neo4j_driver  # noqa: F401 - a fixture
from tests.postgresql_server import empty_fixture, server_fixture  # noqa: F401 - fixtures
from tests.stack.fleet import ROOT, eventually
from tests.stack.test_faults import WIRES, through_wire
from tests.stack.test_s3 import bucket  # noqa: F401 - a fixture
from tests.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

ANN, BOB = TenantId(f"ann-{random_id()}"), TenantId(f"bob-{random_id()}")
QUERIES = ("Aurora Pump", "Who tested the valves?", "Kanvin Boiler")
MODES = [mode for mode in Mode if mode is not Mode.GLOBAL]
"""Themes are derived, and found anew a while after a move."""
REPORT = "The Aurora Pump was serviced {n} times by Tor Hansen at the Bergen Works. " * 12
LONG = "\n\n".join(f"## Service {n}\n\n{REPORT.format(n=n)}" for n in range(4))
NOTES = {
    ANN: {
        "aurora.md": f"# Aurora\n\nThe Aurora Pump was built in Bergen by Ada Lindqvist.\n\n{LONG}",
        "valves.md": "Every valve of the Aurora Pump is of brass, and Ada Lindqvist tested each at the Bergen Works.",
        "broken.pdf": "%PDF-1.4 and then nothing that a reader could read",
    },
    BOB: {"boiler.md": "The Kanvin Boiler has to be descaled every 90 days by Tor Hansen."},
}
STEP = 2
"""Rows or chunks of a batch, so that a small base is moved in several."""


# --- places


def settings_of(folder: Path, embedding: LLMServer, servers: Mapping[str, str] | None = None, **changes: Any) -> Settings:
    """An embedding model that is asked over HTTP, where every question is seen."""
    values = {name.lower(): value for name, value in (servers or {}).items()}
    model = {"embedding_provider": "openai", "embedding_model": "one", "embedding_base_url": embedding.base_url}
    return Settings(_env_file=None, data_dir=folder, seed_guides=False, web=False, **{**values, **model, **changes})  # type: ignore[call-arg]


@contextmanager
def product(settings: Settings, role: Role | None = None) -> Iterator[LocalMind]:
    mind = build(settings, role=role)
    mind.open()
    try:
        yield mind
    finally:
        mind.close()


@pytest.fixture(scope="module")
def embedding() -> Iterator[LLMServer]:
    with LLMServer() as server:
        yield server


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, embedding: LLMServer) -> Path:
    """A data directory with two tenants' notes, one that can't be read, and a conversation; closed."""
    folder = tmp_path_factory.mktemp("filled")
    with product(settings_of(folder, embedding)) as mind:
        for tenant, notes in NOTES.items():
            for name, text in notes.items():
                wanted = JobStatus.FAILED if name == "broken.pdf" else JobStatus.SUCCEEDED
                assert put_in(mind, tenant, name, text) is wanted
        mind.chat.answer(ANN, "Who built the Aurora Pump?")
    return folder


@pytest.fixture
def old(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "old"))


@pytest.fixture
def servers(
    stack: Mapping[str, str],
    empty_url: str,
    bucket: str,  # noqa: F811
    neo4j: Any,
) -> Iterator[dict[str, str]]:
    """With nothing of our tenants on them."""
    from localmind.graph.neo4j import Neo4jGraph
    from localmind.text.neo4j import Neo4jText
    from tests.milvus_server import vectors_of

    collection = f"test_{random_id()}"
    own = {"DATABASE_URL": empty_url, "MILVUS_COLLECTION": collection, "MINIO_BUCKET": bucket}
    yield {name: value for name, value in {**stack, **own}.items() if name != "REDIS_URL"}
    for tenant in NOTES:
        Neo4jText(neo4j).clear(tenant)
        Neo4jGraph(neo4j).clear(tenant)
    vectors = vectors_of(stack["MILVUS_URI"], collection)
    vectors.reset()
    vectors.close()


@pytest.fixture
def settings(tmp_path: Path, embedding: LLMServer, servers: dict[str, str]) -> Settings:
    """Those of a service on the servers."""
    return settings_of(tmp_path / "side", embedding, servers)


def put_in(mind: LocalMind, tenant: TenantId, name: str, text: str) -> JobStatus:
    accepted = mind.sources.upload(tenant, filename=name, data=io.BytesIO(text.encode()))
    assert accepted.job_id is not None
    return list(mind.jobs.watch(tenant, accepted.job_id, 60))[-1].status


# --- what lies in them


class Contents(NamedTuple):
    rows: dict[str, list[str]]
    files: dict[str, str]
    vectors: dict[str, bytes]
    texts: set[str]
    graph: list[Any]
    drawn: list[Any]
    hits: dict[Any, list[str]]


def contents(mind: LocalMind) -> Contents:
    """All of both tenants. Engines that hold the same give the same."""
    found = Contents(rows_of(mind), {}, {}, set(), [], [], {})
    for tenant in NOTES:
        ids = [id_ for id_, _ in mind.catalog.chunks.all_ids(tenant)]
        found.files.update((key, hashlib.sha256(mind.store.blobs.read(tenant, key)).hexdigest()) for key in mind.store.blobs.keys(tenant))
        found.vectors.update((id_, vector.tobytes()) for id_, vector in mind.store.vectors.get(tenant, ids).items())
        found.texts.update(key.chunk_id for keys in mind.store.text.keys(tenant) for key in keys)
        found.graph.extend(sorted(mind.graph.said(tenant, ids), key=lambda said: said.chunk_id))
        drawn = mind.graph.subgraph(tenant, limit=1000)
        found.drawn.append(sorted(drawn.entities, key=lambda each: each.id))
        found.drawn.append(sorted((each.source, each.target, each.type, round(each.weight, 4)) for each in drawn.relations))
        found.hits.update(((tenant, query, mode), hits(mind, tenant, query, mode)) for query in QUERIES for mode in MODES)
    return found


def rows_of(mind: LocalMind) -> dict[str, list[str]]:
    """Of every table that is copied. The id of the catalog is its own, and marks of work that is over say nothing."""
    found = {}
    mind.usage.flush()
    mind.audit.flush()
    with mind.catalog.database.read() as connection:
        for table in TABLES:
            rows = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            kept = [row for row in rows if table is not tables.setting or (row["name"] != INSTANCE and row["value"] is not None)]
            found[table.name] = sorted(str(sorted(row.items())) for row in kept)
    return found


def hits(mind: LocalMind, tenant: TenantId, query: str, mode: Mode) -> list[str]:
    """Engines count words each in their own way: of the same chunks, another may be the first where words count."""
    answer = mind.search.search(tenant, query, mode=mode)
    assert not answer.degraded
    ids = [hit.chunk_id for hit in answer.hits]
    return sorted(ids) if mode in (Mode.TEXT, Mode.HYBRID) else list(ids)


def contents_at(settings: Settings) -> Contents:
    with product(settings) as mind:
        return contents(mind)


def move(settings: Settings, origin: Path | None, target: Path | None) -> list[tuple[str, int]]:
    """What it reported."""
    steps: list[tuple[str, int]] = []
    move_between(settings, origin, target, report=lambda name, done, total: steps.append((name, done)))
    return steps


def asked(embedding: LLMServer, since: int) -> set[str]:
    """What was embedded, but for the word by which a model's dimension is found out."""
    texts = {text for request in embedding.requests[since:] for text in request.body["input"]}
    return texts - {"dimension"}


# --- there and back


def test_everything_goes_to_the_servers_and_back_and_nothing_is_embedded(
    old: Path, tmp_path: Path, settings: Settings, embedding: LLMServer
) -> None:
    at_home = settings_of(old, embedding)
    before = contents_at(at_home)
    assert all(before)
    assert {len(rows) for rows in before.rows.values()} >= {4, 2}, "sources, messages"
    assert all(before.hits[tenant, query, mode] for tenant, query in ((ANN, QUERIES[0]), (BOB, QUERIES[2])) for mode in MODES)

    since = len(embedding.requests)
    move(settings, old, None)
    assert asked(embedding, since) == set()
    assert contents_at(settings) == before

    since = len(embedding.requests)
    move(settings, None, tmp_path / "new")
    assert asked(embedding, since) == set()
    assert contents_at(settings_of(tmp_path / "new", embedding)) == before
    assert contents_at(settings) == before, "what was moved from stays"

    with product(settings) as mind:
        assert [each for each in mind.maintenance.reconcile(fix=False).findings if each.tenant in NOTES] == []
        assert put_in(mind, ANN, "new.md", "Something new, with keys of its own.") is JobStatus.SUCCEEDED


def test_a_document_that_waits_is_taken_up_on_the_servers(old: Path, settings: Settings, embedding: LLMServer) -> None:
    with product(settings_of(old, embedding)) as mind:
        mind.pipeline.close()
        waiting = mind.sources.upload(BOB, filename="late.md", data=io.BytesIO(b"The Late Report came last.")).job_id
        assert waiting is not None
    move(settings, old, None)
    with product(settings) as mind:
        assert list(mind.jobs.watch(BOB, waiting, 60))[-1].status is JobStatus.SUCCEEDED
        assert mind.search.search(BOB, "Late Report").hits[0].title == "late"


# --- cut off

# Stops in the middle of a step and waits for its end; argv: the folder to move, the step.
MOVER = f"""
import sys
from pathlib import Path
from localmind.operations import moving
from localmind.settings import Settings
from localmind.wiring.upkeep import move_between
moving.BATCH = {STEP}
def report(name, done, total):
    if name == sys.argv[2]:
        print(name, flush=True)
        sys.stdin.read()
move_between(Settings(_env_file=None), Path(sys.argv[1]), None, report=report)
"""


def kill_in_the_middle(servers: Mapping[str, str], embedding: LLMServer, old: Path, step: str) -> None:
    model = {"EMBEDDING_PROVIDER": "openai", "EMBEDDING_MODEL": "one", "EMBEDDING_BASE_URL": embedding.base_url}
    environment = {**os.environ, **servers, **model, "DATA_DIR": str(old.parent / "side")}
    command = [sys.executable, "-c", MOVER, str(old), step]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mover:
        assert mover.stdout is not None
        assert mover.stdout.readline() == f"{step}\n"
        os.kill(mover.pid, signal.SIGKILL)


ROWS = {"tenant", "source", "revision"}


@pytest.mark.parametrize(
    ("step", "done"),
    [("chunk", ROWS), ("files", ROWS | {"chunk"}), ("chunks", ROWS | {"chunk"}), ("compared", ROWS | {"chunk", "chunks"})],
)
def test_a_move_that_was_killed_goes_on_from_where_it_was_and_no_service_starts_until_then(
    old: Path,
    settings: Settings,
    servers: dict[str, str],
    embedding: LLMServer,
    step: str,
    done: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents_at(settings_of(old, embedding))
    kill_in_the_middle(servers, embedding, old, step)
    with pytest.raises(ConfigurationError, match="not finished"), product(settings):
        pass
    monkeypatch.setattr("localmind.operations.moving.BATCH", STEP)
    again = move(settings, old, None)
    assert done.isdisjoint(name for name, _ in again), "what was done is not done again"
    if step == "chunks":
        assert next(count for name, count in again if name == "chunks") == 2 * STEP
    assert contents_at(settings) == before


@pytest.mark.parametrize("server", WIRES)
def test_a_move_whose_wire_to_a_server_is_cut_goes_on_when_it_is_back(
    old: Path,
    tmp_path: Path,
    servers: dict[str, str],
    settings: Settings,
    embedding: LLMServer,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("localmind.operations.moving.BATCH", STEP)
    monkeypatch.setattr("localmind.neo4j.driver.WRITE_RETRY_S", 0.5)
    before = contents_at(settings_of(old, embedding))
    address = urlsplit(servers[WIRES[server]])
    with TcpProxy(str(address.hostname), int(address.port or 0)) as wire:
        through = {**servers, WIRES[server]: through_wire(servers[WIRES[server]], wire.port)}
        behind = settings_of(tmp_path / "side", embedding, through, server_timeout_s=3)

        def cut(name: str, done: int, total: int) -> None:
            if name == ("files" if server == "minio" else "chunks"):
                wire.shut()

        with pytest.raises(StoreUnavailable) as caught:
            move_between(behind, old, None, report=cut)
        assert caught.value.data["service"] == {"postgres": "postgresql"}.get(server, server)
        with pytest.raises(ConfigurationError, match="not finished"), product(settings):
            pass
        wire.open()
        assert "source" not in {name for name, _ in move(behind, old, None)}
    assert contents_at(settings) == before


# --- refused


def test_a_target_that_holds_something_is_refused_and_stays_as_it_is(old: Path, settings: Settings, servers: dict[str, str]) -> None:
    with product(settings) as mind:
        assert put_in(mind, ANN, "first.md", "I was here before the Aurora Pump.") is JobStatus.SUCCEEDED
        there = rows_of(mind)
    model = {"EMBEDDING_PROVIDER": "openai", "EMBEDDING_MODEL": "one", "EMBEDDING_BASE_URL": settings.embedding_base_url}
    told = subprocess.run(
        [Path(sys.executable).with_name("localmind"), "migrate", "--from", old, "--to", "servers"],
        env={**os.environ, **servers, **model, "DATA_DIR": str(settings.data_dir)},
        cwd=old,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1
    assert "The target holds sources already." in told.stderr and "Traceback" not in told.stderr
    with product(settings) as mind:
        assert rows_of(mind) == there


def test_a_target_with_a_conversation_alone_is_refused_too(old: Path, settings: Settings) -> None:
    with product(settings) as mind:
        mind.chat.answer(ANN, "Is anybody here?")
        there = rows_of(mind)
    with pytest.raises(Conflict, match="The target holds conversations already"):
        move(settings, old, None)
    with product(settings) as mind:
        assert rows_of(mind) == there


@pytest.mark.parametrize("role", [Role.WORKER, Role.DOOR])
def test_a_move_is_refused_while_the_service_runs(old: Path, stack: Mapping[str, str], settings: Settings, role: Role) -> None:
    fleet = Settings.model_validate({**settings.model_dump(), "redis_url": stack["REDIS_URL"]})
    with product(fleet, role) as mind:
        eventually(lambda: bool(mind.catalog.workers.alive()), "it says that it is there")
        with pytest.raises(Conflict, match=f"{'worker' if role is Role.WORKER else 'backend'} {os.getpid()} on"):
            move(settings, old, None)


# --- another model


def test_vectors_on_the_servers_are_made_anew_with_another_model(
    old: Path, tmp_path: Path, servers: dict[str, str], settings: Settings, embedding: LLMServer
) -> None:
    move(settings, old, None)
    before = contents_at(settings)
    with LLMServer(embedding_dim=32) as other:
        wider = settings_of(tmp_path / "side", other, servers, embedding_model="two")
        with pytest.raises(DimensionMismatch), product(wider):
            pass
        report = reembed(wider, report=lambda done, total: None)
        assert report.chunks == len(before.vectors)
        after = contents_at(wider)
        with product(wider) as mind:
            assert [each for each in mind.maintenance.reconcile(fix=False).findings if each.tenant in NOTES] == []
    assert {id_: len(vector) for id_, vector in after.vectors.items()} == dict.fromkeys(before.vectors, 4 * 32)
    assert (after.rows, after.files, after.graph, after.drawn) == (before.rows, before.files, before.graph, before.drawn)
    assert after.hits[BOB, QUERIES[2], Mode.VECTOR] == before.hits[BOB, QUERIES[2], Mode.VECTOR]
    with pytest.raises(DimensionMismatch), product(settings):
        pass
