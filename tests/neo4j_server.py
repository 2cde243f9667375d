"""The Neo4j of the stack, as tests ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from localmind.neo4j import Neo4jDriver


def driver_of(stack: Mapping[str, str], **options: object) -> Neo4jDriver:
    """A driver of its own; options: those of Neo4jDriver."""
    return Neo4jDriver(stack["NEO4J_URI"], "neo4j", stack["NEO4J_PASSWORD"], **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module", name="neo4j")
def neo4j_driver(stack: Mapping[str, str]) -> Iterator[Neo4jDriver]:
    """Open; tests keep to tenants of their own."""
    driver = driver_of(stack)
    driver.open()
    yield driver
    driver.close()
