"""No store can be asked without saying for whom: every method's first parameter is the tenant, and what has none is listed here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localmind.blobs.local import LocalBlobs
from localmind.blobs.port import Blobs
from localmind.blobs.s3 import S3Blobs
from localmind.catalog.accounts import AccountTable
from localmind.catalog.api_keys import ApiKeyTable
from localmind.catalog.attempts import AttemptTable
from localmind.catalog.catalog import Catalog
from localmind.catalog.chunks import Chunks
from localmind.catalog.communities import CommunityTable
from localmind.catalog.extractions import ExtractionTable
from localmind.catalog.invitations import InvitationTable
from localmind.catalog.jobs import JobTable
from localmind.catalog.sessions import SessionTable
from localmind.catalog.sources import SourceTable
from localmind.catalog.spaces import SpaceTable
from localmind.catalog.spending import SpendingTable
from localmind.catalog.workers import WorkerTable
from localmind.chat.conversations import Conversations
from localmind.communities.port import EntityNetwork
from localmind.communities.sql import SqlNetwork
from localmind.graph.aliases import Aliases
from localmind.graph.port import Graph, SpeaksCypher
from localmind.graph.sql import SqlGraph
from localmind.text.fts5 import Fts5Text
from localmind.text.port import TextIndex
from localmind.vectors.lancedb import LanceVectors
from localmind.vectors.milvus import MilvusVectors
from localmind.vectors.port import Vectors

PORTS = (Blobs, Vectors, TextIndex, Graph, SpeaksCypher, EntityNetwork)
ENGINES = (LocalBlobs, S3Blobs, LanceVectors, MilvusVectors, Fts5Text, SqlGraph, SqlNetwork)
TABLES = (
    *(Catalog, SourceTable, Chunks, JobTable, WorkerTable, SpendingTable, ExtractionTable, CommunityTable, Aliases, Conversations),
    *(AccountTable, SessionTable, AttemptTable, InvitationTable, SpaceTable, ApiKeyTable),
)

ENGINE = "concerns the engine as a whole"
UPKEEP = "goes over all tenants, for upkeep; no door leads here"
OWNED = "writes rows that whoever calls read, or claimed, as one tenant's; their ids are random or of the tenant's content"
OURS = "knows no tenants"
LOGIN = "asked before it is known who asks: a secret, or an address, says which tenant"
PERSON = "a person stands outside of tenants"

REASONS = {
    **dict.fromkeys(("open", "close", "reset"), ENGINE),
    **dict.fromkeys(("tenants", "JobTable.counts", "SourceTable.visible", "JobTable.open_sources", "SpaceTable.deleted"), UPKEEP),
    **dict.fromkeys(("Catalog.claim", "JobTable.claim", "JobTable.release_lost", "JobTable.release", "ExtractionTable.due"), UPKEEP),
    **{f"SourceTable.{name}": OWNED for name in ("revisions", "add", "add_revisions", "update_revision", "show")},
    **{
        f"JobTable.{name}": OWNED
        for name in ("confirm", "heartbeat", "progress", "finish", "set_usage", "postpone", "failures", "cancelled")
    },
    "Chunks.move": OWNED,
    **dict.fromkeys(("Catalog.setting", "Catalog.set_setting", "WorkerTable.beat", "WorkerTable.leave", "WorkerTable.alive"), OURS),
    **{f"SessionTable.{name}": LOGIN for name in ("use_refresh_token", "by_cookie", "changed_within")},
    **dict.fromkeys(("InvitationTable.by_hash", "ApiKeyTable.use", "SessionTable.drop_ended", "AccountTable.find_tenant"), LOGIN),
    **{f"AttemptTable.{name}": LOGIN for name in ("begin", "clear", "forget")},
    **{f"AccountTable.{name}": PERSON for name in ("by_email", "by_id", "places", "tenants_of", "add", "set_password", "logged_in")},
    "SessionTable.revoke_all": PERSON,
}
"""By Class.method, or method alone where every engine has it."""


def methods(*classes: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for class_ in classes:
        for name, member in inspect.getmembers(class_, inspect.isfunction):
            if not name.startswith("_"):
                yield f"{class_.__name__}.{name}", member


def asks_for_whom(method: Callable[..., Any]) -> bool:
    first = next(iter(list(inspect.signature(method).parameters.values())[1:]), None)
    return first is not None and first.name == "tenant" and first.annotation == "TenantId" and first.default is inspect.Parameter.empty


@pytest.mark.parametrize(("name", "method"), list(methods(*PORTS, *ENGINES, *TABLES)))
def test_every_method_of_a_store_takes_the_tenant_first(name: str, method: Callable[..., Any]) -> None:
    if name not in REASONS and name.partition(".")[2] not in REASONS:
        assert asks_for_whom(method), f"{name}{inspect.signature(method)}"


def test_what_needs_no_tenant_is_there_and_has_none() -> None:
    known = dict(methods(*PORTS, *ENGINES, *TABLES))
    for name in REASONS:
        found = [method for full, method in known.items() if name in (full, full.partition(".")[2])]
        assert found and not any(asks_for_whom(method) for method in found), name
