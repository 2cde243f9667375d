"""What only a real Neo4j shows: several writers at once, its going away, its schema, its limits."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import queue
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from localmind.errors import ConfigurationError, StoreUnavailable
from localmind.graph.neo4j import Neo4jGraph
from localmind.graph.port import ChunkExtraction
from localmind.ids import random_id
from localmind.model import Chunk, ChunkId, ExtractedEntity, ExtractedRelation, Extraction, SourceId, TenantId
from localmind.neo4j import Neo4jDriver
from localmind.settings import Settings
from localmind.text.neo4j import Neo4jText
from localmind.text.port import TitledChunk
from tests.neo4j_server import driver_of, neo4j_driver  # noqa: F401 - a fixture
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.stack

SOURCE = SourceId("report")


@pytest.fixture
def tenant(neo4j: Neo4jDriver) -> Iterator[TenantId]:
    name = TenantId(f"t-{random_id()}")
    yield name
    Neo4jGraph(neo4j).clear(name)
    Neo4jText(neo4j).clear(name)


@pytest.fixture
def graph(neo4j: Neo4jDriver) -> Neo4jGraph:
    return Neo4jGraph(neo4j)


@pytest.fixture
def text(neo4j: Neo4jDriver) -> Neo4jText:
    return Neo4jText(neo4j)


def port_of(stack: Mapping[str, str]) -> int:
    return int(stack["NEO4J_URI"].rpartition(":")[2])


def says(*names: str, relations: tuple[tuple[str, str], ...] = ()) -> Extraction:
    return Extraction(tuple(map(ExtractedEntity, names)), tuple(ExtractedRelation(*pair) for pair in relations))


def said(id_: str, what: Extraction, source: SourceId = SOURCE) -> ChunkExtraction:
    return ChunkExtraction(source, ChunkId(id_), what)


def titled(id_: str, words: str, ordinal: int = 0, source: SourceId = SOURCE) -> TitledChunk:
    return TitledChunk("Report", Chunk(ChunkId(id_), source, ordinal, words, 0, len(words)))


# --- writers at once

HUBS = [f"Hub {n}" for n in range(12)]


def write_and_take_back(stack: Mapping[str, str], tenant: TenantId, writer: int) -> None:
    """Chunks of one writer, all about the same names in an order of its own; every second round is taken back."""
    driver = driver_of(stack)
    graph = Neo4jGraph(driver)
    graph.open()
    names = HUBS[writer:] + HUBS[:writer]
    for turn in range(4):
        ids = [f"w{writer}-{turn}-{n}" for n in range(10)]
        what = says(*names, relations=tuple(pairwise(names)))
        graph.write(tenant, [said(id_, what, SourceId(f"s{writer}")) for id_ in ids])
        if turn % 2:
            graph.delete(tenant, [ChunkId(id_) for id_ in ids])
    graph.close()


def assert_counts_are_right(graph: Neo4jGraph, tenant: TenantId, chunks: int) -> None:
    assert {item.name: item.mentions for item in graph.entities(tenant).items} == dict.fromkeys(HUBS, chunks)
    found = graph.subgraph(tenant)
    assert sum(item.weight for item in found.relations) == pytest.approx(chunks * (len(HUBS) - 1))
    assert graph.miscounted(tenant) == []


def test_counts_are_right_whichever_threads_write_at_once(stack: Mapping[str, str], graph: Neo4jGraph, tenant: TenantId) -> None:
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(write_and_take_back, stack, tenant, writer) for writer in range(4)]:
            done.result()
    assert_counts_are_right(graph, tenant, 4 * 2 * 10)


def test_counts_are_right_whichever_processes_write_at_once(stack: Mapping[str, str], graph: Neo4jGraph, tenant: TenantId) -> None:
    spawning = multiprocessing.get_context("spawn")
    writers = [spawning.Process(target=write_and_take_back, args=(dict(stack), tenant, writer)) for writer in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(90)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert_counts_are_right(graph, tenant, 2 * 2 * 10)


def test_an_entity_that_one_takes_back_while_another_names_it_stays_with_the_right_count(graph: Neo4jGraph, tenant: TenantId) -> None:
    """The last mention goes and the first of another chunk comes, again and again: the node is deleted under the other's hands."""

    def toggle(writer: int) -> None:
        for _ in range(12):
            graph.write(tenant, [said(f"c{writer}", says("Ada", "Babbage"), SourceId(f"s{writer}"))])
            graph.delete(tenant, [ChunkId(f"c{writer}")])
        graph.write(tenant, [said(f"c{writer}", says("Ada"), SourceId(f"s{writer}"))])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(toggle, range(4)))
    assert {item.name: item.mentions for item in graph.entities(tenant).items} == {"Ada": 4}


def test_opening_at_once_makes_one_schema(stack: Mapping[str, str], neo4j: Neo4jDriver) -> None:
    for name in ("entity_names", "entity_mentions"):
        neo4j.write(lambda tx, name=name: tx.run(f"DROP INDEX {name}").consume())  # type: ignore[misc]
    drivers = [driver_of(stack) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(Neo4jDriver.open, drivers))
    for driver in drivers:
        driver.close()
    shown = neo4j.rows("SHOW INDEXES YIELD name, state WHERE name IN ['entity_names', 'entity_mentions'] RETURN name, state")
    assert sorted(map(tuple, shown)) == [("entity_mentions", "ONLINE"), ("entity_names", "ONLINE")]


# --- nodes that text and graph share


def test_a_chunk_stays_as_long_as_text_or_graph_needs_it(neo4j: Neo4jDriver, graph: Neo4jGraph, text: Neo4jText, tenant: TenantId) -> None:
    def nodes() -> dict[str, int]:
        rows = neo4j.rows("MATCH (n {tenant: $tenant}) RETURN labels(n)[0] AS label, count(*) AS count", tenant=tenant)
        return {row["label"]: row["count"] for row in rows}

    text.write(tenant, [titled("c1", "about Ada")])
    graph.write(tenant, [said("c1", says("Ada"))])
    assert nodes() == {"Document": 1, "Chunk": 1, "Entity": 1}
    text.delete(tenant, [ChunkId("c1")])
    assert text.search(tenant, "Ada", limit=9) == []
    assert [item.name for item in graph.entities(tenant).items] == ["Ada"]
    text.write(tenant, [titled("c1", "about Ada")])
    graph.delete(tenant, [ChunkId("c1")])
    assert [hit.chunk_id for hit in text.search(tenant, "Ada", limit=9)] == ["c1"]
    text.delete(tenant, [ChunkId("c1")])
    assert nodes() == {}


def test_chunks_hang_together_in_reading_order(neo4j: Neo4jDriver, graph: Neo4jGraph, text: Neo4jText, tenant: TenantId) -> None:
    def chain() -> list[tuple[str, str]]:
        rows = neo4j.rows("MATCH (a:Chunk {tenant: $tenant})-[:NEXT]->(b) RETURN a.id, b.id ORDER BY a.ordinal", tenant=tenant)
        return [(row[0], row[1]) for row in rows]

    text.write(tenant, [titled(f"c{n}", f"part {n}", n) for n in range(4)])
    graph.arrange(tenant, {SOURCE: [ChunkId(id_) for id_ in ("c0", "c1", "c2", "c3")]})
    assert chain() == [("c0", "c1"), ("c1", "c2"), ("c2", "c3")]
    for _ in range(2):
        graph.arrange(tenant, {SOURCE: [ChunkId(id_) for id_ in ("c3", "gone", "c1")]})
        assert chain() == [("c3", "c1")]


# --- its going away


@pytest.fixture
def door(stack: Mapping[str, str]) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", port_of(stack)) as door:
        yield door


@pytest.fixture
def behind(stack: Mapping[str, str], door: TcpProxy) -> Iterator[Neo4jDriver]:
    driver = driver_of({**stack, "NEO4J_URI": f"bolt://127.0.0.1:{door.port}"}, timeout_s=2.0)
    yield driver
    driver.close()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


def test_a_server_that_is_away_is_said_to_be_at_once_and_found_again_by_itself(
    behind: Neo4jDriver, door: TcpProxy, tenant: TenantId
) -> None:
    text = Neo4jText(behind)
    text.open()
    assert text.search(tenant, "anything", limit=1) == []
    door.shut()
    for _ in range(2):
        with within(3), pytest.raises(StoreUnavailable) as raised:
            text.search(tenant, "anything", limit=1)
        assert raised.value.data["service"] == "neo4j"
    door.open()
    assert text.search(tenant, "anything", limit=1) == []


def test_a_server_that_is_away_at_the_start_is_opened_by_the_first_call_that_reaches_it(behind: Neo4jDriver, door: TcpProxy) -> None:
    door.shut()
    with within(5), pytest.raises(StoreUnavailable):
        behind.open()
    with within(5), pytest.raises(StoreUnavailable):
        behind.ping()
    door.open()
    time.sleep(1.1)  # how long it does not try again
    behind.ping()


def test_a_server_that_takes_questions_and_does_not_answer_holds_nobody_up(behind: Neo4jDriver, door: TcpProxy, tenant: TenantId) -> None:
    text = Neo4jText(behind)
    text.open()
    door.hush()
    with within(9), pytest.raises(StoreUnavailable):
        text.search(tenant, "anything", limit=1)
    door.shut()
    door.open()
    assert text.search(tenant, "anything", limit=1) == []


def test_a_query_that_takes_too_long_is_ended(stack: Mapping[str, str]) -> None:
    driver = driver_of(stack, timeout_s=1.0)
    driver.open()
    with within(5), pytest.raises(StoreUnavailable):
        driver.rows("UNWIND range(1, 100000) AS a UNWIND range(1, 100000) AS b WITH a + b AS c RETURN max(c)")
    driver.close()


def test_a_write_cut_off_in_the_middle_leaves_nothing_half_done(
    behind: Neo4jDriver, door: TcpProxy, graph: Neo4jGraph, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind.open()
    monkeypatch.setattr("localmind.neo4j.driver.WRITE_RETRY_S", 0.5)

    def cut(*_: object) -> list[dict[str, Any]]:
        door.shut()
        return []

    monkeypatch.setattr("localmind.graph.neo4j_writing._chunks", cut)  # entities are written, mentions are not
    with pytest.raises(StoreUnavailable):
        Neo4jGraph(behind).write(tenant, [said("c1", says("Ada"))])
    assert graph.entities(tenant).items == ()
    monkeypatch.undo()
    graph.write(tenant, [said("c1", says("Ada"))])  # and no lock is left
    assert [item.mentions for item in graph.entities(tenant).items] == [1]


# --- how it is set


def test_a_wrong_password_is_a_wrong_setting(stack: Mapping[str, str]) -> None:
    driver = Neo4jDriver(stack["NEO4J_URI"], "neo4j", "not-the-password")
    with pytest.raises(ConfigurationError, match="NEO4J_PASSWORD"):
        driver.open()


def test_an_address_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="NEO4J_URI"):
        Neo4jDriver("http://127.0.0.1", "neo4j", "x").open()


def test_a_database_that_is_not_there_is_a_wrong_setting(stack: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="NEO4J_DATABASE"):
        driver_of(stack, database="nosuch").open()


def test_a_schema_of_a_newer_version_is_refused(stack: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localmind.neo4j.schema.SCHEMA", 0)
    with pytest.raises(ConfigurationError, match="newer"):
        driver_of(stack).open()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, and its key beside it."""
    folder = tmp_path_factory.mktemp("tls")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    named = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "ca.pem"]
    subprocess.run([*made, *named], check=True, capture_output=True)
    return folder / "ca.pem"


@pytest.fixture
def tls_port(stack: Mapping[str, str], certificate: Path) -> Iterator[int]:
    """A port that speaks TLS, with Neo4j behind it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port_of(stack))
        await asyncio.gather(relay(reader, far_writer), relay(far_reader, writer), return_exceptions=True)

    async def serve() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(lambda *_: None)  # a client that does not trust us hangs up
        async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context) as server:
            begun.put((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    begun: queue.Queue[tuple[int, Callable[[], object]]] = queue.Queue()
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    port, end = begun.get(timeout=10)
    yield port
    end()
    thread.join()


@pytest.mark.parametrize("scheme", ["bolt", "bolt+s"])
def test_a_certificate_of_an_authority_of_ones_own_is_trusted(
    stack: Mapping[str, str], tls_port: int, certificate: Path, scheme: str
) -> None:
    driver = driver_of({**stack, "NEO4J_URI": f"{scheme}://127.0.0.1:{tls_port}"}, ca=certificate)
    driver.open()
    driver.ping()
    driver.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(stack: Mapping[str, str], tls_port: int) -> None:
    with pytest.raises((ConfigurationError, StoreUnavailable)):
        driver_of({**stack, "NEO4J_URI": f"bolt+s://127.0.0.1:{tls_port}"}).open()


def test_an_authority_that_is_no_file_is_a_wrong_setting(stack: Mapping[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TLS_CA_FILE"):
        driver_of(stack, ca=tmp_path / "nothing.pem").open()


# --- connections


def test_connections_stay_within_the_pool_however_many_search(stack: Mapping[str, str], tenant: TenantId) -> None:
    port = port_of(stack)

    def connections() -> int:
        return sum(each.raddr != () and each.raddr.port == port for each in psutil.Process().net_connections())

    before = connections()
    driver = driver_of(stack, pool=5)
    text = Neo4jText(driver)
    text.open()
    text.write(tenant, [titled("c1", "a fox")])
    with ThreadPoolExecutor(40) as threads:
        searches = [threads.submit(text.search, tenant, "fox", limit=1) for _ in range(400)]
        counted = [connections() - before for search in searches if search.result()]
    text.close()
    assert len(counted) == 400
    assert max(counted) <= 5
    assert connections() == before


# --- Cypher that others write


@pytest.fixture(scope="module")
def client(stack: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[TestClient]:
    """A service over the stack's Neo4j that takes Cypher."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "models").symlink_to(model_cache, target_is_directory=True)
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        seed_guides=False,
        web=False,
        log_level="ERROR",
        neo4j_uri=stack["NEO4J_URI"],
        neo4j_password=stack["NEO4J_PASSWORD"],
        cypher_queries=True,
    )
    with TestClient(create_app(settings), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        until = time.monotonic() + 60
        while client.get("/readyz").status_code != 200 and time.monotonic() < until:
            time.sleep(0.05)
        yield client


def post(client: TestClient, query: str, **parameters: Any) -> tuple[int, Any]:
    answer = client.post("/api/v1/graph/cypher", json={"query": query, "parameters": parameters})
    return answer.status_code, answer.json()


def test_a_query_gets_columns_and_rows(client: TestClient) -> None:
    status, found = post(client, "UNWIND $numbers AS n RETURN n, n * 2 AS double", numbers=[1, 2])
    assert (status, found) == (200, {"columns": ["n", "double"], "rows": [[1, 2], [2, 4]], "truncated": False})


def test_the_tenant_is_bound_and_is_not_for_the_asker_to_say(client: TestClient) -> None:
    assert post(client, "RETURN $tenant AS t", tenant="somebody")[1]["rows"] == [["personal"]]


def test_rows_have_a_limit_and_it_is_said(client: TestClient) -> None:
    found = post(client, "UNWIND range(1, 5000) AS n RETURN n")[1]
    assert (len(found["rows"]), found["truncated"]) == (1000, True)


def test_values_are_json(client: TestClient, graph: Neo4jGraph, tenant: TenantId) -> None:
    graph.write(tenant, [said("c1", says("Ada", "Babbage", relations=(("Ada", "Babbage"),)))])
    query = "MATCH p = (a:Entity {tenant: $mine, key: 'ada'})-[r:RELATED]-(b) RETURN a, r, p, 0.0 / 0.0 AS nan, date('2026-01-02') AS day"
    status, found = post(client, query, mine=tenant)
    assert status == 200
    node, relation, path, nan, day = found["rows"][0]
    assert (node["labels"], node["properties"]["name"]) == (["Entity"], "Ada")
    assert (relation["type"], relation["properties"]["chunks"]) == ("RELATED", 1)
    assert [each["properties"]["name"] for each in path["nodes"]] == ["Ada", "Babbage"]
    assert (nan, day) == (None, "2026-01-02")


@pytest.mark.parametrize(
    "query",
    [
        "CREATE (n:Entity {id: 'x'}) RETURN n",
        "MATCH (n) DETACH DELETE n",
        "MATCH (n:Entity) SET n.name = 'x'",
        "CALL { CREATE (n:X) } RETURN 1",
        "CREATE INDEX some_index FOR (n:X) ON (n.y)",
        "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
        "LOAD CSV FROM 'http://127.0.0.1:1/' AS line RETURN line",
        "CALL { LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line } RETURN line",
        "CALL dbms.listConfig() YIELD name RETURN name",
        "CALL dbms.listConnections() YIELD connectionId RETURN connectionId",
        "SHOW SETTINGS",
        "SHOW USERS",
        "SHOW TRANSACTIONS",
        "TERMINATE TRANSACTION 'x'",
        "CALL db.clearQueryCaches()",
        "USE system SHOW USERS",
        "PROFILE MATCH (n) DELETE n",
        "MATCH (n RETURN n",
        "RETURN $unknown",
        "MATCH (n) CALL (n) { SET n.x = 1 } IN TRANSACTIONS",
        "ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'b'",
    ],
)
def test_what_is_wrong_or_does_more_than_read_the_graph_is_refused(client: TestClient, query: str) -> None:
    status, found = post(client, query)
    assert (status, found["error_type"]) == (400, "invalid_input"), found


def test_the_full_text_index_may_be_asked(client: TestClient) -> None:
    status, _ = post(client, "CALL db.index.fulltext.queryNodes('entity_names', 'ada') YIELD node RETURN node.name LIMIT 1")
    assert status == 200


@pytest.mark.parametrize("value", [2**70, {"a": [2**70]}])
def test_a_parameter_that_can_not_be_is_refused(client: TestClient, value: Any) -> None:
    assert post(client, "RETURN $value", value=value)[0] == 400


def test_a_long_query_is_ended(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localmind.neo4j.asking.TIMEOUT_S", 0.5)
    status, found = post(client, "UNWIND range(1, 100000) AS a UNWIND range(1, 100000) AS b WITH a + b AS c RETURN max(c)")
    assert status == 400
    assert "longer" in found["detail"]


def test_a_transaction_that_reads_can_not_write_whatever_the_plan_says(neo4j: Neo4jDriver) -> None:
    from neo4j.exceptions import Neo4jError

    with pytest.raises(Neo4jError):
        neo4j.rows("CREATE (n:Intruder)")
    assert neo4j.rows("MATCH (n:Intruder) RETURN count(n)")[0][0] == 0


@pytest.mark.parametrize("changes", [{}, {"cypher_queries": True}, {"neo4j_uri": "bolt://127.0.0.1:1"}])
def test_without_the_setting_or_without_neo4j_there_is_no_such_call(tmp_path: Path, changes: dict[str, Any]) -> None:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path, web=False, **changes))
    client = TestClient(app, base_url="http://127.0.0.1")
    assert post(client, "RETURN 1")[0] == 404
    assert "/cypher" not in json.dumps(client.get("/openapi.json").json())
