"""The chain of a tenant's audit events: each row's hash covers the row before, so that none can be changed, taken out or put in unseen.

A row names people by random ids, and holds of their addresses only a seal: an HMAC under a secret of the person. Erasing a
person removes the name behind the id, the address and the secret. What is hashed stays as it is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

HASHED = ("tenant", "seq", "at", "event", "actor", "subject", "key_id", "space", "request_id", "details", "seal")


class Link(NamedTuple):
    """A place in the chain. The beginning is Link(0, "")."""

    seq: int
    hash: str


BEGINNING = Link(0, "")


@dataclass(frozen=True, slots=True)
class Flaw:
    """seq: of the row that is not as it was written, or is not there."""

    seq: int
    what: str


def canonical(value: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys, without spaces, in ASCII: the same bytes for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def hash_of(row: Mapping[str, Any], previous: str) -> str:
    """SHA-256 in hexadecimal over the hash before and what the row says."""
    return hashlib.sha256(previous.encode() + canonical({name: row[name] for name in HASHED})).hexdigest()


def seal(secret: str, value: Mapping[str, Any]) -> str:
    """HMAC-SHA-256 in hexadecimal."""
    return hmac.new(secret.encode(), canonical(value), hashlib.sha256).hexdigest()


def flaws(rows: Iterable[Mapping[str, Any]], secrets: Mapping[str, str], *, after: Link, end: Link) -> Iterator[Flaw]:
    """Where the rows, in order, are not the chain from `after` to `end`. secrets: of the persons who were not erased."""
    last = after
    for row in rows:
        yield from _gap(last.seq, row["seq"])
        if hash_of(row, row["previous"]) != row["hash"]:
            yield Flaw(row["seq"], "was changed")
        elif row["seq"] == last.seq + 1 and row["previous"] != last.hash:
            yield Flaw(row["seq"], "does not follow the row before it: one of them was put in or replaced")
        elif not _is_sealed(row, secrets.get(row["actor"])):
            yield Flaw(row["seq"], "has another address or query than it was written with")
        last = Link(row["seq"], row["hash"])
    if last.seq < end.seq:
        yield from _gap(last.seq, end.seq + 1)
    elif last.seq == end.seq and last.hash != end.hash:
        yield Flaw(end.seq, "is not the one that the chain ends with")


def _gap(before: int, seq: int) -> Iterator[Flaw]:
    missing = seq - before - 1
    if missing == 1:
        yield Flaw(before + 1, "was removed")
    elif missing > 1:
        yield Flaw(before + 1, f"was removed, and all up to {seq - 1}")


def _is_sealed(row: Mapping[str, Any], secret: str | None) -> bool:
    """Of an erased person nothing may be left; of others, what the seal says."""
    if secret is None:
        return row["personal"] is None
    if row["seal"] is None or row["personal"] is None:
        return row["seal"] is None and row["personal"] is None
    return hmac.compare_digest(seal(secret, row["personal"]), row["seal"])
