"""All that is held on a person in a tenant, as a ZIP that is written while it is read: memory does not grow with it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from localmind.accounts.model import Principal, Role, UserId, require
from localmind.blobs.port import Blobs
from localmind.catalog.audit import Entry, Event
from localmind.catalog.catalog import Catalog
from localmind.catalog.people import Original
from localmind.errors import NotFound
from localmind.model import TenantId

PIECE = 256 * 1024
EVENTS = 500
TIMES = ("at", "created_at", "updated_at", "expires_at", "revoked_at", "last_used_at", "last_login_at", "accepted_at", "disabled_at")

README = """What this service holds on one person, in one tenant.

profile.json         account, membership, roles in spaces, API keys (without the keys), logins, consents
conversations.jsonl  questions and answers, one conversation a line
documents.jsonl      documents that the person added, one a line; the files themselves are below documents/
audit.jsonl          what the person did, one event a line
"""


class Exports:
    def __init__(self, catalog: Catalog, blobs: Blobs) -> None:
        self._catalog, self._blobs = catalog, blobs

    def of(self, principal: Principal, user_id: UserId) -> Iterator[bytes]:
        """One's own; of others, for administrators. Raises NotFound, Forbidden, before anything is read."""
        if user_id != principal.user_id:
            require(principal.role, Role.ADMIN)
        if not self._catalog.accounts.members(principal.tenant, user_ids=[user_id]):
            raise NotFound(f"There is no user {user_id!r}.")
        return self.of_member(principal.tenant, user_id)

    def of_member(self, tenant: TenantId, user_id: UserId) -> Iterator[bytes]:
        """For whoever has the machine: asks nobody. The event stands in the audit before the first byte goes out."""
        self._catalog.audit.record(Event.EXPORT, tenant, tenant=tenant, subject=user_id)
        return self._zip(tenant, user_id)

    def _zip(self, tenant: TenantId, user_id: UserId) -> Iterator[bytes]:
        out = _Sink()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]  # needs only write()
            archive.writestr("README.txt", README)
            archive.writestr("profile.json", _json(self._catalog.people.facts(tenant, user_id), indent=2))
            yield from _lines(archive, out, "conversations.jsonl", self._catalog.people.conversations(tenant, user_id))
            documents = self._catalog.people.documents
            yield from _lines(archive, out, "documents.jsonl", (one.facts for one in documents(tenant, user_id)))
            yield from _lines(archive, out, "audit.jsonl", self._events(tenant, user_id))
            for one in documents(tenant, user_id):
                yield from self._file(archive, out, one)
        yield out.take()

    def _file(self, archive: zipfile.ZipFile, out: _Sink, one: Original) -> Iterator[bytes]:
        if not one.blob_key:
            return
        name = f"documents/{one.id}/{one.filename or 'text.md'}"
        with (
            suppress(NotFound),  # deleted meanwhile
            self._blobs.local_file(one.space, one.blob_key) as path,
            path.open("rb") as file,
            archive.open(name, "w", force_zip64=True) as entry,
        ):
            while piece := file.read(PIECE):
                entry.write(piece)
                yield from out.full()

    def _events(self, tenant: TenantId, user_id: UserId) -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            page = self._catalog.audit.page(tenant, user_id=user_id, limit=EVENTS, cursor=cursor)
            yield from map(_event, page.items)
            cursor = page.next_cursor
            if cursor is None:
                return


class _Sink:
    """What was written and not yet taken; can't be read or turned back, and zipfile does not need that."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self._size += len(data)
        return len(data)

    def flush(self) -> None: ...

    def full(self) -> Iterator[bytes]:
        """What is worth to be sent, if it is."""
        if self._size >= PIECE:
            yield self.take()

    def take(self) -> bytes:
        taken, self._pieces, self._size = b"".join(self._pieces), [], 0
        return taken


def _lines(archive: zipfile.ZipFile, out: _Sink, name: str, rows: Iterable[Any]) -> Iterator[bytes]:
    with archive.open(name, "w", force_zip64=True) as entry:
        for row in rows:
            entry.write(_json(row).encode() + b"\n")
            yield from out.full()


def _event(entry: Entry) -> dict[str, Any]:
    shown = ("seq", "at", "event", "key_id", "space", "request_id", "details", "personal")
    return {name: getattr(entry, name) for name in shown}


def _json(value: Any, *, indent: int | None = None) -> str:
    return json.dumps(_readable(value), indent=indent, ensure_ascii=False, default=str)


def _readable(value: Any) -> Any:
    """Times as ISO 8601."""
    if isinstance(value, list):
        return [_readable(one) for one in value]
    if isinstance(value, dict):
        shown: Callable[[str, Any], Any] = lambda name, one: _iso(one) if name in TIMES and one else _readable(one)  # noqa: E731
        return {name: shown(name, one) for name, one in value.items()}
    return value


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
