"""Bodies of /api/v1/audit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from apps.backend.schemas.common import Reply, Time
from localmind.catalog.audit import Entry


class AuditOut(Reply):
    """An event. `actor` and `subject` are who did it and whom it concerns, by ids that stand for a person in this tenant's audit
    alone; `user_id` and `subject_id` say who that is, and are null where nobody was logged in, and once the person is erased.
    """

    seq: int
    at: Time
    event: str
    actor: str
    user_id: str | None
    subject: str | None
    subject_id: str | None
    key_id: str | None
    space: str | None = Field(description="Null for the default one.")
    address: str | None
    query: str | None = Field(description="What was asked, where AUDIT_QUERIES=plain.")
    request_id: str | None
    details: dict[str, Any]
    hash: str = Field(description="SHA-256 over this event and the hash before it.")

    @classmethod
    def of(cls, entry: Entry) -> AuditOut:
        personal = entry.personal or {}
        return cls.model_validate(
            {
                **{name: getattr(entry, name) for name in cls.model_fields if hasattr(entry, name)},
                "at": datetime.fromtimestamp(entry.at, UTC),
                "address": personal.get("address"),
                "query": personal.get("query"),
            }
        )
