"""Bodies of retention and consent."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from apps.backend.schemas.accounts import ConsentVersion
from apps.backend.schemas.common import NoBool, Reply, Request
from localmind.catalog.retention import Rules

MOST_DAYS = 36_500
Days = Annotated[int, Field(ge=1, le=MOST_DAYS), NoBool]


class RetentionIn(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"conversations_days": 90, "audit_days": 365}]})

    documents_days: Days | None = Field(None, description="Since a document's last version.")
    unused_days: Days | None = Field(None, description="Since a document was last found or cited.")
    conversations_days: Days | None = Field(None, description="Since a conversation's last message.")
    audit_days: Days | None = Field(None, description="Since an event.")

    def rules(self) -> Rules:
        return Rules(**self.model_dump())


class RetentionOut(Reply):
    documents_days: int | None
    unused_days: int | None
    conversations_days: int | None
    audit_days: int | None


class ConsentOut(Reply):
    text: str = Field(description="Empty where there is nothing to agree to.")
    version: str | None


class ConsentIn(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"version": "5f16c8a3e0b1d2f4"}]})

    version: ConsentVersion
