"""What the driver of Neo4j raises, in our words; its own words are those of real servers."""

from __future__ import annotations

import pytest
from neo4j import exceptions

from localmind.errors import ConfigurationError, StoreUnavailable
from localmind.neo4j.driver import translated

TOO_OFTEN = "The client has provided incorrect authentication details too many times in a row."


def test_a_server_that_the_driver_refuses_before_it_says_its_version_is_too_old() -> None:
    told = "Notification filtering is not supported for the Bolt Protocol 4.4. Server Agent 'None'."
    with pytest.raises(ConfigurationError) as caught, translated(opening=True):
        raise exceptions.ConfigurationError(told)
    assert caught.value.message == "Neo4j is too old: it speaks Bolt 4.4; 5.23 or newer is needed."


@pytest.mark.parametrize(("opening", "kind"), [(True, ConfigurationError), (False, StoreUnavailable)])
def test_a_password_that_was_refused_too_often_is_refused(opening: bool, kind: type[Exception]) -> None:
    error = exceptions.Neo4jError._basic_hydrate(  # type: ignore[attr-defined]
        neo4j_code="Neo.ClientError.Security.AuthenticationRateLimit", message=TOO_OFTEN
    )
    assert not isinstance(error, exceptions.AuthError)
    with pytest.raises(kind, match="refuses NEO4J_USER and NEO4J_PASSWORD"), translated(opening=opening):
        raise error
