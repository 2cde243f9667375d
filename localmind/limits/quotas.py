"""What a tenant may have, all its spaces together: the settings' limits, or those that it was given of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from localmind.accounts.recent import Recent
from localmind.errors import InvalidInput, NotFound, QuotaReached, TooLarge, TooManyRequests
from localmind.model import PERSONAL, TenantId

if TYPE_CHECKING:
    from localmind.catalog.catalog import Catalog
    from localmind.catalog.quotas import Held

MB = 1_000_000

JOBS_RETRY_S = 10
"""When a tenant with too many open jobs may ask again."""

WAY_OUT = "Delete what is not needed, or ask whoever runs the service for more."

MOST_QUERY_CHARS, MOST_MESSAGE_CHARS = 4000, 10_000
"""What the API takes at all."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A tenant's limits; 0: none. upload_mb, query_chars and message_chars only lower what the service takes from everybody.

    storage_mb: of original files. jobs: documents that wait or are being ingested. llm_tokens, llm_cost: in a period of the budget.
    """

    upload_mb: float = 0
    documents: float = 0
    storage_mb: float = 0
    chunks: float = 0
    jobs: float = 0
    query_chars: float = 0
    message_chars: float = 0
    llm_tokens: float = 0
    llm_cost: float = 0


NAMES = tuple(field.name for field in fields(Quota))


class Quotas:
    """Limits are remembered for half a minute; what a tenant holds is counted when it asks for more, in that transaction."""

    def __init__(self, catalog: Catalog, defaults: Quota) -> None:
        self._catalog, self._table, self.defaults = catalog, catalog.quotas, defaults
        self._recent: Recent[TenantId, Quota] = Recent()
        self._tenants: Recent[TenantId, TenantId] = Recent()

    # --- what they are

    def tenant_of(self, partition: TenantId) -> TenantId:
        """The tenant that the space belongs to."""
        if partition == PERSONAL:
            return partition
        known = self._tenants.get(partition)
        if known is None:
            known = self._table.tenant_of(partition)
            self._tenants.put(partition, known)
        return known

    def of(self, tenant: TenantId) -> Quota:
        """The limits that hold for a tenant, or for the one whose space it is."""
        tenant = self.tenant_of(tenant)
        known = self._recent.get(tenant)
        if known is None:
            known = replace(self.defaults, **self._table.of(tenant))
            self._recent.put(tenant, known)
        return known

    def held(self, tenant: TenantId) -> Held:
        return self._table.held(self.tenant_of(tenant))

    def change(self, tenant: TenantId, values: Mapping[str, float | None]) -> Quota:
        """Give a tenant limits of its own; None: as the settings have it. Raises NotFound for what is no tenant, InvalidInput."""
        self.require_tenant(tenant)
        for name, value in values.items():
            if name not in NAMES:
                raise InvalidInput(f"There is no limit {name!r}.", hint=f"Choose among {', '.join(NAMES)}.")
            if value is not None and not 0 <= value <= 1e15:
                raise InvalidInput(f"The limit {name} can't be {value}.", hint="Give a number from 0 (no limit) on.")
        self._table.change(tenant, values)
        self._recent.forget()
        return self.of(tenant)

    def require_tenant(self, tenant: TenantId) -> None:
        """Raises NotFound for what is no tenant, but a space or nothing."""
        if tenant != PERSONAL and not self._catalog.accounts.has_tenant(tenant):
            raise NotFound(f"There is no tenant {tenant!r}.")

    # --- what they refuse

    def check_query(self, tenant: TenantId, text: str) -> None:
        _check_length("query", len(text), self.of(tenant).query_chars)

    def check_message(self, tenant: TenantId, text: str) -> None:
        _check_length("message", len(text), self.of(tenant).message_chars)

    def most_upload_bytes(self, tenant: TenantId, most: int) -> int:
        """The largest file that is taken. most: of the service."""
        limit = self.of(tenant).upload_mb
        return min(most, int(limit * MB)) if limit else most

    def check_upload(self, tenant: TenantId, size_bytes: int) -> None:
        """Raises TooLarge."""
        limit = self.of(tenant).upload_mb
        if limit and size_bytes > limit * MB:
            raise TooLarge(
                f"The file has {size_bytes / MB:,.1f} MB; {limit:,g} MB are the most that your tenant may put in at once.",
                hint="Split it, or ask whoever runs the service for more.",
                limit_bytes=int(limit * MB),
            )

    def check_room(self, tenant: TenantId) -> None:
        """Before anything is stored: refuses what admit() would refuse in any case."""
        self._check(self.tenant_of(tenant), 0, 0, 0, at_least_one=True)

    def admit(self, tenant: TenantId, *, documents: int = 0, size_bytes: int = 0, jobs: int = 0) -> None:
        """Inside the transaction that adds so much: until its end nobody else adds to the tenant.

        Raises QuotaReached; TooManyRequests for jobs, which become fewer by themselves.
        """
        quota = self.of(tenant)
        if quota.documents or quota.storage_mb or quota.chunks or quota.jobs:
            owner = self.tenant_of(tenant)
            self._table.hold(owner)
            self._check(owner, documents, size_bytes, jobs)

    def room_for_chunks(self, tenant: TenantId) -> int | None:
        """How many chunks more the tenant may have now; None: no limit."""
        limit = int(self.of(tenant).chunks)
        return max(0, limit - self.held(tenant).chunks) if limit else None

    def _check(self, tenant: TenantId, documents: int, size_bytes: int, jobs: int, *, at_least_one: bool = False) -> None:
        """tenant: the whole. at_least_one: asked before it is known how much comes."""
        quota = self.of(tenant)
        if not (quota.documents or quota.storage_mb or quota.chunks or quota.jobs):
            return
        held, more = self._table.held(tenant), int(at_least_one)
        if quota.chunks and held.chunks >= quota.chunks and (documents or size_bytes or jobs or more):
            raise full("chunks", quota.chunks, held.chunks)
        if quota.storage_mb and held.size_bytes + max(size_bytes, more) > quota.storage_mb * MB:
            raise full("storage_mb", quota.storage_mb, round(held.size_bytes / MB, 1))
        if at_least_one:  # what comes may be a new version, or here already
            return
        if quota.documents and documents and held.documents + documents > quota.documents:
            raise full("documents", quota.documents, held.documents, documents)
        if quota.jobs and jobs and held.jobs + jobs > quota.jobs:
            raise TooManyRequests(
                f"Your tenant may have {quota.jobs:,g} documents in the making at once (jobs), has {held.jobs:,}, and {jobs:,} more came.",
                hint="Wait until some are done, or send fewer at once.",
                retry_after_s=JOBS_RETRY_S,
            )


_WORDS = {"chunks": "chunks", "documents": "documents", "storage_mb": "MB of files"}


def full(name: str, limit: float, held: float, more: int = 0) -> QuotaReached:
    came = f", and {more:,} more came" if more > 1 else ""
    words = _WORDS[name]
    return QuotaReached(f"Your tenant may have {limit:,g} {words} ({name}), and has {held:,g}{came}.", hint=WAY_OUT, limit=limit, held=held)


def _check_length(what: str, length: int, limit: float) -> None:
    if limit and length > limit:
        raise InvalidInput(f"The {what} has {length:,} characters; {limit:,g} are the most.", hint=f"Shorten the {what}.")
