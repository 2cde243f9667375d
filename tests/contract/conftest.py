"""Fixtures that more than one contract suite uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localmind.catalog.database import Database
from tests.postgresql_server import Open


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.stack)])
def another(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens the test's catalog, as one more process would."""
    url = request.getfixturevalue("catalog_url" if request.param == "sqlite" else "postgresql_url")
    opened: list[Database] = []

    def open_() -> Database:
        opened.append(Database(url))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()
