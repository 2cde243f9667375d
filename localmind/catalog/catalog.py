"""The catalog: one database, one object for each group of tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from localmind.catalog.accounts import AccountTable
from localmind.catalog.api_keys import ApiKeyTable
from localmind.catalog.attempts import AttemptTable
from localmind.catalog.audit import AuditTable
from localmind.catalog.chunks import Chunks
from localmind.catalog.communities import CommunityTable
from localmind.catalog.database import Database
from localmind.catalog.extractions import ExtractionTable
from localmind.catalog.figures import FigureTable
from localmind.catalog.identities import IdentityTable
from localmind.catalog.invitations import InvitationTable
from localmind.catalog.jobs import Claim, JobTable
from localmind.catalog.people import PersonTable
from localmind.catalog.quotas import QuotaTable
from localmind.catalog.retention import RetentionTable
from localmind.catalog.sessions import SessionTable
from localmind.catalog.sources import SourceTable
from localmind.catalog.spaces import SpaceTable
from localmind.catalog.spending import SpendingTable
from localmind.catalog.tables import setting
from localmind.catalog.usage import UsageTable
from localmind.catalog.workers import WorkerTable
from localmind.model import TenantId


class Catalog:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.sources = SourceTable(database)
        self.chunks = Chunks(database)
        self.jobs = JobTable(database)
        self.workers = WorkerTable(database)
        self.spending = SpendingTable(database)
        self.usage = UsageTable(database)
        self.quotas = QuotaTable(database)
        self.extractions = ExtractionTable(database)
        self.communities = CommunityTable(database)
        self.accounts = AccountTable(database)
        self.sessions = SessionTable(database)
        self.attempts = AttemptTable(database)
        self.invitations = InvitationTable(database)
        self.identities = IdentityTable(database)
        self.spaces = SpaceTable(database)
        self.api_keys = ApiKeyTable(database)
        self.audit = AuditTable(database)
        self.people = PersonTable(database)
        self.retention = RetentionTable(database)
        self.figures = FigureTable(database)

    def claim(self, worker: str, *, limit: int, lease_s: float) -> list[Claim]:
        """Jobs as JobTable.claim gives them, each with its revision."""
        claims = self.jobs.claim(worker, limit=limit, lease_s=lease_s)
        versions = {claim.job.id: (claim.job.source_id, claim.job.version) for claim in claims if claim.job.source_id is not None}
        found = self.sources.revisions(versions.values()) if versions else {}
        return [replace(claim, revision=found.get(versions[claim.job.id])) if claim.job.id in versions else claim for claim in claims]

    @contextmanager
    def alone(self, tenant: TenantId) -> Iterator[None]:
        """A write() beside which nobody else accepts documents of the tenant, deletes them, or removes their blobs.

        So: one source for one content or address, versions that count up, and no blob that goes while a row for it comes.
        """
        with self.database.write(tenant):
            self.database.hold(f"tenant {tenant}")
            yield

    def setting(self, name: str) -> object:
        """A kept fact about the stores; None where it was never set."""
        with self.database.read() as connection:
            return connection.execute(sa.select(setting.c.value).where(setting.c.name == name)).scalar_one_or_none()

    def set_setting(self, name: str, value: object) -> None:
        with self.database.write() as connection:
            insert = self.database.insert(setting).values(name=name, value=value)
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": insert.excluded.value}))
