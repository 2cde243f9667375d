"""What a hand breaks in one of the servers is found by reconcile, and mended; only a file that is gone stays gone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neo4j
import obstore
import pytest
from obstore.store import S3Store
from pymilvus import MilvusClient

from localmind.ids import random_id
from localmind.ingest.reconcile import MOST_FINDINGS
from localmind.model import JobStatus, Mode, TenantId
from localmind.operations.reports import Finding
from localmind.settings import Settings
from localmind.wiring import LocalMind, build
from tests.stack.test_fleet import servers  # noqa: F401 - a fixture
from tests.stack.test_s3 import bare

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

NOTES = {
    "aurora.md": "# Aurora\n\nThe Aurora Pump was built in Bergen by Ada Lindqvist.\n\n"
    + "\n\n".join(f"## Service {n}\n\nThe Aurora Pump was serviced {n} times by Tor Hansen at the Bergen Works. " * 12 for n in range(4)),
    "valves.md": "Every valve of the Aurora Pump is of brass, and Ada Lindqvist tested each at the Bergen Works.",
    "boiler.md": "The Kanvin Boiler has to be descaled every 90 days by Tor Hansen.",
}
QUERIES = ("Aurora Pump", "Who built the pump in Bergen?", "How often must the Kanvin Boiler be descaled?")


@pytest.fixture(scope="module")
def mind(tmp_path_factory: pytest.TempPathFactory, model_cache: Path, servers: Mapping[str, str]) -> Iterator[LocalMind]:  # noqa: F811
    """One process without Redis that does all the work itself."""
    folder = tmp_path_factory.mktemp("reconcile")
    (folder / "models").symlink_to(model_cache, target_is_directory=True)
    values = {name.lower(): value for name, value in servers.items() if name != "REDIS_URL"}
    mind = build(Settings(_env_file=None, data_dir=folder, seed_guides=False, web=False, **values))  # type: ignore[call-arg,arg-type]
    mind.open()
    yield mind
    mind.close()


@pytest.fixture
def tenant(mind: LocalMind) -> Iterator[TenantId]:
    """Has the notes; Neo4j's one database is left as it was."""
    name = TenantId(f"t-{random_id()}")
    for title, text in NOTES.items():
        accepted = mind.sources.upload(name, filename=title, data=io.BytesIO(text.encode()))
        assert accepted.job_id is not None
        assert list(mind.jobs.watch(name, accepted.job_id, 60))[-1].status is JobStatus.SUCCEEDED
    yield name
    for index in (mind.store.text, mind.store.graph):
        index.clear(name)


@dataclass(frozen=True)
class Hands:
    """The servers' own clients, with which somebody meddles."""

    mind: LocalMind
    tenant: TenantId
    milvus: MilvusClient
    neo4j: neo4j.Session
    s3: S3Store

    def run(self, query: str, **values: object) -> list[dict[str, Any]]:
        return self.neo4j.run(query, {"tenant": self.tenant, **values}).data()  # type: ignore[arg-type]

    def chunk(self) -> str:
        """One that names entities which others name too."""
        return str(self.run(A_CHUNK + " RETURN c.id AS id")[0]["id"])

    @property
    def collection(self) -> str:
        return self.mind.settings.milvus_collection

    def until_seen(self) -> None:
        """Milvus has taken in what was sent before."""
        self.milvus.query(self.collection, filter='id == ""', output_fields=["id"], consistency_level="Strong")


@pytest.fixture(scope="module")
def clients(servers: Mapping[str, str]) -> Iterator[tuple[MilvusClient, neo4j.Session, S3Store]]:  # noqa: F811
    milvus = MilvusClient(servers["MILVUS_URI"], dedicated=True, timeout=10)
    with neo4j.GraphDatabase.driver(servers["NEO4J_URI"], auth=("neo4j", servers["NEO4J_PASSWORD"])) as driver, driver.session() as session:
        yield milvus, session, bare(servers, servers["MINIO_BUCKET"])
    milvus.close()


@pytest.fixture
def hands(
    mind: LocalMind, tenant: TenantId, clients: tuple[MilvusClient, neo4j.Session, S3Store], monkeypatch: pytest.MonkeyPatch
) -> Hands:
    """Reconcile writes a chunk a transaction, so that a mend takes several, as in a larger base."""
    monkeypatch.setattr("localmind.graph.neo4j.CHUNKS_A_WRITE", 1)
    return Hands(mind, tenant, *clients)


# --- what a hand does; each returns the findings that must be told, as (store, kind, id)

Told = set[tuple[str, str, str]]

A_CHUNK = "MATCH (c:Chunk {tenant: $tenant})-[:NEXT]->() WITH c ORDER BY c.ordinal DESC LIMIT 1"
AN_ENTITY = "MATCH (e:Entity {tenant: $tenant}) WITH e ORDER BY e.mentions DESC, e.key LIMIT 1"


def take_a_vector(hands: Hands) -> Told:
    chunk = hands.chunk()
    hands.milvus.delete(hands.collection, ids=[f"{hands.tenant}/{chunk}"])
    return {("vectors", "missing", chunk)}


def take_all_vectors(hands: Hands) -> Told:
    hands.milvus.delete(hands.collection, filter=f'tenant == "{hands.tenant}"')
    return {("vectors", "missing", chunk) for chunk, _ in hands.mind.catalog.chunks.all_ids(hands.tenant)}


def add_a_vector(hands: Hands) -> Told:
    row = {"id": f"{hands.tenant}/stray", "tenant": hands.tenant, "source_id": "nowhere", "vector": [0.5] * hands.mind.embedder.dim}
    hands.milvus.insert(hands.collection, data=[row])
    return {("vectors", "orphan", "stray")}


def take_an_entity(hands: Hands) -> Told:
    speakers = hands.run(AN_ENTITY + " MATCH (c)-[:MENTIONS]->(e) RETURN c.id AS id")
    hands.run(AN_ENTITY + " DETACH DELETE e")
    return {("graph", "missing", row["id"]) for row in speakers}


def add_an_entity(hands: Hands) -> Told:
    hands.run("CREATE (:Entity {tenant: $tenant, id: 'stray', key: 'stray', name: 'Stray', type: '', description: '', mentions: 9})")
    return {("graph", "entity_miscounted", "stray")}


def take_a_chunk(hands: Hands) -> Told:
    chunk = hands.chunk()
    named = hands.run("MATCH (:Chunk {tenant: $tenant, id: $id})-[:MENTIONS]->(e) RETURN e.id AS id", id=chunk)
    hands.run("MATCH (c:Chunk {tenant: $tenant, id: $id}) DETACH DELETE c", id=chunk)
    return {("text", "missing", chunk), ("graph", "missing", chunk), *(("graph", "entity_miscounted", row["id"]) for row in named)}


def add_a_chunk(hands: Hands) -> Told:
    hands.run("CREATE (:Chunk {tenant: $tenant, id: 'stray', source_id: 'nowhere', words: 'aurora pump', text: 'Aurora Pump'})")
    return {("text", "orphan", "stray")}


def add_a_chunk_that_mentions(hands: Hands) -> Told:
    chunk = "CREATE (:Chunk {tenant: $tenant, id: 'stray', source_id: 'nowhere'})-[:MENTIONS {weight: 1.0}]->(e) RETURN e.id AS id"
    entity = hands.run(f"{AN_ENTITY} {chunk}")[0]["id"]
    return {("graph", "orphan", "stray"), ("graph", "entity_miscounted", entity)}


def take_a_mention(hands: Hands) -> Told:
    gone = hands.run(
        A_CHUNK + " MATCH (c)-[m:MENTIONS]->(e) WITH c, m, e ORDER BY e.key LIMIT 1 DELETE m RETURN c.id AS chunk, e.id AS entity"
    )
    return {("graph", "missing", gone[0]["chunk"]), ("graph", "entity_miscounted", gone[0]["entity"])}


def add_a_file(hands: Hands) -> Told:
    content = b"what an upload left"
    key = hashlib.sha256(content).hexdigest()
    obstore.put(hands.s3, path_of(hands.tenant, key), content)
    return {("blobs", "orphan", key)}


BREAKS = (
    take_a_vector,
    take_all_vectors,
    add_a_vector,
    take_an_entity,
    add_an_entity,
    take_a_chunk,
    add_a_chunk,
    add_a_chunk_that_mentions,
    take_a_mention,
    add_a_file,
)


def path_of(tenant: str, key: str) -> str:
    return f"{tenant}/{key[:2]}/{key[2:]}"


def found(hands: Hands, *, fix: bool = False) -> list[Finding]:
    """Of our tenant: Neo4j has others, of other tests."""
    report = hands.mind.maintenance.reconcile(fix=fix)
    assert report.count < MOST_FINDINGS, "some are not told"
    return [finding for finding in report.findings if finding.tenant == hands.tenant]


def told(findings: list[Finding]) -> Told:
    return {(finding.store, finding.kind, finding.id) for finding in findings}


def hits(hands: Hands) -> dict[tuple[str, Mode], list[Any]]:
    """Of every query in every mode, ids and scores. BM25's count words of chunks that are gone until Lucene merges: those are left out.

    A vector that was made again, with other texts beside it, may differ in the last digits.
    """

    def of(query: str, mode: Mode) -> list[Any]:
        answer = hands.mind.search.search(hands.tenant, query, mode=mode)
        assert not answer.degraded
        return [(hit.chunk_id, pytest.approx(0 if mode is Mode.TEXT else hit.score, abs=2e-4)) for hit in answer.hits]

    return {(query, mode): of(query, mode) for query in QUERIES for mode in Mode if mode is not Mode.GLOBAL}


def drawn(hands: Hands) -> dict[str, Any]:
    """All that people see of the tenant in Neo4j but themes, which come a while later."""
    entities = hands.run("MATCH (e:Entity {tenant: $tenant}) RETURN e.name AS name, e.type AS type, e.mentions AS mentions")
    relations = hands.run(
        "MATCH (a:Entity {tenant: $tenant})-[r:RELATED]->(b)"
        " RETURN a.name AS a, b.name AS b, r.type AS type, round(r.weight, 4) AS weight, r.chunks AS chunks"
    )
    order = hands.run("MATCH (a:Chunk {tenant: $tenant})-[:NEXT]->(b) RETURN a.id AS a, b.id AS b")
    counts = hands.run("MATCH (n {tenant: $tenant}) WHERE NOT n:Community RETURN labels(n)[0] AS label, count(*) AS count")
    return {name: sorted(rows, key=str) for name, rows in locals().items() if name != "hands"}


@pytest.mark.parametrize("strike", BREAKS, ids=lambda strike: strike.__name__)
def test_what_a_hand_did_is_told_then_mended_and_searches_answer_as_before(hands: Hands, strike: Callable[[Hands], Told]) -> None:
    answers, graph = hits(hands), drawn(hands)
    assert all(answers.values()), "a query that finds nothing shows nothing"
    assert found(hands) == []

    wanted = strike(hands)
    hands.until_seen()
    told_of = found(hands)
    assert told(told_of) == wanted
    assert not any(finding.fixed for finding in told_of)
    assert told(found(hands)) == wanted, "a check mends nothing"

    mended = found(hands, fix=True)
    assert told(mended) >= {each for each in wanted if each[1] != "entity_miscounted"}
    assert all(finding.fixed for finding in mended)
    assert found(hands) == []
    assert drawn(hands) == graph
    assert hits(hands) == answers


def test_a_file_that_is_gone_is_told_until_somebody_puts_it_back(hands: Hands) -> None:
    answers = hits(hands)
    key = hashlib.sha256(NOTES["boiler.md"].encode()).hexdigest()
    obstore.delete(hands.s3, path_of(hands.tenant, key))

    gone = Finding("blobs", "missing", hands.tenant, key, fixed=False)  # type: ignore[arg-type]
    for fix in (False, True, False):
        report = hands.mind.maintenance.reconcile(fix=fix)
        assert [finding for finding in report.findings if finding.tenant == hands.tenant] == [gone]
        assert not report.clean
    assert hits(hands) == answers, "what was read of it is in the catalog"

    obstore.put(hands.s3, path_of(hands.tenant, key), NOTES["boiler.md"].encode())
    assert found(hands) == []


def test_the_command_exits_with_1_and_names_store_kind_and_tenant(
    hands: Hands,
    servers: Mapping[str, str],  # noqa: F811
    tmp_path: Path,
    model_cache: Path,
) -> None:
    (tmp_path / "models").symlink_to(model_cache, target_is_directory=True)
    environment = {**os.environ, **servers, "REDIS_URL": "", "DATA_DIR": str(tmp_path), "SEED_GUIDES": "false", "LOG_LEVEL": "ERROR"}
    [(store, kind, chunk)] = take_a_vector(hands)
    hands.until_seen()
    command = [Path(sys.executable).with_name("localmind"), "reconcile", "--check", "--json"]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    findings = [finding for finding in json.loads(ended.stdout)["findings"] if finding["tenant"] == hands.tenant]
    assert findings == [{"store": store, "kind": kind, "tenant": hands.tenant, "id": chunk, "fixed": False}]
