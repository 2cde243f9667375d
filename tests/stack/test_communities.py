"""Communities on the servers: found in Neo4j's graph, kept in PostgreSQL, shown in Neo4j, and gone with their documents."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from localmind.ids import random_id
from localmind.model import JobStatus, Mode, SourceId, TenantId
from localmind.wiring import LocalMind
from tests.neo4j_server import driver_of, neo4j_driver  # noqa: F401 - a fixture
from tests.stack.test_fleet import servers  # noqa: F401 - a fixture
from tests.stack.test_reconcile import mind  # noqa: F401 - a fixture
from tests.unit.communities.test_upkeep import PUMP, SOUP

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture
def tenant(mind: LocalMind) -> Iterator[TenantId]:  # noqa: F811
    name = TenantId(f"t-{random_id()}")
    yield name
    for index in (mind.store.text, mind.store.graph):
        index.clear(name)


def put(mind: LocalMind, tenant: TenantId, text: str) -> SourceId:  # noqa: F811
    accepted = mind.sources.upload(tenant, filename="note.md", data=io.BytesIO(text.encode()))
    assert accepted.job_id is not None
    assert list(mind.jobs.watch(tenant, accepted.job_id, 60))[-1].status is JobStatus.SUCCEEDED
    return accepted.source_id


def test_themes_on_the_servers(mind: LocalMind, tenant: TenantId, neo4j) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    def shown() -> dict[str, int]:
        """Titles of the communities in Neo4j, with how many entities hang on each."""
        rows = neo4j.rows(
            "MATCH (c:Community {tenant: $tenant}) RETURN c.title AS title, COUNT { (:Entity)-[:PART_OF]->(c) } AS size", tenant=tenant
        )
        return {row["title"]: row["size"] for row in rows}

    put(mind, tenant, SOUP)
    pump = put(mind, tenant, PUMP)
    mind.communities.update(tenant)
    themes = mind.catalog.communities.page(tenant, level=None, limit=50, cursor=None).items
    assert len(themes) >= 2
    assert shown().keys() == {theme.title for theme in themes}
    assert sum(shown().values()) == sum(theme.size for theme in themes if theme.level == 0)
    answer = mind.chat.answer(tenant, "What are the main themes?")
    assert {citation.title for citation in answer.citations} == {"Leek soup", "Harbour pump"}
    hits = mind.search.search(tenant, "dykes against floods", mode=Mode.GLOBAL).hits
    assert hits[0].source_id == pump

    mind.communities.remake(tenant)  # as after a rebuild
    assert shown().keys() == {theme.title for theme in themes}

    job = mind.sources.delete(tenant, pump).job_id
    assert job is not None and list(mind.jobs.watch(tenant, job, 60))[-1].status is JobStatus.SUCCEEDED
    mind.communities.update(tenant)
    assert shown() and not any("Harbour" in title for title in shown())
