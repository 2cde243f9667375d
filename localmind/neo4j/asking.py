"""Cypher that somebody else wrote, against Neo4j: reading only, for so long, so many rows, as values that JSON has.

Neo4j's Community edition has no roles, so three things stand before the data: the plan is looked at before it runs (it may only
read nodes and relations of this database), the transaction's access mode is READ, and time and rows have a limit. What none of them
can give is a tenant's bounds: a query that does not use $tenant sees all. So this is for an installation of one tenant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from localmind.errors import InvalidInput, StoreUnavailable
from localmind.model import TenantId
from localmind.neo4j.driver import Neo4jDriver

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

TIMEOUT_S = 10.0
MOST_ROWS = 1000

PROCEDURES = ("db.index.fulltext.query", "db.labels(", "db.propertyKeys(", "db.relationshipTypes(", "db.schema.")
"""Those that read the graph. Others show the server's settings and users, end other transactions, or (APOC) load from addresses."""

REFUSED = "This Cypher can't be run here"


class CypherResult(NamedTuple):
    """rows: as many values each as there are columns. truncated: there were more rows than are given."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool


def ask(driver: Neo4jDriver, tenant: TenantId, query: str, parameters: Mapping[str, Any]) -> CypherResult:
    """The query's answer; `$tenant` is always the tenant. Raises InvalidInput where it is wrong, would write, or takes too long."""
    from neo4j.exceptions import ClientError

    values = {**parameters, "tenant": tenant}
    try:
        return driver.read(lambda tx: _run(tx, query, values), timeout_s=TIMEOUT_S)
    except ClientError as error:
        raise InvalidInput(
            f"{REFUSED}: {error.message}", hint="The statement and its parameters have to be right, and only read."
        ) from error
    except (ValueError, TypeError, OverflowError) as error:  # the driver could not send a parameter
        raise InvalidInput(f"{REFUSED}: a parameter has a value that Neo4j does not take.") from error
    except StoreUnavailable as error:
        if not error.data.get("timed_out"):
            raise
        raise InvalidInput(f"{REFUSED}: it took longer than {TIMEOUT_S:g} s.", hint="Narrow it down, or add a LIMIT.") from error


def _run(tx: ManagedTransaction, query: str, values: dict[str, Any]) -> CypherResult:
    plan = tx.run("EXPLAIN " + query, values).consume()
    if plan.query_type != "r":
        raise InvalidInput(f"{REFUSED}: it would change the database.", hint="Only queries that read are taken.")
    for step in _steps(plan.plan or {}):
        _check(str(step.get("operatorType", "")), str(step.get("args", {}).get("Details", "")))
    result = tx.run(query, values)
    rows = [[_plain(value) for value in record.values()] for record in islice(result, MOST_ROWS + 1)]
    return CypherResult(list(result.keys()), rows[:MOST_ROWS], len(rows) > MOST_ROWS)


def _steps(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("children", ()):
        yield from _steps(child)


def _check(operator: str, details: str) -> None:
    name = operator.partition("@")[0]
    if name == "LoadCSV":
        raise InvalidInput(f"{REFUSED}: LOAD CSV reads files and addresses of the server.")
    if name.startswith(("Show", "Terminate")):
        raise InvalidInput(f"{REFUSED}: it asks for the server and not for the graph.")
    if "ProcedureCall" in name and not details.startswith(PROCEDURES):
        known = ", ".join(each.rstrip("(") for each in PROCEDURES)
        raise InvalidInput(f"{REFUSED}: it calls {details.partition('(')[0]}.", hint=f"Procedures that can be called begin with {known}.")


def _plain(value: Any) -> Any:
    """Nodes, relations and paths as objects, times in ISO 8601, points as lists; numbers that JSON has not, as null."""
    from neo4j.graph import Node, Path, Relationship

    match value:
        case Node():
            return {"labels": sorted(value.labels), "properties": _plain(dict(value))}
        case Relationship():
            ends = [_plain(node.get("id")) if node is not None else None for node in value.nodes]
            return {"type": value.type, "source": ends[0], "target": ends[1], "properties": _plain(dict(value))}
        case Path():
            return {"nodes": [_plain(node) for node in value.nodes], "relationships": [_plain(each) for each in value.relationships]}
        case bool() | int() | str() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case bytes() | bytearray():
            return value.hex()
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value.iso_format() if hasattr(value, "iso_format") else str(value)
