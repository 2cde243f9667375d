"""A text that people are shown before they come in, and who agreed to which."""

from __future__ import annotations

import hashlib

from localmind.accounts.model import Principal, UserId
from localmind.catalog.audit import Event
from localmind.catalog.catalog import Catalog
from localmind.errors import Conflict, InvalidInput
from localmind.model import TenantId


class Consents:
    def __init__(self, catalog: Catalog, text: str) -> None:
        self._catalog = catalog
        self.text = text.strip()

    @property
    def version(self) -> str | None:
        """Another text is another version. None: there is nothing to agree to."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16] if self.text else None

    def check(self, version: str) -> None:
        """Raises InvalidInput for another version than the one that is shown now."""
        if version != self.version:
            raise InvalidInput("This is not the text that is shown now.", hint="GET /api/v1/auth/consent has it, with its version.")

    def accept(self, principal: Principal, version: str) -> None:
        """By a person; raises Conflict for an API key, and where nobody logs in."""
        if principal.user_id is None or principal.key_id is not None:
            raise Conflict("Only a person who is logged in can agree to a text.")
        self.keep(principal.tenant, principal.user_id, version)

    def keep(self, tenant: TenantId, user_id: UserId, version: str) -> None:
        """The person agreed. A second time changes nothing."""
        self.check(version)
        with self._catalog.database.write():
            if self._catalog.retention.consented(user_id, version):
                self._catalog.audit.record(Event.CONSENT, tenant, tenant=tenant, user_id=user_id, version=version)
