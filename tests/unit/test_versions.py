"""A server that is too old is named with what is needed."""

from __future__ import annotations

import pytest

from localmind.errors import ConfigurationError
from localmind.versions import check_version


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("PostgreSQL", "15.10 (Debian 15.10-0+deb12u1)"),
        ("Neo4j", "5.26.24"),
        ("Neo4j", "2025.08.0"),
        ("Milvus", "v2.3.5"),
        ("Milvus", "2.3-dev"),
    ],
)
def test_what_is_new_enough_will_do(server: str, found: str) -> None:
    check_version(server, found)


@pytest.mark.parametrize(
    ("server", "found", "said"),
    [
        ("PostgreSQL", "12.22", "PostgreSQL is version 12.22; 13 or newer is needed."),
        ("Neo4j", "4.4.41", "Neo4j is version 4.4.41; 5.23 or newer is needed."),
        ("Milvus", "v2.2.16", "Milvus is version 2.2.16; 2.3 or newer is needed."),
        ("Redis", "5.0.14", "Redis is version 5.0.14; 6 or newer is needed."),
    ],
)
def test_what_is_too_old_is_named(server: str, found: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_version(server, found)
    assert caught.value.message == said and server in str(caught.value.hint)


def test_a_version_that_cannot_be_read_is_let_through() -> None:
    check_version("Milvus", "master-20240101-abcdef")
