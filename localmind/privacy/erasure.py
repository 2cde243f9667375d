"""Erasing a person: what can go in one transaction goes in one; documents go by ordinary jobs. Cut off anywhere, it goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from localmind.accounts.members import Members
from localmind.accounts.model import Principal, UserId
from localmind.catalog.audit import Event
from localmind.catalog.catalog import Catalog
from localmind.errors import NotFound
from localmind.ids import stable_id
from localmind.model import SourceId, TenantId

LINGER_S = 3600
"""An erased person is looked through again for so long: a request that was let in before may still have written something."""


class Erasures:
    def __init__(self, catalog: Catalog, members: Members, delete: Callable[[TenantId, SourceId], object]) -> None:
        """delete: takes a document out of every store, by a job; raises NotFound where it has gone already."""
        self._catalog, self._members, self._delete = catalog, members, delete

    def erase(self, principal: Principal, user_id: UserId, *, documents: bool) -> None:
        """Out of the tenant, and out of all that it keeps. documents: those that they added too; else these stay, as nobody's.

        An account that belongs to another tenant as well stays there. finish() does what is left. Raises as Members.remove.
        """
        with self._catalog.database.write():
            member = self._members.get(principal, user_id)
            self._members.remove(principal, user_id)
            _erase(self._catalog, principal.tenant, user_id, member.email, documents=documents)

    def finish(self) -> None:
        """Run after an erasure, at start, and every some minutes."""
        people = self._catalog.people
        for one in people.erasures(linger_s=LINGER_S):
            _forget(self._catalog, one.tenant, one.user_id)
            if one.documents:
                for document in people.documents(one.tenant, one.user_id):
                    with suppress(NotFound):  # what came out of another one goes with it
                        self._delete(document.space, document.id)
            else:
                people.disown_documents(one.tenant, one.user_id)
            if one.is_over:
                people.end_erasure(one.tenant, one.user_id)


def erase_person(catalog: Catalog, tenant: TenantId, user_id: UserId, email: str, *, documents: bool) -> None:
    """By whoever has the machine: asks nobody, and takes a last owner too. Where a service runs, its finish() does what is left."""
    with catalog.database.write():
        catalog.database.hold(f"members {tenant}")
        catalog.sessions.revoke_all(user_id, tenant=tenant)
        catalog.api_keys.delete_of(tenant, user_id)
        catalog.accounts.leave(tenant, user_id)
        _erase(catalog, tenant, user_id, email, documents=documents)


def _erase(catalog: Catalog, tenant: TenantId, user_id: UserId, email: str, *, documents: bool) -> None:
    people = catalog.people
    people.begin_erasure(tenant, user_id, documents=documents)
    people.forget_invitations(tenant, user_id, email)
    people.forget_consents(user_id)
    catalog.attempts.clear([stable_id("login", email)])
    if not documents:
        people.disown_documents(tenant, user_id)
    called = _forget(catalog, tenant, user_id)
    catalog.audit.record(Event.ERASURE, tenant, tenant=tenant, person=called, documents=documents)


def _forget(catalog: Catalog, tenant: TenantId, user_id: UserId) -> str | None:
    """Returns what the audit called them."""
    catalog.people.forget_conversations(tenant, user_id)
    return catalog.audit.forget_person(tenant, user_id)
