"""A person and a tenant leave the servers: PostgreSQL, Milvus, Neo4j and the blobs hold nothing of theirs, and the others' stays."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import neo4j
import pytest
import sqlalchemy as sa

from localmind.accounts.acting import acting
from localmind.accounts.model import Principal, Role
from localmind.catalog.tables import metadata
from localmind.errors import Conflict, NotFound
from localmind.ingest.sources import NewText
from localmind.model import PERSONAL, JobStatus, Mode, TenantId
from localmind.settings import Settings
from localmind.wiring import LocalMind, build
from localmind.wiring.upkeep import delete_tenant
from tests.stack.test_fleet import servers  # noqa: F401 - a fixture

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

SECRET = "The Quokkaplinth Pump was built in Bergen by Ada Lindqvist for the Quokkaplinth Works."


@pytest.fixture
def settings(tmp_path: Path, model_cache: Path, servers: Mapping[str, str]) -> Settings:  # noqa: F811
    (tmp_path / "models").symlink_to(model_cache, target_is_directory=True)
    values = {name.lower(): value for name, value in servers.items() if name != "REDIS_URL"}
    logins = {"auth": "required", "secret_key": "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf", "password_memory_kib": 8, "password_rounds": 1}
    return Settings(_env_file=None, data_dir=tmp_path, seed_guides=False, web=False, **logins, **values)  # type: ignore[arg-type]


@pytest.fixture
def mind(settings: Settings) -> Iterator[LocalMind]:
    mind = build(settings)
    mind.open()
    yield mind
    mind.close()


def owner(mind: LocalMind, email: str, tenant: str) -> Principal:
    made = mind.accounts.members.create_user(email, "correct horse battery", Role.OWNER, tenant=tenant)
    return Principal(made.tenant, made.user_id, Role.OWNER)


def put(mind: LocalMind, who: Principal, space: TenantId, text: str) -> None:
    with acting(principal=who):
        accepted = mind.sources.add_texts(space, [NewText("Pump", text)])[0]
    assert accepted.job_id is not None
    assert list(mind.jobs.watch(space, accepted.job_id, 60))[-1].status is JobStatus.SUCCEEDED


def rows_of(mind: LocalMind, partitions: set[str]) -> dict[str, int]:
    """Of every table with a tenant."""
    with mind.catalog.database.read() as connection:
        tables = [table for table in metadata.sorted_tables if "tenant" in table.c]
        counts = {t.name: connection.execute(sa.select(sa.func.count()).where(t.c.tenant.in_(partitions))).scalar_one() for t in tables}
    return {name: count for name, count in counts.items() if count}


def nodes_of(settings: Settings, partitions: set[str]) -> int:
    assert settings.neo4j_uri is not None
    login = (settings.neo4j_user, settings.neo4j_password.get_secret_value())
    with neo4j.GraphDatabase.driver(settings.neo4j_uri, auth=login) as driver:
        query = "MATCH (n) WHERE n.tenant IN $partitions RETURN count(n) AS n"
        return int(driver.execute_query(query, partitions=sorted(partitions)).records[0]["n"])


def test_a_deleted_tenant_leaves_every_server(mind: LocalMind, settings: Settings) -> None:
    ann, eve = owner(mind, "ann@example.org", PERSONAL), owner(mind, "eve@example.org", "Other")
    space = mind.accounts.spaces.make(eve, "Second", restricted=False)
    theirs = {str(eve.tenant), str(space.id)}
    for partition in (eve.tenant, space.id):
        put(mind, eve, partition, SECRET)
    put(mind, ann, PERSONAL, "What stays of the others was written by Tor Hansen.")
    assert {"source", "chunk", "audit_event", "space"} <= set(rows_of(mind, theirs))
    assert nodes_of(settings, theirs) > 0
    assert all(mind.store.vectors.count(TenantId(each)) for each in theirs)
    with pytest.raises(Conflict):  # beside a running service
        delete_tenant(settings, "Other", report=lambda _: None)
    mind.close()

    delete_tenant(settings, "Other", report=lambda _: None)

    again = build(settings)
    again.open()
    try:
        assert rows_of(again, theirs) == {}
        assert nodes_of(settings, theirs) == 0
        assert [again.store.vectors.count(TenantId(each)) for each in theirs] == [0, 0]
        assert [list(again.store.blobs.keys(TenantId(each))) for each in theirs] == [[], []]
        assert again.search.search(PERSONAL, "stays", mode=Mode.TEXT, limit=5).hits
        assert again.catalog.audit.verify(PERSONAL).flaws == ()
    finally:
        again.close()
    with pytest.raises(NotFound):
        delete_tenant(settings, "Other", report=lambda _: None)


def test_an_erased_person_leaves_the_servers_with_what_they_added(mind: LocalMind, settings: Settings) -> None:
    ann, bob = owner(mind, "ann@example.org", "Team"), owner(mind, "bob@example.org", "Team")
    space = mind.accounts.spaces.make(ann, "Research", restricted=False)
    put(mind, bob, space.id, SECRET)
    put(mind, ann, space.id, "What stays was written by Tor Hansen.")
    assert bob.user_id is not None
    mind.privacy.erasures.erase(ann, bob.user_id, documents=True)
    mind.privacy.erasures.finish()
    end = time.monotonic() + 60
    while len(mind.catalog.sources.ids(space.id)) > 1:
        assert time.monotonic() < end, "their document is still there"
        time.sleep(0.02)
    assert [
        hit.title for hit in mind.search.search(space.id, "Quokkaplinth Pump", mode=Mode.HYBRID, limit=5).hits if "Quokka" in hit.text
    ] == []
    assert mind.store.vectors.count(space.id) == 1
    assert mind.catalog.audit.verify(ann.tenant).flaws == ()
